"""What a node has to say to the others: changes, snapshots and beats, in one order."""

from collections.abc import Iterable, Mapping

from presence_server.presence.choices import Choice
from presence_server.presence.letters import Batch, Beat, Letter, Part, People, Said
from presence_server.presence.writing import cut, encode_letter

States = Iterable[tuple[str, str, Said | int]]
Chosen = Iterable[tuple[int, str, Choice]]


class Outbox:
    """The letters of one node, gathered until they are taken."""

    def __init__(self, node: str) -> None:
        self._node = node
        self.sequence = 0
        self._answers = 0
        self._askers: set[str] = set()
        self._unsaid_choices: dict[tuple[int, str], Choice] = {}
        self._letters: list[tuple[str, str | None]] = []

    def note_asker(self, node: str) -> None:
        """Another node wants a snapshot: it is in the next answer."""
        self._askers.add(node)

    @property
    def is_asked(self) -> bool:
        return bool(self._askers)

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

    def answer(
        self, states: States, choices: Chosen, unix: int, heard: Mapping[str, int]
    ) -> None:
        """Give a snapshot to all who asked.

        Right after `say_changes` it is exactly what the batches up to its number have made.
        """
        self._answers += 1
        pieces = list(cut(states, choices)) or [People({}, {})]
        texts = [
            encode_letter(
                Part(
                    self._node,
                    self.sequence,
                    self._answers,
                    number,
                    len(pieces),
                    unix,
                    piece,
                    heard,
                )
            )
            for number, piece in enumerate(pieces)
        ]
        for asker in sorted(self._askers):
            self._letters.extend((text, asker) for text in texts)
        self._askers.clear()

    def take_letters(self) -> list[tuple[str, str | None]]:
        """What is to be sent, in order: each text with the node it is for, or None for all."""
        letters, self._letters = self._letters, []
        return letters
