"""Which of the nodes tells webhooks and writes visits: one at a time, by a row in the database.

Times in the row are by the database's clock, and a node believes in its own turn no longer than by
its own: whoever stood still in between notices before it does anything.
"""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from presence_server.background import next_round
from presence_server.storage.database import Database, Read, Transaction

# Shares of the lease.
_RENEW = 0.2
# A node that hears the others may take the duty from one that does not, which notices within this
# time: so long it waits.
_NOTICED_WITHIN = 1.0
# A node that began after the last turn was renewed has not seen all that is not written yet: so
# much longer it leaves the duty to those that have.
_LEFT_TO_OTHERS = 1.0

log = logging.getLogger(__name__)


class Term(NamedTuple):
    """One turn of one node.

    `known_until`: the Unix second up to which the one before it surely had its turn, None if there
    was none. `early`: it may not have noticed yet that its turn is over.
    """

    node: str
    number: int
    known_until: int | None = None
    early: bool = False


class Another(NamedTuple):
    """The turn of another node: from when until when this one has seen it, by its own clock."""

    node: str
    number: int
    since: float
    until: float


class _Row(NamedTuple):
    """The last turn; the ages of its renewal and of its end are in milliseconds."""

    node: str
    number: int
    renewed_at: int
    renewed_ago: int
    over_for: int
    degraded: int


class Duty:
    """`lease` in seconds. `alone`: no other node can live, so that nobody's turn is waited for.

    Nothing is taken while nothing is `wanted`. A node that is `degraded` gives way to others.
    """

    def __init__(
        self,
        database: Database,
        node: str,
        *,
        lease: float,
        alone: bool,
        wanted: Callable[[], bool],
        degraded: Callable[[], bool],
    ) -> None:
        self._database = database
        self._node = node
        self._lease = lease
        self._alone = alone
        self._wanted = wanted
        self._degraded = degraded
        self._began = time.monotonic()
        self._term: Term | None = None
        self._another: Another | None = None
        self._from = self._until = 0.0
        self._stopped = False

    @property
    def term(self) -> Term | None:
        """This node's turn, if it is."""
        return self._term if self._from <= time.monotonic() < self._until else None

    @property
    def another(self) -> Another | None:
        """The last turn that another was seen to have, if any was."""
        return self._another

    async def run(self) -> None:
        """Take it and keep it, for ever."""
        while True:
            await self._database.attempt(self._keep_up())
            await next_round(min(_NOTICED_WITHIN / 2, self._lease * _RENEW))

    async def lay_down(self) -> None:
        """At the end: another node may take it at once."""
        self._stopped = True
        term, self._term = self._term, None
        if term is not None:
            await self._database.attempt(_lay_down(self._database, term))

    async def _keep_up(self) -> None:
        if self._stopped or not self._wanted():
            return
        began, degraded = time.monotonic(), self._degraded()
        if self._term is None or began >= self._until:
            if not await self._is_free(degraded):
                return
        elif self._until - began > self._lease * (1 - _RENEW):
            if not self._alone and not await holds(self._database.read, self._term):
                self._term = None
            return
        taken = await self._take(degraded)
        if taken is None:
            self._term = None
            return
        lapsed, self._until = time.monotonic() >= self._until, began + self._lease
        if lapsed or self._term is None or self._term.number != taken.number:
            log.debug("this node has turn %d of telling", taken.number)
            self._term = taken
            self._from = time.monotonic() + (_NOTICED_WITHIN if taken.early else 0.0)

    async def _is_free(self, degraded: bool) -> bool:
        row = await _last(self._database.read, self._database.clock)
        if row is None:
            return True
        if row.node != self._node and row.over_for < 0:
            self._see(row)
        return self._may_take(row, degraded)

    def _see(self, row: _Row) -> None:
        since = now = time.monotonic()
        if self._another is not None and self._another[:2] == (row.node, row.number):
            since = self._another.since
        self._another = Another(row.node, row.number, since, now)

    def _may_take(self, row: _Row, degraded: bool) -> bool:
        if self._alone or row.node == self._node:
            return True
        if row.over_for < -2000 * self._lease:
            # By a clock that was ahead.
            return True
        if row.renewed_ago > 1000 * (time.monotonic() - self._began):
            return row.over_for >= 1000 * _LEFT_TO_OTHERS
        return row.over_for >= 0 or (bool(row.degraded) and not degraded)

    async def _take(self, degraded: bool) -> Term | None:
        clock = self._database.clock

        async def work(transaction: Transaction) -> Term | None:
            row = await _last(transaction.execute, clock)
            if row is not None and not self._may_take(row, degraded):
                return None
            term = self._term_after(row)
            await transaction.execute(
                "INSERT INTO duty (one, node, term, renewed_at, ends_at, degraded)"
                f" VALUES (1, $1, $2, {clock}, {clock} + $3, $4) ON CONFLICT (one) DO UPDATE"
                " SET node = excluded.node, term = excluded.term, degraded = excluded.degraded,"
                " renewed_at = excluded.renewed_at, ends_at = excluded.ends_at",
                self._node,
                term.number,
                round(1000 * self._lease),
                int(degraded),
            )
            return term

        return await self._database.write(work)

    def _term_after(self, row: _Row | None) -> Term:
        if row is None:
            return Term(self._node, 1)
        known_until = row.renewed_at // 1000
        if row.node == self._node and row.over_for < 0:
            return Term(self._node, row.number, known_until)
        # Also after one's own that was over: nobody had a turn in between.
        return Term(self._node, row.number + 1, known_until, row.over_for < 0 and not self._alone)


async def _last(read: Read, clock: str) -> _Row | None:
    rows = await read(
        f"SELECT node, term, renewed_at, {clock} - renewed_at, {clock} - ends_at, degraded"
        " FROM duty"
    )
    return _Row(*rows[0]) if rows else None


async def holds(read: Read, term: Term) -> bool:
    """Whether nobody has had a turn since."""
    return bool(
        await read("SELECT 1 FROM duty WHERE node = $1 AND term = $2", term.node, term.number)
    )


async def _lay_down(database: Database, term: Term) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute(
            f"UPDATE duty SET renewed_at = {database.clock}, ends_at = {database.clock}"
            " WHERE node = $1 AND term = $2",
            term.node,
            term.number,
        )

    await database.write(work)
