"""What is written down of who is here, and what becomes of it when its node is no more."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from presence_server import endings
from presence_server.accounts import sessions, users
from presence_server.endings import Ending, Endings, Reason
from presence_server.notes import writing, written
from presence_server.notes.store import Store
from presence_server.notes.takeover import Left, left_behind
from presence_server.notes.unwritten import Taken, Unwritten
from presence_server.presence.records import OWN, Changes, Chosen, Notes, Record, Stay
from presence_server.presence.states import Status
from presence_server.presence.timing import NOTES
from presence_server.storage.database import Database, DatabaseUnavailable, Row, Transaction, Value
from presence_server.storage.engine import Engine, T, Work
from testing.waiting import STALL, first_answer, until
from tests.last_seen import last_seen_of
from tests.storage.programs import lock_of_another_program

NOW = 1_795_420_800
LEASE = 10.0
ROOM = "7/doc:42"


class FakeNode:
    """A node that says what it is told to, and remembers what it was told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.peers: set[str] = set()
        self.unheard = False
        self.well_heard: set[str] = set()
        self.noted: dict[str, int | None] = {}
        self.speaking: dict[str, float] = {}
        self.here: dict[tuple[str, str], Stay] = {}
        self.adopted: list[Stay] = []
        self.heeded: list[Notes] = []
        self.dropped: set[str] = set()
        self._changes = Record([], set(), {}, [])

    def put(self, *stays: Stay) -> None:
        for stay in stays:
            self.here[stay.room, stay.session] = stay
            self._changes.here.append(stay)

    def drop(self, stay: Stay, last_seen: int = NOW) -> None:
        del self.here[stay.room, stay.session]
        self._changes.gone.add((stay.room, stay.session))
        self._changes.last_seen[stay.user] = last_seen

    def choose(self, *choices: Chosen) -> None:
        self._changes.choices.extend(choices)

    def take_record(self, *, whole: bool = False) -> Record:
        record, self._changes = self._changes, Record([], set(), {}, [])
        return record._replace(here=list(self.here.values())) if whole else record

    def take_dropped(self) -> set[str]:
        dropped, self.dropped = self.dropped, set()
        return dropped

    def adopt(self, stays: Sequence[Stay]) -> None:
        new = [stay for stay in stays if (stay.room, stay.session) not in self.here]
        self.adopted.extend(new)
        self.put(*new)

    def heed(self, notes: Notes, read_at: float) -> None:
        self.heeded.append(notes)


class Running:
    """A store with its node."""

    def __init__(self, db: Database, name: str, *, alone: bool = False, heeded: int = 0) -> None:
        self.db = db
        self.node = FakeNode(name)
        self.store = Store(db, self.node, lambda: heeded, lease=LEASE, alone=alone)

    async def stays(self) -> list[Stay]:
        return await written.stays_of(self.db, self.node.name)


def here(
    user: str = "mia",
    *,
    room: str = ROOM,
    status: Status = "online",
    about: str = "{}",
    resting: float | None = None,
    until: int | None = None,
) -> Stay:
    session = f"{room.partition('/')[0]}:{user}"
    return Stay(room, session, user, 0, status, NOW, about, resting, until)


async def of_account(db: Database, name: str) -> Stay:
    """Somebody with an account, who is logged in."""
    user = await users.create(db, name, "hash", NOW)
    _, session = await sessions.start(Endings(db), user.id, "::1", "phone", int(time.time()))
    return Stay(OWN, session.key, user.username, user.id, "online", NOW)


async def age(db: Database, node: str, seconds: float) -> None:
    """Let a node have died some time ago."""

    async def work(transaction: Transaction) -> None:
        for table, column, name in (("nodes", "wrote_at", "name"), ("here", "left_at", "node")):
            await transaction.execute(
                f"UPDATE {table} SET {column} = {column} - $2 WHERE {name} = $1",
                node,
                round(1000 * seconds),
            )

    await db.write(work)


def has_grown(seconds: float | None, grown: float, began: float) -> bool:
    """Whether it is so much, and no more than the time that the test has taken beyond that."""
    assert seconds is not None
    return grown - 1 <= seconds <= grown + 1 + time.monotonic() - began


def sessions_of(stays: Iterable[Stay]) -> set[str]:
    return {stay.session for stay in stays}


# What is written


@pytest.mark.both_databases
async def test_what_changes_is_written_and_nothing_else(db: Database) -> None:
    one = Running(db, "one")
    mia, noah = here("mia"), here("noah", status="away", about='{"name": "Noah"}', until=NOW)
    one.node.put(mia, noah)
    await one.store.write()
    assert sorted(await one.stays()) == [mia, noah]

    async def tamper(transaction: Transaction) -> None:
        await transaction.execute("UPDATE here SET since = 1 WHERE username = 'noah'")

    await db.write(tamper)
    one.node.put(mia._replace(status="away"))
    await one.store.write()
    assert sorted(await one.stays()) == [mia._replace(status="away"), noah._replace(since=1)]
    one.node.drop(mia)
    await one.store.write()
    assert await one.stays() == [noah._replace(since=1)]


@pytest.mark.both_databases
async def test_seconds_are_written_by_the_clock_of_the_database(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = time.time

    def set_clock(ahead: int) -> None:
        monkeypatch.setattr(time, "time", lambda: true() + ahead)

    set_clock(600)
    one, two = Running(db, "one"), Running(db, "two")
    one.node.put(here()._replace(since=NOW + 600, came=NOW + 540))
    one.node.choose(Chosen(0, "mia", 0, "busy", "", None, NOW, since=NOW + 600))
    await one.store.write()
    (stay,) = await one.stays()
    assert stay.since == pytest.approx(NOW, abs=STALL) and stay.came == stay.since - 60
    for ahead in (0, -600):
        set_clock(ahead)
        two.node.unheard = True
        await two.store.read()
        notes = two.node.heeded.pop()
        assert notes.clock == pytest.approx(ahead, abs=STALL)
    assert await written.choices(db) == [
        Chosen(0, "mia", 0, "busy", "", None, NOW, since=stay.since)
    ]
    heir = Running(db, "heir", alone=True)
    await heir.store.open()
    assert heir.node.heeded.pop().clock == pytest.approx(-600, abs=STALL)
    (adopted,) = heir.node.adopted
    assert adopted.since == pytest.approx(NOW - 600, abs=2 * STALL)
    assert adopted.came == adopted.since - 60
    (stay,) = await heir.stays()
    assert stay.since == pytest.approx(NOW, abs=2 * STALL)


@pytest.mark.both_databases
async def test_a_counter_moves_with_every_write_and_says_when_rows_changed(db: Database) -> None:
    one = Running(db, "one")
    one.node.put(here())
    read = []
    for change in (False, False, True, False):
        if change:
            one.node.put(here("noah"))
        await one.store.write()
        read.append((await written.nodes(db, but="two"))["one"])
    assert [(node.counter, node.changed) for node in read] == [(1, 1), (2, 1), (3, 3), (4, 3)]
    assert all(0 <= node.age < 30 for node in read)


@pytest.mark.both_databases
async def test_who_is_alone_writes_only_what_changes_and_while_graces_run(db: Database) -> None:
    one = Running(db, "one", alone=True)

    async def counter() -> int:
        await one.store.write()
        return (await written.nodes(db, but="two"))["one"].counter

    one.node.put(here())
    assert [await counter() for _ in range(3)] == [1, 1, 1]
    one.node.put(here(resting=1.0))
    assert [await counter() for _ in range(3)] == [2, 3, 4]
    one.node.put(here())
    assert [await counter() for _ in range(3)] == [5, 5, 5]


@pytest.mark.both_databases
async def test_the_last_time_somebody_was_seen_is_written_with_their_going(db: Database) -> None:
    one = Running(db, "one")
    mia = await of_account(db, "Mia")
    one.node.put(mia)
    await one.store.write()
    one.node.drop(mia, NOW + 5)
    await one.store.write()
    assert await last_seen_of(db, "mia") == NOW + 5
    assert await one.stays() == []


async def make_app(transaction: Transaction) -> None:
    await transaction.execute(
        "INSERT INTO apps (id, name, created_at, origins, visits) VALUES (7, 'wiki', $1, '[]', 0)",
        NOW,
    )


@pytest.mark.both_databases
async def test_a_later_choice_holds_and_a_later_account_comes_before_it(db: Database) -> None:
    one, two = Running(db, "one"), Running(db, "two")
    busy = Chosen(0, "mia", 3, "busy", "lunch", None, NOW, since=NOW - 9)
    one.node.choose(busy)
    await one.store.write()
    two.node.choose(busy._replace(status="away", at=NOW - 1))
    await two.store.write()
    assert await written.choices(db) == [busy]
    ended = busy._replace(status=None, text="", at=NOW + 1, since=NOW)
    two.node.choose(ended)
    await two.store.write()
    assert await written.choices(db) == [ended]
    anew = busy._replace(account=4, at=NOW - 10)
    one.node.choose(anew)
    await one.store.write()
    assert await written.choices(db) == [anew]


@pytest.mark.both_databases
async def test_a_choice_goes_with_its_account(db: Database) -> None:
    one = Running(db, "one")
    mia = await of_account(db, "Mia")
    await db.write(make_app)
    theirs = Chosen(7, "Mia", 0, "busy", "", None, NOW)
    one.node.choose(Chosen(0, "Mia", mia.account, "busy", "lunch", None, NOW), theirs)
    await one.store.write()
    await users.delete(Endings(db), mia.account, NOW)
    assert await written.choices(db) == [theirs]


@pytest.mark.both_databases
async def test_whose_node_was_taken_for_dead_writes_everything_anew(db: Database) -> None:
    one, two = Running(db, "one"), Running(db, "two")
    one.node.put(here("mia"), here("noah"))
    await one.store.write()
    await writing.forget(db, ["one"])
    one.node.put(here("olga"))
    await one.store.write()
    assert sorted(stay.user for stay in await one.stays()) == ["mia", "noah", "olga"]
    # Its counter goes on where it was: nobody waits for a value that it has had.
    await two.store.read()
    assert two.node.heeded[-1].counters["one"] >= 2


# What is read


@pytest.mark.both_databases
async def test_notes_of_others_are_read_while_these_cannot_be_heard(db: Database) -> None:
    one, two = Running(db, "one"), Running(db, "two")
    mia, busy = here("mia"), Chosen(0, "mia", 0, "busy", "", None, NOW)
    one.node.put(mia)
    one.node.choose(busy)
    await one.store.write()
    await two.store.read()
    assert two.node.heeded.pop()[:3] == ({"one": 1}, None, [])
    two.node.unheard = True
    await two.store.read()
    assert two.node.heeded.pop()[:3] == ({"one": 1}, {"one": [mia]}, [busy])
    await one.store.write()
    await two.store.read()
    assert two.node.heeded.pop()[:3] == ({"one": 2}, {}, [])
    one.node.drop(mia)
    await one.store.write()
    await two.store.read()
    assert two.node.heeded.pop()[:3] == ({"one": 3}, {"one": []}, [])
    # What somebody chose at a node that has gone meanwhile would not be heard.
    three = Running(db, "three")
    three.node.choose(busy._replace(user="noah"))
    await three.store.write()
    await writing.forget(db, ["three"])
    two.node.unheard = False
    await two.store.read()
    counters, stays, choices = two.node.heeded.pop()[:3]
    assert (counters, stays) == ({"one": 3}, None)
    assert [choice.user for choice in sorted(choices)] == ["mia", "noah"]


@pytest.mark.both_databases
async def test_what_could_not_be_read_to_the_end_is_read_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = Running(db, "one"), Running(db, "two")
    invisible = Chosen(0, "mia", 0, "invisible", "", None, NOW)
    one.node.put(here())
    one.node.choose(invisible)
    await one.store.close()

    async def read_at_second_try() -> Notes:
        with monkeypatch.context() as broken:
            broken.setattr(written, "clock_behind", fail)
            await db.attempt(two.store.read())
        assert not two.node.heeded
        await two.store.read()
        return two.node.heeded.pop()

    two.node.unheard = True
    notes = await read_at_second_try()
    assert notes.stopped == {"one": [here()]} and notes.choices == [invisible]
    two.node.unheard = False
    notes = await read_at_second_try()
    assert notes.stays is None and notes.choices == [invisible]
    # And once only.
    await two.store.read()
    assert two.node.heeded.pop().choices == []


async def fail(*values: object) -> int:
    raise UNAVAILABLE


@pytest.mark.both_databases
async def test_nothing_is_read_of_nodes_that_are_heard_while_another_is_not(db: Database) -> None:
    one, two, three = Running(db, "one"), Running(db, "two"), Running(db, "three")
    mia, noah = here("mia"), here("noah")
    for node, stay in ((one, mia), (three, noah)):
        node.node.put(stay)
        await node.store.write()
    two.node.unheard, two.node.well_heard = True, {"one"}
    await two.store.read()
    noted = two.node.heeded.pop()
    assert noted.stays == {"three": [noah]} and noted.unread == {"one"}
    assert noted.counters == {"one": 1, "three": 1}
    # What it wrote down is read as soon as it matters, whether or not it has changed since.
    two.node.well_heard = set()
    await two.store.read()
    noted = two.node.heeded.pop()
    assert noted.stays == {"one": [mia]} and not noted.unread


@pytest.mark.both_databases
async def test_of_a_node_that_is_known_only_those_are_read_who_have_changed(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = Running(db, "one"), Running(db, "two")
    rows = count_rows(db, monkeypatch)
    crowd = [here(f"user{number}") for number in range(200)]
    one.node.put(*crowd)
    await one.store.write()
    two.node.unheard, two.node.noted = True, {"one": None}

    async def read() -> tuple[Mapping[str, Sequence[Stay]] | None, Changes | None, int]:
        """What is heeded of the first, and how many rows were read for it."""
        rows.clear()
        await two.store.read()
        noted = two.node.heeded.pop()
        two.node.noted = dict(noted.counters)
        return noted.stays, noted.changes.get("one"), sum(rows)

    stays, changes, read_of_all = await read()
    assert stays is not None and len(stays["one"]) == read_of_all == 200 and changes is None
    await one.store.write()
    assert await read() == ({}, None, 0)
    gone, back, away, new = crowd[0], crowd[1], crowd[2]._replace(status="away"), here("new")
    one.node.drop(gone)
    one.node.drop(back)
    await one.store.write()
    one.node.put(back, away, new)
    await one.store.write()
    stays, changes, read_of_some = await read()
    assert stays == {} and changes is not None and read_of_some == 5
    assert sorted(changes.here) == sorted([back, away, new])
    assert changes.gone == {(gone.room, gone.session)}

    # Whoever has read nothing for long, or of somebody who says nothing of changes, reads all.
    before = two.node.noted
    monkeypatch.setattr(writing, "_TRACED", 2)
    for _ in range(3):
        one.node.put(away)
        await one.store.write()
    two.node.noted = before
    assert (await read())[2] == 200
    one.node.put(away)
    await one.store.write()
    assert (await read())[2] == 1
    assert not await db.read("SELECT * FROM gone")

    async def write_as_versions_before(transaction: Transaction) -> None:
        await transaction.execute("UPDATE nodes SET counter = 99, changed = 99, traced_from = NULL")

    await db.write(write_as_versions_before)
    assert (await read())[2] == 200


def count_rows(db: Database, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows of stays each statement reads from now on."""
    rows: list[int] = []
    read = db.read

    async def counted(sql: str, *values: Value) -> list[Row]:
        found = await read(sql, *values)
        if "FROM here" in sql or "FROM gone" in sql:
            rows.append(len(found))
        return found

    monkeypatch.setattr(db, "read", counted)
    return rows


@pytest.mark.both_databases
async def test_a_node_that_stopped_is_not_among_those_that_live(db: Database) -> None:
    one, two = Running(db, "one"), Running(db, "two")
    await one.store.write()
    one.node.put(here("mia", resting=None))
    await one.store.close()
    await two.store.read()
    assert two.node.heeded.pop()[:3] == ({}, None, [])
    # Its last words are for those who could not hear them, and are read once.
    two.node.unheard = True
    for stopped in ({"one": [here("mia")]}, {}):
        await two.store.read()
        noted = two.node.heeded.pop()
        assert (noted.counters, noted.stays, noted.stopped) == ({}, {}, stopped)


@pytest.mark.both_databases
async def test_choices_are_known_before_anybody_comes(db: Database) -> None:
    one, two = Running(db, "one"), Running(db, "two")
    busy = Chosen(0, "mia", 3, "busy", "lunch", None, NOW)
    one.node.choose(busy)
    await one.store.write()
    await two.store.open()
    assert two.node.heeded == [Notes({}, None, [busy])]


# Taking over


@pytest.mark.both_databases
async def test_a_node_has_not_stopped_while_it_sends_its_people_away(db: Database) -> None:
    one, two = Running(db, "one"), Running(db, "two")
    one.node.put(here("mia"))
    one.store.stop()
    await one.store.write()
    two.node.unheard = True
    await two.store.read()
    assert set(two.node.heeded[-1].counters) == {"one"} and not two.node.heeded[-1].stopped
    await one.store.close()
    await two.store.read()
    assert set(two.node.heeded[-1].stopped) == {"one"}


@pytest.mark.both_databases
async def test_what_is_so_at_the_end_is_written_though_a_write_is_under_way(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Running(db, "one", alone=True)
    one.node.put(here("mia"), here("noah"))
    await one.store.write()
    under_way, stopped, write = asyncio.Event(), asyncio.Event(), db.write

    async def slow(work: Work[T]) -> T:
        done = await write(work)
        under_way.set()
        await stopped.wait()
        return done

    monkeypatch.setattr(db, "write", slow)
    one.node.put(here("olga"))
    task = asyncio.create_task(one.store.write())
    async with asyncio.timeout(STALL):
        await under_way.wait()
    one.node.choose(Chosen(0, "mia", 0, "invisible", "", None, NOW))
    one.node.drop(one.node.here[ROOM, "7:noah"])
    one.store.stop()
    one.node.drop(one.node.here[ROOM, "7:mia"])
    stopped.set()
    await task
    await one.store.close()
    assert [choice.status for choice in await written.choices(db)] == ["invisible"]
    assert sessions_of(await one.stays()) == {"7:mia", "7:olga"}


@pytest.mark.both_databases
async def test_who_was_at_a_node_that_stopped_is_taken_over_once(db: Database) -> None:
    one, two, three = [Running(db, name) for name in ("one", "two", "three")]
    mia = await of_account(db, "Mia")
    one.node.put(mia, here("noah"))
    await one.store.write()
    one.store.stop()
    # Those who are sent away by the end of their node have not left.
    one.node.drop(mia)
    await one.store.close()
    await two.store.open()
    assert sessions_of(two.node.adopted) == {mia.session, "7:noah"}
    assert {stay.resting for stay in two.node.adopted} == {0.0}
    await three.store.open()
    assert three.node.adopted == []
    assert sessions_of(await two.stays()) == {mia.session, "7:noah"}


@pytest.mark.both_databases
@pytest.mark.parametrize(("dead", "absent"), [(LEASE - 1, 0.0), (LEASE + 2, 2.0)])
async def test_who_was_at_a_node_that_has_surely_ended_is_taken_over_at_once(
    db: Database, dead: float, absent: float
) -> None:
    """It may have lived until then, but nobody is here for longer than the lease lets them be."""
    began = time.monotonic()
    one, two, three = [Running(db, name) for name in ("one", "two", "three")]
    one.node.put(here("mia"), here("noah", resting=3.0))
    await one.store.write()
    await three.store.write()
    await age(db, "one", dead)
    await two.store.open({"one", "of-another-database"})
    found = {stay.user: stay.resting for stay in two.node.adopted}
    assert found.keys() == {"mia", "noah"}
    assert has_grown(found["mia"], absent, began)
    assert has_grown(found["noah"], 3.0 + dead, began)


@pytest.mark.both_databases
async def test_a_grace_goes_on_where_it_stood(db: Database) -> None:
    """Also for those whose first grace began with the end of their node, however often."""
    began = time.monotonic()
    first = Running(db, "0", alone=True)
    first.node.put(here("left", resting=3.0), here("stayed"))
    await first.store.write()
    resting = []
    for life in range(1, 4):
        # Nobody ran meanwhile: that is no absence.
        await age(db, str(life - 1), 100)
        node = Running(db, str(life), alone=True)
        await node.store.open()
        resting.append({stay.user: stay.resting or 0.0 for stay in node.node.adopted})
        for stay in await node.stays():
            node.node.put(stay._replace(resting=(stay.resting or 0.0) + 2))
        await node.store.write()
    spent = time.monotonic() - began
    for life, graces in enumerate(resting):
        assert 2.9 + 2 * life <= graces["left"] < 4.5 + 2 * life + spent
        assert 1.9 * life <= graces["stayed"] < 1.5 + 2 * life + spent


@pytest.mark.parametrize(
    ("others", "stopped", "left", "resting"),
    [
        # Others have waited for those who did not come back.
        (True, True, None, 4),
        (True, True, 3, 7),
        (True, False, None, 4 - LEASE),
        (True, False, 3, 7),
        (False, True, None, 0),
        (False, True, 3, 3),
        (False, False, None, 4 - LEASE),
        (False, False, 3, 3),
    ],
)
@pytest.mark.both_databases
async def test_how_long_somebody_counts_as_away(
    db: Database, others: bool, stopped: bool, left: float | None, resting: float
) -> None:
    """Of a node that wrote four seconds ago."""
    began = time.monotonic()
    one, two, three = [Running(db, name) for name in ("one", "two", "three")]
    one.node.put(here(resting=left))
    await one.store.write()
    if stopped:
        await one.store.close()
    await age(db, "one", 4)
    if others:
        await three.store.write()
        two.node.peers = {"three"}
    await two.store.open()
    await two.store.take_over_dead()
    (stay,) = two.node.adopted
    assert has_grown(stay.resting, resting, began)
    assert has_grown(stay.unseen, 4 + (left or 0), began)


async def test_a_claim_ends_when_it_was_to_though_no_node_ran(db: Database) -> None:
    began = time.monotonic()
    one, two = Running(db, "one"), Running(db, "two", alone=True)
    one.node.put(here("bot", resting=-60)._replace(session="7.bot"))
    await one.store.write()
    await age(db, "one", 20)
    await two.store.open()
    (stay,) = two.node.adopted
    assert has_grown(stay.resting, -40, began)


async def test_who_is_taken_over_is_known_before_others_find_them_taken(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For these ask the node that has taken them."""
    one, two = Running(db, "one"), Running(db, "two")
    one.node.put(here())
    await one.store.close()
    known_before: list[int] = []
    write = db.write

    async def watched(work: Callable[[Transaction], Coroutine[Any, Any, list[Stay]]]) -> list[Stay]:
        known_before.append(len(two.node.adopted))
        return await write(work)

    monkeypatch.setattr(db, "write", watched)
    await two.store.open()
    assert known_before == [1] and len(two.node.adopted) == 1


@pytest.mark.both_databases
async def test_of_two_nodes_the_one_counts_where_a_session_was_last(db: Database) -> None:
    for name, resting in (("one", 5.0), ("two", None), ("three", 2.0)):
        node = Running(db, name)
        node.node.put(here(resting=resting))
        await node.store.write()
    heir = Running(db, "heir", alone=True)
    await heir.store.open()
    (stay,) = heir.node.adopted
    assert stay.resting == 0.0
    assert list(await written.nodes(db, but="nobody")) == ["heir"]


@pytest.mark.both_databases
async def test_nobody_is_taken_over_who_has_ended_meanwhile(db: Database) -> None:
    one = Running(db, "one", heeded=1)
    accounts = {name: await of_account(db, name) for name in ("Stays", "LogsOut", "Deleted")}
    unix = int(time.time())
    stays = [
        here("stays", until=unix + 60),
        here("expired", until=unix - 1),
        here("revoked"),
        here("revoked", room="8/doc:42"),
        here("kicked"),
        here("kicked", room="7/other"),
        here("heeded"),
    ]
    one.node.put(*accounts.values(), *stays)

    async def revoke(transaction: Transaction) -> None:
        for username, app, room in (
            # The node has heeded the first.
            ("heeded", 7, None),
            ("revoked", 7, None),
            ("kicked", 7, "doc:42"),
        ):
            ending = Ending(
                reason=Reason.REVOKED, app=app, room=room, username=username, ended_at=NOW
            )
            await endings.record(transaction, [ending])

    await db.write(revoke)
    await one.store.write()
    await sessions.end(Endings(db), accounts["LogsOut"].session, NOW)
    await users.delete(Endings(db), accounts["Deleted"].account, NOW)
    two = Running(db, "two", alone=True)
    await two.store.open()
    assert {(stay.room, stay.user) for stay in two.node.adopted} == {
        (OWN, "Stays"),
        (ROOM, "stays"),
        ("8/doc:42", "revoked"),
        ("7/other", "kicked"),
        (ROOM, "heeded"),
    }


class Looked(str):
    """A name that counts how often it was compared."""

    times = 0

    def __eq__(self, other: object) -> bool:
        Looked.times += 1
        return super().__eq__(other)

    __hash__ = str.__hash__


@pytest.mark.both_databases
async def test_for_whom_is_taken_over_not_all_are_looked_at_who_were_revoked(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Running(db, "one")
    one.node.put(*(here(f"user{number}") for number in range(100)))
    await one.store.write()

    async def revoke(transaction: Transaction) -> None:
        revoked = [
            Ending(reason=Reason.REVOKED, app=7, username=f"user{number}", ended_at=NOW)
            for number in range(50, 250)
        ]
        await endings.record(transaction, revoked)

    await db.write(revoke)

    async def read(sql: str, *values: Value) -> list[Row]:
        rows = await db.read(sql, *values)
        if "FROM endings" not in sql:
            return rows
        return [tuple(Looked(v) if isinstance(v, str) else v for v in row) for row in rows]

    monkeypatch.setattr(Looked, "times", 0)
    stays = await left_behind(read, db.clock, Left(["one"], LEASE, others=False))
    assert {stay.user for stay in stays} == {f"user{number}" for number in range(50)}
    # As often as there are people.
    assert Looked.times <= 100


@pytest.mark.both_databases
@pytest.mark.parametrize("stopped", [False, True])
async def test_others_write_that_a_node_spoke_when_it_could_not_write(
    db: Database, stopped: bool
) -> None:
    began = time.monotonic()
    one, two, three = [Running(db, name) for name in ("one", "two", "three")]
    one.node.put(here())
    await one.store.write()
    if stopped:
        await one.store.close()
    await age(db, "one", 14)
    three.node.speaking = {"one": 12.0}
    await three.store.write()
    two.node.peers = {"three"}
    await two.store.open()
    await two.store.take_over_dead()
    (stay,) = two.node.adopted
    assert has_grown(stay.resting, 14 if stopped else 12 - LEASE, began)


@pytest.mark.both_databases
@pytest.mark.parametrize(("hears", "resting"), [(True, 14), (False, 0)])
@pytest.mark.parametrize("stopped", [False, True])
async def test_others_have_gone_on_that_could_not_write(
    db: Database, stopped: bool, hears: bool, resting: float
) -> None:
    """As one finds out who hears them."""
    began = time.monotonic()
    one, two, three = [Running(db, name) for name in ("one", "two", "three")]
    one.node.put(here())
    await one.store.write()
    if stopped:
        await one.store.close()
    await three.store.write()
    await age(db, "one", 14 if stopped else 14 + LEASE)
    await age(db, "three", 60)
    await two.store.open({"one"})
    if hears:
        two.node.peers = {"three"}
    await two.store.take_over_dead()
    (stay,) = two.node.adopted
    assert has_grown(stay.resting, resting, began)


@pytest.mark.both_databases
async def test_a_living_node_keeps_its_own(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is heard or only seen to write."""
    monkeypatch.setattr("presence_server.notes.store.WRITES_WITHIN", 1 + STALL)
    heard, silent, new = [Running(db, name) for name in ("heard", "silent", "new")]
    for running, user in ((heard, "mia"), (silent, "noah")):
        running.node.put(here(user))
        await running.store.write()
    await age(db, "heard", 60)
    new.node.peers = {"heard"}
    await new.store.open()

    async def go_on() -> None:
        while True:
            await asyncio.sleep(0.1)
            await silent.store.write()

    task = asyncio.create_task(go_on())
    await new.store.take_over_dead()
    task.cancel()
    await asyncio.wait([task])
    assert new.node.adopted == []
    assert sessions_of(await silent.stays()) == {"7:noah"}


@pytest.mark.both_databases
async def test_a_dead_node_is_not_waited_for_until_a_clock_that_was_set_back_has_caught_up(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("presence_server.notes.store.WRITES_WITHIN", 0.4)
    one, two = Running(db, "one"), Running(db, "two")
    one.node.put(here())
    await one.store.write()
    await age(db, "one", -1800)
    await two.store.open()
    async with asyncio.timeout(STALL):
        await two.store.take_over_dead()
    (stay,) = two.node.adopted
    assert stay.resting == -LEASE


@pytest.mark.both_databases
async def test_nobody_wrote_in_times_to_come(db: Database) -> None:
    one, two = Running(db, "one"), Running(db, "two")
    one.node.put(here())
    await one.store.close()
    await age(db, "one", -1800)
    two.node.unheard = True
    await two.store.read()
    assert two.node.heeded[-1].ages == {"one": 0}


@pytest.mark.both_databases
async def test_what_dropped_nodes_wrote_is_forgotten(db: Database) -> None:
    one, two = Running(db, "one"), Running(db, "two")
    names = ("Mia", "Leo", "Ida", "Max")
    mia, leo, ida, max = [await of_account(db, name) for name in names]
    one.node.put(here(), mia, leo._replace(resting=5.0), ida, max)
    # One is invisible, and another one was until some time ago.
    for user, ends in ((ida, None), (max, int(time.time()) - 60)):
        one.node.choose(Chosen(0, user.user, user.account, "invisible", "", ends, NOW))
    for running in (one, two):
        await running.store.write()
    two.node.dropped = {"one"}
    task = asyncio.create_task(two.store.run())
    await first_answer(lambda: written.nodes(db, but="two"), lambda found: not found)
    task.cancel()
    await asyncio.wait([task])
    assert await one.stays() == []
    # But for when they were last seen: the others did not see them go.
    ago = [time.time() - (await last_seen_of(db, name) or 0) for name in ("mia", "leo", "max")]
    assert ago[0] < 15 and 3 < ago[1] - ago[0] < 7 and ago[2] < 15, ago
    # Nobody is to know that somebody invisible was there.
    assert await last_seen_of(db, "ida") is None


# While the database cannot serve

UNAVAILABLE = DatabaseUnavailable("The database is away.")
UNEXPECTED = sqlite3.OperationalError("nobody knows why")


class Trouble:
    """What the database answers meanwhile."""

    def __init__(self, db: Database) -> None:
        self._engine: Engine = db._engine

    @contextmanager
    def of(self, error: Exception, *kinds: str) -> Iterator[list[str]]:
        """While the body runs; what was asked for."""
        asked: list[str] = []

        async def refuse(*values: object) -> None:
            asked.append("")
            raise error

        with pytest.MonkeyPatch.context() as broken:
            for kind in kinds:
                broken.setattr(self._engine, kind, refuse)
            yield asked


@pytest.fixture
def trouble(db: Database) -> Trouble:
    return Trouble(db)


async def test_unexpected_errors_are_outlived_loudly_and_counted(
    db: Database, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    one = Running(db, "one")
    one.node.put(here())
    task = asyncio.create_task(one.store.run())
    with trouble.of(UNEXPECTED, "read", "write") as asked:
        await until(lambda: len(asked) >= 4)
    await first_answer(one.stays, bool)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    (told,) = caplog.records
    assert told.levelname == "ERROR" and told.exc_info
    assert db.failures["unexpected"] >= 2


async def test_while_nothing_can_be_written_silence_says_nothing(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Running(db, "one")
    monkeypatch.setattr("presence_server.notes.store.DOUBTS_WRITING", 60)
    await one.store.read()
    assert not one.node.heeded.pop().others_could_write
    await one.store.write()
    await one.store.read()
    assert one.node.heeded.pop().others_could_write
    monkeypatch.setattr("presence_server.notes.store.DOUBTS_WRITING", 0)
    await one.store.read()
    assert not one.node.heeded.pop().others_could_write


@pytest.mark.parametrize("error", [UNAVAILABLE, UNEXPECTED])
async def test_what_cannot_be_written_is_written_later(
    db: Database, trouble: Trouble, error: Exception
) -> None:
    one = Running(db, "one")
    mia = await of_account(db, "Mia")
    one.node.put(mia, here("noah"), here("olga"))
    one.node.choose(Chosen(0, "noah", 0, "busy", "", None, NOW))
    with trouble.of(error, "write"):
        await db.attempt(one.store.write())
        one.node.drop(mia, NOW + 5)
        one.node.put(here("noah", status="away"))
        one.node.choose(Chosen(0, "noah", 0, "away", "", None, NOW + 1))
        await db.attempt(one.store.write())
    one.node.put(here("pia", resting=1.0))
    await one.store.write()
    stays = {stay.user: (stay.status, stay.resting is None) for stay in await one.stays()}
    assert stays == {
        "noah": ("away", True),
        "olga": ("online", True),
        "pia": ("online", False),
    }
    assert await last_seen_of(db, "Mia") == NOW + 5
    assert [choice.status for choice in await written.choices(db)] == ["away"]


async def test_only_what_was_written_moves_a_counter(db: Database, trouble: Trouble) -> None:
    # Who read it meanwhile would take one write for two, and what it did not hold for no longer so.
    one, two = Running(db, "one"), Running(db, "two")
    await one.store.write()

    async def counter() -> int:
        return (await written.nodes(db, but="three"))["one"].counter

    before = await counter()
    with trouble.of(UNAVAILABLE, "write"):
        for _ in range(2):
            await db.attempt(one.store.write())
    await one.store.write()
    assert await counter() == before + 1
    two.node.put(here())
    await two.store.write()
    await age(db, "two", 60)
    with trouble.of(UNAVAILABLE, "write"):
        await db.attempt(one.store.write())
    await one.store.take_over_dead()
    assert [stay.user for stay in one.node.adopted] == ["mia"]
    assert await counter() == before + 2


def test_what_is_being_written_does_not_change() -> None:
    unwritten = Unwritten()
    unwritten.add(Taken(Record([here("mia")], {(ROOM, "7:x")}, {"x": 1}, []), True, 5.0))
    record, taken_at = unwritten.record(), unwritten.taken_at
    unwritten.add(Taken(Record([here("noah")], {(ROOM, "7:y")}, {"y": 2}, []), False, 6.0))
    assert record == ([here("mia")], {(ROOM, "7:x")}, {"x": 1}, [])
    assert taken_at == {(ROOM, "7:mia"): 5.0}
    assert unwritten.record().last_seen == {"x": 1, "y": 2}


async def test_a_grace_that_was_written_late_has_not_become_younger(
    db: Database, path: Path
) -> None:
    one = Running(db, "one")
    await one.store.write()
    one.node.put(here(resting=1.0))
    with lock_of_another_program(path):
        await db.attempt(one.store.write())
    await one.store.write()
    (stay,) = await one.stays()
    # Longer than a transaction waits for its turn.
    assert stay.resting is not None and stay.resting > 2.5


async def test_a_sign_that_waited_to_be_written_is_no_later_than_it_was(
    path: Path, db: Database
) -> None:
    one = Running(db, "one")
    await one.store.write()
    await age(db, "one", 30)
    with lock_of_another_program(path):
        writing_signs = asyncio.create_task(writing.write_signs(db, {"one": 5.0}))
        await asyncio.sleep(0.5)
    await writing_signs
    assert 5.5 < (await written.nodes(db, but="nobody"))["one"].age < 30


async def test_after_a_write_that_had_to_wait_what_is_so_by_then_is_written_at_once(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Running(db, "one")
    began: list[float] = []

    async def write() -> None:
        began.append(time.monotonic())
        await asyncio.sleep(NOTES)

    monkeypatch.setattr(one.store, "write", write)
    task = asyncio.create_task(one.store.run())
    await until(lambda: len(began) == 3, told=lambda: "it is not written")
    # Of two times the shorter, for the machine may stall once.
    assert min(after - before for before, after in pairwise(began)) < 1.5 * NOTES
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("error", [UNAVAILABLE, UNEXPECTED])
async def test_what_dropped_nodes_wrote_is_forgotten_when_that_can_be_written(
    db: Database, trouble: Trouble, error: Exception
) -> None:
    one, two, back = [Running(db, name) for name in ("one", "two", "back")]
    for running in (one, back):
        running.node.put(here())
    for running in (one, two, back):
        await running.store.write()
    two.node.dropped = {"one", "back"}
    with trouble.of(error, "write"):
        await db.attempt(two.store.forget_dropped())
    # One of them made itself heard again meanwhile.
    two.node.peers = {"back"}
    await two.store.forget_dropped()
    assert list(await written.nodes(db, but="two")) == ["back"]


async def test_a_start_with_a_database_that_can_only_be_read_brings_everybody_back(
    db: Database, path: Path
) -> None:
    one, two = Running(db, "one"), Running(db, "two", alone=True)
    mia = await of_account(db, "Mia")
    one.node.put(mia, here("noah", resting=3.0))
    await one.store.write()
    with lock_of_another_program(path):
        await two.store.open()
    assert sessions_of(two.node.adopted) == {mia.session, "7:noah"}
    await two.store.write()
    await two.store.forget_dropped()
    assert list(await written.nodes(db, but="nobody")) == ["two"]
    assert sessions_of(await two.stays()) == {mia.session, "7:noah"}
