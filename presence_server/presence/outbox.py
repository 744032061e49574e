"""What a node has to say to the others: changes, snapshots and beats, in one order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from presence_server.presence.choices import Choice
from presence_server.presence.entries import Entry
from presence_server.presence.letters import Batch, Beat, Letter, Part, People, Said
from presence_server.presence.moment import Moment
from presence_server.presence.own_part import said_of
from presence_server.presence.writing import cut, encode_letter

States = Iterable[tuple[str, str, Said | int]]
Entries = Iterable[tuple[str, str, Entry]]
Chosen = Iterable[tuple[int, str, Choice]]
# So many people at a time are put into letters of an answer.
_AT_ONCE = 2_000


class Outbox:
    """The letters of one node, gathered until they are taken."""

    def __init__(self, node: str) -> None:
        self._node = node
        self.sequence = 0
        self._answers = 0
        self._askers: set[str] = set()
        self._unsaid_choices: dict[tuple[int, str], Choice] = {}
        self._answer: _Answer | None = None
        self._letters: list[tuple[str, str | None]] = []

    def note_asker(self, node: str) -> None:
        """Another node wants a snapshot: it is in the next answer."""
        self._askers.add(node)

    @property
    def is_asked(self) -> bool:
        return bool(self._askers)

    @property
    def is_answering(self) -> bool:
        """Whether an answer has begun that is not said to its end."""
        return self._answer is not None

    @property
    def has_unsaid(self) -> bool:
        return bool(self._unsaid_choices)

    def note_choice(self, app: int, user: str, choice: Choice) -> None:
        self._unsaid_choices[app, user] = choice

    def say(self, letter: Letter, to: str | None = None) -> None:
        """Say something to one node, or to all."""
        self._letters.append((encode_letter(letter), to))

    def say_beat(self, mark: int, unix: int, *, asks: bool, heard: dict[str, int]) -> None:
        self.say(Beat(self._node, self.sequence, mark, unix, asks, heard))

    def say_changes(self, states: States, mark: int, unix: int) -> None:
        """Who is gone in these states has been let go after all had confirmed the mark."""
        choices, self._unsaid_choices = self._unsaid_choices, {}
        for people in cut(states, ((*key, choice) for key, choice in choices.items())):
            self.sequence += 1
            self.say(Batch(self._node, self.sequence, mark, unix, people))

    def answer(self, states: Entries, choices: Chosen, heard: Mapping[str, int]) -> None:
        """Begin to give a snapshot to all who asked; `go_on` says it.

        Right after `say_changes` it is exactly what the batches up to its number have made.
        """
        self._answers += 1
        askers, self._askers = sorted(self._askers), set()
        self._answer = _Answer(
            self.sequence, self._answers, heard, askers, [*states], [*choices]
        )

    def go_on(self, now: Moment) -> None:
        """Say no more of the answer than takes a few milliseconds: meanwhile others wait."""
        answer = self._answer
        if answer is None:
            return
        states, choices = answer.take()
        said = ((room, tag, said_of(entry, now)) for room, tag, entry in states)
        pieces = list(cut(said, choices))
        if answer.is_over:
            self._answer = None
            pieces = pieces or [People({}, {})]
        for piece in pieces:
            is_last = answer.is_over and piece is pieces[-1]
            letter = answer.part(self._node, now.unix, piece, is_last=is_last)
            text = encode_letter(letter)
            self._letters.extend((text, asker) for asker in answer.askers)

    def take_letters(self) -> list[tuple[str, str | None]]:
        """What is to be sent, in order: each text with the node it is for, or None for all."""
        letters, self._letters = self._letters, []
        return letters


@dataclass
class _Answer:
    """All that a node knew at one moment, of which some has been said. It is gone through at once,
    which costs little, and put into words little by little."""

    sequence: int
    number: int
    heard: Mapping[str, int]
    askers: Sequence[str]
    states: list[tuple[str, str, Entry]]
    choices: list[tuple[int, str, Choice]]
    taken: int = 0
    parts: int = 0

    def take(self) -> tuple[list[tuple[str, str, Entry]], list[tuple[int, str, Choice]]]:
        """Those who are next."""
        start, self.taken = self.taken, self.taken + _AT_ONCE
        behind = max(0, start - len(self.states)), max(0, self.taken - len(self.states))
        return self.states[start : self.taken], self.choices[slice(*behind)]

    @property
    def is_over(self) -> bool:
        return self.taken >= len(self.states) + len(self.choices)

    def part(self, node: str, unix: int, people: People, *, is_last: bool) -> Part:
        """The next one."""
        number, self.parts = self.parts, self.parts + 1
        parts = self.parts if is_last else 0
        return Part(
            node, self.sequence, self.number, number, parts, unix, people, self.heard
        )
