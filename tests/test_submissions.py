"""Forms of which the database says who acts on them."""

import asyncio

import pytest

from presence_server import submissions
from presence_server.endings import Endings
from presence_server.storage.database import Database, Transaction
from presence_server.submissions import ActedAlready, Submission

pytestmark = pytest.mark.both_databases


async def nothing(transaction: Transaction) -> None:
    pass


def submission(db: Database, said: str = "said") -> Submission:
    return Submission(Endings(db), "place", said)


async def later(db: Database, seconds: int) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute("UPDATE submissions SET acted_at = acted_at - $1", 1000 * seconds)

    await db.write(work)


async def test_of_many_one_acts_as_often_as_it_likes(db: Database) -> None:
    same = [submission(db) for _ in range(5)]
    done = await asyncio.gather(*(each.write(nothing) for each in same), return_exceptions=True)
    assert sorted(map(repr, done)) == ["ActedAlready()"] * 4 + ["None"]
    (first,) = [each for each in same if each.acted]
    await first.write(nothing)
    assert await same[0].answer() == (True, None)
    await first.keep("an answer")
    assert await submission(db).answer() == (True, "an answer")


async def test_what_was_not_done_after_all_is_done_for_the_next(db: Database) -> None:
    async def fails(transaction: Transaction) -> None:
        raise RuntimeError

    failed = submission(db)
    with pytest.raises(RuntimeError):
        await failed.write(fails)
    assert not failed.acted and await failed.answer() == (False, None)
    taken_back = submission(db)
    await taken_back.write(nothing)
    await taken_back.take_back()
    await submission(db).write(nothing)


async def test_another_form_from_there_makes_the_former_new(db: Database) -> None:
    for said in ("on", "off", "on"):
        await submission(db, said).write(nothing)
    with pytest.raises(ActedAlready):
        await submission(db, "on").write(nothing)


async def test_who_acted_and_never_answered_is_waited_for_in_bounds(db: Database) -> None:
    await submission(db).write(nothing)
    await later(db, 4)
    assert await submission(db).answer() == (True, None)
    await later(db, 2)
    assert await submission(db).answer() == (False, None)
    await submission(db).write(nothing)


async def test_an_answer_is_kept_for_a_short_time(db: Database) -> None:
    first = submission(db)
    await first.write(nothing)
    await first.keep("an answer")
    await later(db, 19)
    await submissions.forget_old(db)
    assert await submission(db).answer() == (True, "an answer")
    await later(db, 2)
    assert await submission(db).answer() == (False, None)
    await submissions.forget_old(db)
    assert await db.read("SELECT * FROM submissions") == []
