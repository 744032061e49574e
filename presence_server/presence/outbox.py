"""What a node has to say to the others: changes, snapshots and beats, in one order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from presence_server.presence.choices import Choice
from presence_server.presence.entries import Entry
from presence_server.presence.letters import Batch, Beat, Letter, Part, People, Said
from presence_server.presence.moment import Moment
from presence_server.presence.own_part import said_of
from presence_server.presence.recent import Key, Recent
from presence_server.presence.writing import cut, encode_letter

# By room and tag, and by app and user. A second: since then somebody is gone.
KeyedStates = Iterable[tuple[str, str, Said | int]]
KeyedEntries = Iterable[tuple[str, str, Entry | int]]
KeyedChoices = Iterable[tuple[int, str, Choice]]
# The number of an asker who knows nothing of this node's people.
NOTHING_KNOWN = -1
# So many people at a time are put into letters of an answer.
_AT_ONCE = 2_000


class Outbox:
    """The letters of one node, gathered until they are taken."""

    def __init__(self, node: str) -> None:
        self._node = node
        self.sequence = 0
        self._answers = 0
        # Up to which number each knows all.
        self._askers: dict[str, int] = {}
        self._recent = Recent()
        self._unsaid_choices: dict[tuple[int, str], Choice] = {}
        self._answer: _Answer | None = None
        self._letters: list[tuple[str, str | None]] = []

    def note_asker(self, node: str, known: int = NOTHING_KNOWN) -> None:
        """Another node wants a snapshot: it is in the next answer. It knows all up to the batch of
        a number."""
        self._askers[node] = min(known, self._askers.get(node, known))

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

    def note_chosen(self, app: int, user: str, now: Moment) -> None:
        """A choice is known that was not, whoever said so."""
        self._recent.note((app, user), self.sequence + 1, now.elapsed)

    def say(self, letter: Letter, to: str | None = None) -> None:
        """Say something to one node, or to all."""
        self._letters.append((encode_letter(letter), to))

    def say_beat(
        self, mark: int, unix: int, *, asks: bool, heard: dict[str, int], crowd: float | None
    ) -> None:
        self.say(Beat(self._node, self.sequence, mark, unix, asks, heard, crowd))

    def say_changes(self, states: KeyedStates, mark: int, now: Moment) -> None:
        """Who is gone in these states has been let go after all had confirmed the mark."""
        choices, self._unsaid_choices = self._unsaid_choices, {}
        for people in cut(states, ((*key, choice) for key, choice in choices.items())):
            self.sequence += 1
            self._remember(people, now)
            self.say(Batch(self._node, self.sequence, mark, now.unix, people))

    def take_askers(self) -> tuple[list[str], int | None]:
        """Those who get the next answer, and after which number that begins; None: with all."""
        known = [number for number in self._askers.values() if self._is_remembered(number)]
        after = min(known, default=None)
        askers = [
            node
            for node, number in self._askers.items()
            if after is None or self._is_remembered(number)
        ]
        for node in askers:
            del self._askers[node]
        return sorted(askers), after

    def changed_after(self, sequence: int) -> dict[Key, int]:
        """What has been said since, or just before, as in `Recent.after`."""
        return self._recent.after(sequence)

    def answer(
        self,
        askers: Sequence[str],
        after: int | None,
        states: KeyedEntries,
        choices: KeyedChoices,
        heard: Mapping[str, int],
    ) -> None:
        """Begin to give them a snapshot, or what of it changed after a number; `go_on` says it.

        Right after `say_changes` it is exactly what the batches up to its number have made.
        """
        self._answers += 1
        self._answer = _Answer(
            self.sequence, self._answers, heard, askers, after, [*states], [*choices]
        )

    def go_on(self, now: Moment) -> None:
        """Say no more of the answer than takes a few milliseconds: meanwhile others wait."""
        answer = self._answer
        if answer is None:
            return
        states, choices = answer.take()
        said = ((room, tag, _said(entry, now)) for room, tag, entry in states)
        pieces = list(cut(said, choices))
        if answer.is_over:
            self._answer = None
            pieces = pieces or [People({}, {})]
        for piece in pieces:
            is_last = answer.is_over and piece is pieces[-1]
            letter = answer.part(self._node, now.unix, piece, is_last=is_last)
            text = encode_letter(letter)
            self._letters.extend((text, asker) for asker in answer.askers)

    def _is_remembered(self, sequence: int) -> bool:
        return 0 <= sequence <= self.sequence and self._recent.reaches(sequence)

    def _remember(self, people: People, now: Moment) -> None:
        for room, some in people.states.items():
            for tag, said in some.items():
                gone_since = said if isinstance(said, int) else 0
                self._recent.note((room, tag), self.sequence, now.elapsed, gone_since)

    def take_letters(self) -> list[tuple[str, str | None]]:
        """What is to be sent, in order: each text with the node it is for, or None for all."""
        letters, self._letters = self._letters, []
        return letters


def _said(entry: Entry | int, now: Moment) -> Said | int:
    return entry if isinstance(entry, int) else said_of(entry, now)


@dataclass
class _Answer:
    """All that a node knew at one moment, or what had changed, of which some has been said. It is
    gone through at once, which costs little, and put into words little by little."""

    sequence: int
    number: int
    heard: Mapping[str, int]
    askers: Sequence[str]
    after: int | None
    states: list[tuple[str, str, Entry | int]]
    choices: list[tuple[int, str, Choice]]
    taken: int = 0
    parts: int = 0

    def take(
        self,
    ) -> tuple[list[tuple[str, str, Entry | int]], list[tuple[int, str, Choice]]]:
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
        heard, after = self.heard, self.after
        return Part(node, self.sequence, self.number, number, parts, unix, people, heard, after)
