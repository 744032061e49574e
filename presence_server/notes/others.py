"""What other nodes wrote down, read as far as they cannot be heard."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from presence_server.notes import written
from presence_server.presence.records import Changes, Chosen, Notes, Stay
from presence_server.storage.database import Database


class Reader(Protocol):
    """What is needed of the running node."""

    @property
    def name(self) -> str: ...

    @property
    def unheard(self) -> bool:
        """Whether other nodes may say what cannot be heard."""

    @property
    def well_heard(self) -> Collection[str]:
        """The nodes whose notes do not matter, for all that they say is heard."""

    @property
    def noted(self) -> Mapping[str, int | None]:
        """Of each node that lives, the counter up to which all is known that it has written."""

    def heed(self, notes: Notes, read_at: float) -> None:
        """Take in what other nodes wrote down, read since `read_at` by the monotonic clock."""


class OthersNotes:
    """`writes` says whether this node itself could write shortly before a time."""

    def __init__(
        self, database: Database, reader: Reader, writes: Callable[[float], bool]
    ) -> None:
        self._database = database
        self._reader = reader
        self._writes = writes
        # While others are not heard: by node, and whether it had stopped, with which counter that
        # changed which is known.
        self._read: dict[tuple[str, bool], int] | None = None

    async def read(self) -> None:
        """Read what other nodes have written, as far as it is not heard, and let it be heeded."""
        began = time.monotonic()
        found = await written.nodes(self._database, but=self._reader.name)
        living = {name: node for name, node in found.items() if not node.stopped}
        counters = {name: node.counter for name, node in living.items()}
        ages = {name: node.age for name, node in found.items()}
        if not self._reader.unheard:
            # What was chosen at a node that lived only meanwhile is not heard afterwards.
            missed = await written.choices(self._database) if self._read is not None else []
            clock = await self._clock_behind() if missed else 0
            # Only now: if one of these fails, what was missed is read in the next round.
            self._read = None
            notes = Notes(counters, None, missed, self._writes(began), clock=clock, ages=ages)
            self._reader.heed(notes, began)
            return
        unread = frozenset(self._reader.well_heard)
        to_read = {name: node for name, node in found.items() if name not in unread}
        news = _News()
        noted = self._reader.noted
        for name, node in to_read.items():
            # Of a node that is gone it is enough to have read the same before.
            is_noted = name in noted and not node.stopped
            known = noted[name] if is_noted else (self._read or {}).get((name, node.stopped))
            if known is None or node.changed > known:
                await news.read(self._database, name, node, known, noted.get(name))
        clock = await self._clock_behind()
        self._read = {(name, node.stopped): node.changed for name, node in to_read.items()}
        read = Notes(
            counters,
            news.stays,
            news.choices,
            self._writes(began),
            news.stopped,
            unread,
            news.changes,
            clock,
            ages,
        )
        self._reader.heed(read, began)

    async def _clock_behind(self) -> int:
        return await written.clock_behind(self._database.read, self._database.clock)


class _News:
    """What is read of nodes that cannot be heard, as in Notes."""

    def __init__(self) -> None:
        self.stays: dict[str, list[Stay]] = {}
        self.stopped: dict[str, list[Stay]] = {}
        self.changes: dict[str, Changes] = {}
        self.choices: list[Chosen] = []

    async def read(
        self,
        db: Database,
        name: str,
        node: written.Written,
        known: int | None,
        noted: int | None,
    ) -> None:
        """All is in its place that the node wrote up to the counter `noted`."""
        if node.stopped:
            self.stopped[name] = await written.stays_of(db, name)
        elif noted is None or node.traced_from is None or noted < node.traced_from:
            self.stays[name] = await written.stays_of(db, name)
        else:
            self.changes[name] = await written.changes_of(db, name, noted)
        self.choices += await written.choices_of(db, name, known or 0)
