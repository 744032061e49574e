"""Who is here and what was chosen, in the database: so that both outlive this process, and that
other nodes can read what they cannot hear."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from presence_server.background import Background, next_round
from presence_server.notes import writing, written
from presence_server.notes.others import OthersNotes, Reader
from presence_server.notes.takeover import Left, left_behind, take_over
from presence_server.notes.unwritten import Taken, Unwritten
from presence_server.presence.records import Notes, Record, Stay
from presence_server.presence.timing import DOUBTS_WRITING, NOTES, NOTES_UNHEARD, WRITES_WITHIN
from presence_server.storage.database import Database, DatabaseUnavailable

# Seconds.
_LOOK_AGAIN = 0.2
# Most of it has been written before, and the process has few seconds to end in.
_CLOSE_WITHIN = 1.5

log = logging.getLogger(__name__)


class Presence(Reader, Protocol):
    """What the store needs of the running node."""

    @property
    def peers(self) -> Collection[str]:
        """The other nodes that were heard."""

    @property
    def speaking(self) -> Mapping[str, float]:
        """Nodes that were heard when they no longer wrote, with the seconds since that."""

    def take_record(self, *, whole: bool = False) -> Record:
        """What changed since the last record; on demand all that holds."""

    def take_dropped(self) -> set[str]:
        """The nodes that were given up since they were asked for last."""

    def adopt(self, stays: Sequence[Stay]) -> None:
        """Count as here, for what is left of a grace, those who were at a node that is no more."""


class Store:
    """Keeps the database in agreement with one node, and the node with what others wrote.

    `alone`: no other node can live, so whatever is written down was left by one that does not.
    `heeded` gives the number of the last ending that the node has heeded.
    """

    def __init__(
        self,
        database: Database,
        presence: Presence,
        heeded: Callable[[], int],
        *,
        lease: float,
        alone: bool,
    ) -> None:
        self._database = database
        self._presence = presence
        self._heeded = heeded
        self._lease = 0.0 if alone else lease
        self._alone = alone
        # Whether the database knows this node, and its counter there.
        self._entered = False
        self._counter = 0
        # When the last write that was carried out began.
        self._wrote_at = -math.inf
        self._unwritten = Unwritten()
        self._writing = asyncio.Lock()
        self._stopped = False
        # What was taken at the stop, until a write begins.
        self._last: Taken | None = None
        self._is_last = False
        # Nodes that are gone and whose rows are still there.
        self._dropped: set[str] = set()
        # Nodes that had ended when this one began; and others, which had not written lately.
        self._ended: set[str] = set()
        self._silent: set[str] = set()
        self._others = OthersNotes(database, presence, self._writes)

    async def open(self, surely_ended: Collection[str] = ()) -> None:
        """Before anybody is let in: take over from nodes that stopped, and from those of which it
        is known otherwise that they have ended. If no other node writes, it is first to be heard
        whether some have gone on nevertheless."""
        began = time.monotonic()
        chosen = await written.choices(self._database)
        clock = await written.clock_behind(self._database.read, self._database.clock)
        self._presence.heed(Notes({}, None, chosen, clock=clock), began)
        found = await written.nodes(self._database, but=self._presence.name)
        stopped = {name for name, node in found.items() if node.stopped or self._alone}
        self._ended = stopped | (found.keys() & set(surely_ended))
        self._silent = found.keys() - self._ended
        others = any(found[name].age < WRITES_WITHIN for name in self._silent)
        if others or not self._silent:
            await self._take_over_ended(others=others)

    async def take_over_dead(self) -> None:
        """Take over from nodes that neither speak nor write; when the others have been heard."""
        dead, moving = await self._watch()
        others = {*self._presence.peers, *moving}
        await self._take_over_ended(others=not others.isdisjoint(self._silent))
        await self._take_over(Left(dead, self._lease, bool(others)))
        if moving:
            # Whoever opens the node waits for these: so they have to be known by name.
            await self.read()

    async def run(self) -> None:
        """Read and write in turns, for ever."""
        async with Background() as tasks:
            tasks.start("write who is here", self._write_records())
            tasks.start("read notes", self._read_notes())

    def stop(self) -> None:
        """Take the last record: who is sent away from now on is to be here after a restart."""
        if not self._stopped:
            # To be added once no write is under way, which would be thought to have written it.
            self._last = self._take_record()
            self._stopped = True

    async def close(self) -> None:
        """Write down who is here at the end, and that it is the end: nobody has a line here now."""
        self.stop()
        self._is_last = True
        try:
            async with asyncio.timeout(_CLOSE_WITHIN):
                await self._database.attempt(self.write())
        except TimeoutError:
            log.error("The database takes too long to be waited for at the end.")

    async def write(self) -> None:
        """Write what has changed; nothing is lost if the database cannot serve."""
        async with self._writing:
            self._add_record()
            if not self._is_due():
                return
            if not await self._write(anew=not self._entered):
                # Somebody thought that this node was dead, and has taken over what it had.
                self._entered = False
                if not self._stopped:
                    self._add_record()
                    await self._write(anew=True)

    async def read(self) -> None:
        """Read what other nodes have written, as far as it is not heard."""
        await self._others.read()

    async def forget_dropped(self) -> None:
        """A server that starts later must not bring back whom the others have let go."""
        self._dropped |= self._presence.take_dropped()
        # Who was dropped may be back by the time that the database can be written.
        self._dropped -= set(self._presence.peers)
        if self._dropped and self._entered:
            forgotten = frozenset(self._dropped)
            await writing.forget(self._database, forgotten)
            self._dropped -= forgotten

    @property
    def _interval(self) -> float:
        """Seconds until it is written, and read, again."""
        return NOTES_UNHEARD if self._presence.unheard else NOTES

    async def _write_records(self) -> None:
        took = 0.0
        while True:
            if took < self._interval:
                await next_round(self._interval)
            began = time.monotonic()
            await self._database.attempt(self.write())
            # What is written was so when it began: what waited for long is old when others read it.
            took = time.monotonic() - began

    async def _read_notes(self) -> None:
        while True:
            await next_round(self._interval)
            if not self._alone:
                await self._database.attempt(self.read())
            await self._database.attempt(self.forget_dropped())

    async def _watch(self) -> tuple[set[str], set[str]]:
        """Of the nodes that do not speak: which are dead, and which write nevertheless."""
        first_seen: dict[str, tuple[int, float]] = {}
        while True:
            asked = time.monotonic()
            found = await written.nodes(self._database, but=self._presence.name)
            silent = found.keys() - self._presence.peers - self._ended
            for name in silent:
                first_seen.setdefault(name, (found[name].counter, time.monotonic()))
            dead = {name for name in silent if found[name].age >= WRITES_WITHIN}
            moving = {name for name in silent - dead if found[name].counter != first_seen[name][0]}
            # If the clock of the database was set back, nobody grows old by it for long.
            still = {name for name in silent if asked - first_seen[name][1] >= WRITES_WITHIN}
            dead |= still - moving
            if silent == dead | moving:
                return dead, moving
            await asyncio.sleep(_LOOK_AGAIN)

    async def _take_over_ended(self, *, others: bool) -> None:
        await self._take_over(Left(self._ended, self._lease, others, surely=True))
        self._ended = set()

    async def _take_over(self, left: Left) -> None:
        if not left.nodes:
            return
        async with self._writing:
            # Whoever finds them taken over asks this node, which has to know of them by then.
            stays = await left_behind(self._database.read, self._database.clock, left)
            self._presence.adopt(stays)
            try:
                self._presence.adopt(await take_over(self._database, self._change(), left))
                self._entered = True
            except DatabaseUnavailable:
                # It could be read: that must do until it can be written.
                self._dropped.update(left.nodes)

    def _add_record(self) -> None:
        taken, self._last = self._last if self._stopped else self._take_record(), None
        if taken is not None:
            self._unwritten.add(taken)

    def _take_record(self) -> Taken:
        whole = not self._entered
        return Taken(self._presence.take_record(whole=whole), whole, time.monotonic())

    def _is_due(self) -> bool:
        # Others see by it that this node lives, and what has been written; and graces go on.
        regular = not self._alone or self._is_last or not self._entered
        return regular or bool(self._unwritten or self._unwritten.graces)

    def _writes(self, now: float) -> bool:
        return now - self._wrote_at < DOUBTS_WRITING

    async def _write(self, *, anew: bool) -> bool:
        began = time.monotonic()
        if not await writing.write(self._database, self._change(), anew=anew):
            return False
        self._entered = True
        self._wrote_at = began
        self._unwritten.clear()
        if speaking := self._presence.speaking:
            await writing.write_signs(self._database, speaking)
        return True

    def _change(self) -> writing.Change:
        self._counter += 1
        return writing.Change(
            node=self._presence.name,
            counter=self._counter,
            heeded=self._heeded(),
            record=self._unwritten.record(),
            taken_at=self._unwritten.taken_at,
            stopped=self._is_last,
        )
