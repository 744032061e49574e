"""What a node says to the others of its own people: changes, snapshots and beats, in one order."""

from collections.abc import Iterable, Mapping
from itertools import islice
from math import ceil

from presence_server.presence.letters import (
    PEOPLE_PER_LETTER,
    Batch,
    Beat,
    Letter,
    Part,
    People,
    encode_letter,
)
from presence_server.presence.roster import Said


class Voice:
    """The letters of one node, gathered until they are taken."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._own: dict[str, Said] = {}
        # Who changed since the last batch, and since when.
        self._unsaid: dict[str, int] = {}
        self._sequence = 0
        self._answers = 0
        self._askers: set[str] = set()
        self._letters: list[tuple[str, str | None]] = []

    @property
    def own(self) -> Mapping[str, Said]:
        """The users whom this node itself has here."""
        return self._own

    def place(self, username: str, said: Said) -> None:
        self._own[username] = said
        self._unsaid[username] = said.since

    def remove(self, username: str, since: int) -> None:
        del self._own[username]
        self._unsaid[username] = since

    def note_asker(self, node: str) -> None:
        """Another node wants a snapshot: it is in the next answer."""
        self._askers.add(node)

    def say(self, letter: Letter, to: str | None = None) -> None:
        """Say something to one node, or to all."""
        self._letters.append((encode_letter(letter), to))

    def say_beat(self, mark: float) -> None:
        self.say(Beat(self._node, self._sequence, mark))

    def say_changes(self) -> None:
        unsaid = iter(self._unsaid.items())
        while chunk := dict(islice(unsaid, PEOPLE_PER_LETTER)):
            self._sequence += 1
            self.say(Batch(self._node, self._sequence, self._people(chunk, chunk)))
        self._unsaid = {}

    def answer(self) -> None:
        """Give a snapshot to all who asked.

        Right after `say_changes` it is exactly what the batches up to its number have made.
        """
        if not self._askers:
            return
        texts = [encode_letter(part) for part in self._parts()]
        for asker in sorted(self._askers):
            self._letters.extend((text, asker) for text in texts)
        self._askers.clear()

    def take_letters(self) -> list[tuple[str, str | None]]:
        """What is to be sent, in order: each text with the node it is for, or None for all."""
        letters, self._letters = self._letters, []
        return letters

    def _people(self, usernames: Iterable[str], gone: Mapping[str, int] = {}) -> People:
        people = People({}, {}, {})
        for username in usernames:
            said = self._own.get(username)
            if said is None:
                people.gone[username] = gone[username]
                continue
            people.here[username] = (said.status, said.since)
            if said.choice is not None:
                people.choices[username] = said.choice
        return people

    def _parts(self) -> Iterable[Part]:
        self._answers += 1
        names = iter(list(self._own))
        count = max(1, ceil(len(self._own) / PEOPLE_PER_LETTER))
        for part in range(count):
            people = self._people(list(islice(names, PEOPLE_PER_LETTER)))
            yield Part(self._node, self._sequence, self._answers, part, count, people)
