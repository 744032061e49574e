"""The audit log: what administrators did, written with the very transaction that does it."""

from dataclasses import dataclass

from presence_server.endings import Endings
from presence_server.storage.database import Database, Row, TakenBack, Transaction, Value
from presence_server.storage.engine import T, Work

KEEP = 400 * 24 * 60 * 60  # seconds

_RUNS_THE_SITE = "administrator = 1 AND disabled_at IS NULL"
# Whoever has only a link for a first password may never use it.
_CAN_LOG_IN = (
    "(password_hash <> '' OR last_seen IS NOT NULL"
    " OR EXISTS (SELECT 1 FROM sessions WHERE sessions.user_id = users.id))"
)
_COLUMNS = "number, done_at, administrator, act, whom, address"


class NoAdministrator(TakenBack):
    """Whoever acts is no administrator any more: nothing was done."""


class LastAdministrator(TakenBack):
    """Nobody would be left to run the site: nothing was done."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and from where; without an account, whoever has the machine itself."""

    account: int | None = None
    username: str | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """`whom` names an account or an app; `administrator` is None for a command on the machine."""

    number: int
    done_at: int
    administrator: str | None
    act: str
    whom: str
    address: str


class Audited(Endings):
    """One act: each of its transactions leaves its line in the log, or is not done at all.

    Raises NoAdministrator when the actor has ceased to be one, also in this very moment, and
    LastAdministrator when there would be none.
    """

    def __init__(self, ends: Endings, actor: Actor, act: str, whom: str, now: int) -> None:
        super().__init__(ends.database)
        self._ends = ends
        self._actor, self._act, self._whom, self._now = actor, act, whom, now

    async def write(self, work: Work[T], /) -> T:
        async def audited(transaction: Transaction) -> T:
            await self._check_actor(transaction)
            done = await work(transaction)
            await self._check_others(transaction)
            await transaction.execute(
                "INSERT INTO audit (done_at, administrator, act, whom, address)"
                " VALUES ($1, $2, $3, $4, $5)",
                self._now,
                self._actor.username,
                self._act,
                self._whom,
                self._actor.address,
            )
            return done

        return await self._ends.write(audited)

    async def _check_actor(self, transaction: Transaction) -> None:
        if self._actor.account is not None and not await transaction.execute(
            f"SELECT 1 FROM users WHERE {_RUNS_THE_SITE} AND id = $1", self._actor.account
        ):
            raise NoAdministrator

    async def _check_others(self, transaction: Transaction) -> None:
        if self._actor.account is not None and not await _somebody_runs_it(transaction):
            raise LastAdministrator


class Guarded(Endings):
    """For what people do to their own accounts: raises LastAdministrator where somebody could run
    the site before, and nobody could afterwards."""

    def __init__(self, ends: Endings) -> None:
        super().__init__(ends.database)
        self._ends = ends

    async def write(self, work: Work[T], /) -> T:
        async def guarded(transaction: Transaction) -> T:
            before = await _somebody_runs_it(transaction)
            done = await work(transaction)
            if before and not await _somebody_runs_it(transaction):
                raise LastAdministrator
            return done

        return await self._ends.write(guarded)


async def _somebody_runs_it(transaction: Transaction) -> bool:
    sql = f"SELECT 1 FROM users WHERE {_RUNS_THE_SITE} AND {_CAN_LOG_IN} LIMIT 1"
    return bool(await transaction.execute(sql))


async def page(
    db: Database, whom: str | None, before: int | None, limit: int, since: int | None = None
) -> list[Entry]:
    """The newest lines, of all or about one, before a number and since a second."""
    wanted: list[tuple[str, Value]] = [
        ("number < ", before),
        ("whom = ", whom),
        ("done_at >= ", since),
    ]
    given = [(column, value) for column, value in wanted if value is not None]
    where = " AND ".join(f"{column}${place}" for place, (column, _) in enumerate(given, 2))
    rows: list[Row] = await db.read(
        f"SELECT {_COLUMNS} FROM audit {'WHERE ' + where if where else ''}"
        " ORDER BY number DESC LIMIT $1",
        limit,
        *(value for _, value in given),
    )
    return [Entry(*row) for row in rows]


async def forget_old(db: Database, now: int) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute("DELETE FROM audit WHERE done_at < $1", now - KEEP)

    await db.write(work)
