"""Forms that were sent, and how they were answered, for all processes that share a port."""

from presence_server.endings import Endings
from presence_server.storage.database import Database, TakenBack, Transaction
from presence_server.storage.engine import T, Work

# Milliseconds. So long an answer is good for the same form once more,
_KEPT = 20_000
# and so long somebody may take who has acted and not answered yet.
_ANSWERED_WITHIN = 5_000


class ActedAlready(TakenBack):
    """The same form has been acted on: nothing was done now."""


class Submission(Endings):
    """What a form is acted on with: of all who have been sent the same one, one acts.

    `place` tells who sent it where, `said` what it says; neither may give anything away. Another
    form from the same place makes the one before it new again.
    """

    def __init__(self, ends: Endings, place: str, said: str) -> None:
        super().__init__(ends.database)
        self._ends, self._place, self._said = ends, place, said
        self.acted = False

    async def write(self, work: Work[T], /) -> T:
        if self.acted:
            return await self._ends.write(work)

        async def act(transaction: Transaction) -> T:
            clock = self.database.clock
            if not await transaction.execute(
                f"INSERT INTO submissions (place, said, acted_at) VALUES ($1, $2, {clock})"
                " ON CONFLICT (place) DO UPDATE"
                " SET said = excluded.said, acted_at = excluded.acted_at, answer = NULL"
                f" WHERE submissions.said <> excluded.said OR NOT {_holds(clock)}"
                " RETURNING place",
                self._place,
                self._said,
            ):
                raise ActedAlready
            return await work(transaction)

        done = await self._ends.write(act)
        self.acted = True
        return done

    async def answer(self) -> tuple[bool, str | None]:
        """Whether the form has been acted on, and what it was answered, if that is known by now."""
        rows = await self.database.read(
            "SELECT answer FROM submissions WHERE place = $1 AND said = $2"
            f" AND {_holds(self.database.clock)}",
            self._place,
            self._said,
        )
        return (True, rows[0][0]) if rows else (False, None)

    async def keep(self, answer: str) -> None:
        """For whoever sends the form again; `answer` must not give anything away either."""
        await self._set("UPDATE submissions SET answer = $3", answer)

    async def take_back(self) -> None:
        """What was done does not count: whoever sends it again may act."""
        await self._set("DELETE FROM submissions")

    async def _set(self, what: str, *values: str) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.execute(
                f"{what} WHERE place = $1 AND said = $2", self._place, self._said, *values
            )

        await self.database.write(work)


def _holds(clock: str) -> str:
    kept = f"CASE WHEN submissions.answer IS NULL THEN {_ANSWERED_WITHIN} ELSE {_KEPT} END"
    return f"submissions.acted_at > {clock} - {kept}"


async def forget_old(db: Database) -> None:
    clock = db.clock

    async def work(transaction: Transaction) -> None:
        # A clock that was wrong may have written a time to come.
        await transaction.execute(
            f"DELETE FROM submissions WHERE acted_at NOT BETWEEN {clock} - {_KEPT} AND {clock}"
        )

    await db.write(work)
