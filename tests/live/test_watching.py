"""Observers who are told of some: by whom they watch, at the cost of what they watch."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from presence_server.live import audience as audiences
from presence_server.live.audience import Audience
from presence_server.live.dialects import TUTORIAL
from presence_server.live.hub import Hub
from presence_server.live.observer import Observer
from presence_server.live.update import Update
from presence_server.presence.entries import Source
from presence_server.presence.moment import Moment
from tests.conftest import Serve, Visit
from presence_server.live.wire import MOST_WAITING
from presence_server.presence.roster import Roster
from tests.live.silent_wire import SmallRoom, Told, flushed, observer, running

pytestmark = pytest.mark.usefixtures("counted_turns")

NOW = Moment(0.0, 1_800_000_000)


class Stage:
    """An audience, flushed by hand."""

    def __init__(self) -> None:
        self.room = SmallRoom()
        self.audience = Audience(self.room)

    def watching(self, *users: str) -> tuple[Observer, Told]:
        line, wire = observer(self.room, view=frozenset(users))
        self.audience.add(line)
        return line, wire

    def flush(self, passed_over: Iterable[Observer] = (), degraded: bool = False) -> set[Observer]:
        """To whom something was said."""
        due = self.audience.take_due(degraded)
        update = Update(self.audience, degraded=degraded, heartbeat=20)
        told = set()
        for kind, wires in due.even:
            for line in self.audience.observers_at(kind, wires):
                line.wire.write(update.same(kind), 1)
                told.add(line)
        for line in due.own:
            if line in passed_over:
                self.audience.pass_over(line)
            elif data := update.missing(line):
                line.wire.write(data, 1)
                told.add(line)
        self.audience.end_flush()
        return told


@pytest.fixture
def stage() -> Stage:
    return Stage()


def told(wire: Told) -> list[tuple[str, set[str]]]:
    """What each message was, and of whom; and no more to come."""
    messages = wire.messages()
    wire.written.clear()
    return [
        (message["type"], {user for status in STATUSES for user in _named(message.get(status))})
        for message in messages
    ]


def _named(people: object) -> Iterable[str]:
    return people if isinstance(people, dict) else ()


STATUSES = ("online", "away", "offline", "deleted")


def test_a_view_begins_with_those_of_it_who_are_here_and_how_many_are(stage: Stage) -> None:
    for user in ("bob", "carol", "dave"):
        stage.room.place(user)
    _, wire = stage.watching("bob", "dave", "zoe")
    stage.flush()
    assert wire.messages()[1] == {"type": "count", "online": 3, "busy": 0, "away": 0}
    assert told(wire) == [("snapshot", {"bob", "dave"}), ("count", set())]


def test_each_view_has_its_own_people_and_those_of_them_who_are_with_this_server(
    stage: Stage,
) -> None:
    for user in ("bob", "carol"):
        stage.room.place(user)
    stage.room.own = {"bob": 1, "carol": 2}
    wires = {user: stage.watching(user)[1] for user in ("bob", "carol")}
    stage.flush(degraded=True)
    for user, wire in wires.items():
        snapshot, _, _, own = wire.messages()
        assert list(snapshot["online"]) == own["usernames"] == [user]


def test_one_who_missed_nothing_is_told_nothing(stage: Stage) -> None:
    stage.room.place("bob")
    line, wire = observer(stage.room)
    stage.audience.add(line)
    stage.flush()
    stage.flush()
    told(wire)
    stage.audience.pass_over(line)
    stage.audience.catch_up(line)
    assert stage.flush() == set() and wire.written == []
    stage.audience.pass_over(line)
    stage.room.place("bob", "away")
    stage.flush()
    (changes,) = wire.messages()
    assert (changes["cursor"], list(changes["away"])) == (".2", ["bob"])


def test_a_page_of_the_tutorial_begins_with_a_message_for_each(stage: Stage) -> None:
    for user in ("bob", "carol"):
        stage.room.place(user)
    line, wire = observer(stage.room, dialect=TUTORIAL)
    stage.audience.add(line)
    stage.flush()
    assert [message["username"] for message in wire.messages()] == ["bob", "carol"]


def test_a_change_is_told_to_those_who_watch_and_to_those_who_are_told_of_everybody(
    stage: Stage,
) -> None:
    of_bob, to_bobs = stage.watching("bob")
    _, to_carols = stage.watching("carol")
    everybody, to_everybody = observer(stage.room)
    stage.audience.add(everybody)
    stage.flush()
    before = to_carols.looked_at
    stage.room.place("bob")
    assert stage.flush() == {of_bob, everybody}
    assert told(to_bobs)[-1] == told(to_everybody)[-1] == ("changes", {"bob"})
    stage.room.place("zoe")
    assert stage.flush() == {everybody}
    stage.room.place("carol")
    stage.room.place("bob", "away")
    stage.flush()
    assert told(to_bobs) == [("changes", {"bob"})]
    assert told(to_carols)[-1] == ("changes", {"carol"})
    assert to_carols.looked_at == before


def test_one_who_is_passed_over_misses_nothing(stage: Stage) -> None:
    line, wire = stage.watching("bob", "carol")
    stage.flush()
    told(wire)
    stage.room.place("bob")
    stage.flush(passed_over=[line])
    stage.room.place("carol")
    stage.flush(passed_over=[line])
    stage.room.place("zoe")
    stage.flush()
    stage.audience.catch_up(line)
    stage.flush()
    assert told(wire) == [("changes", {"bob", "carol"})]


def test_what_changes_in_the_middle_of_a_flush_is_told_once(stage: Stage) -> None:
    line, wire = stage.watching("bob", "carol")
    stage.flush()
    told(wire)
    for how in ("concerned", "late"):
        stage.room.place("bob", "away" if how == "late" else "online")
        if how == "late":
            stage.flush(passed_over=[line])
            stage.audience.catch_up(line)
        due = stage.audience.take_due(False)
        update = Update(stage.audience, degraded=False, heartbeat=20)
        stage.room.place("carol", "away" if how == "late" else "online")
        for one in due.own:
            one.wire.write(update.missing(one), 1)
        stage.audience.end_flush()
        stage.flush()
        stage.flush()
        users = [users for _, users in told(wire)]
        assert set.union(*users) == {"bob", "carol"}
        assert sum(map(len, users)) == 2, "told twice"


@pytest.mark.parametrize("watches", ["some", "everybody"])
def test_who_is_still_to_be_told_of_an_outage_and_watches_others_is_told(
    stage: Stage, watches: str
) -> None:
    line, wire = stage.watching("bob")
    stage.flush()
    if watches == "everybody":
        stage.audience.watch(line, None)
        line.version = None
        stage.flush()
    told(wire)
    stage.audience.take_due(True)
    stage.audience.watch(line, frozenset({"carol"}))
    line.version = None
    stage.audience.end_flush()
    stage.flush(degraded=True)
    assert [message for message, _ in told(wire)] == ["snapshot", "count", "degraded", "own"]


@pytest.mark.parametrize("view", [None, frozenset({"bob"})])
def test_who_is_still_to_be_told_goes_on_from_what_it_knows(
    stage: Stage, view: frozenset[str] | None
) -> None:
    line, wire = observer(stage.room, view=view)
    stage.audience.add(line)
    stage.flush()
    known = stage.room.cursor(stage.room.roster.version)
    stage.room.place("bob")
    stage.audience.take_due(False)
    update = Update(stage.audience, degraded=False, heartbeat=20)
    wire.written[:] = [update.alive(line)]
    assert [message["cursor"] for message in wire.messages()] == [known]


def test_who_comes_while_others_do_is_told_how_many_are_here_now(stage: Stage) -> None:
    lines = [stage.watching("bob") for _ in range(3)]
    update = Update(stage.audience, degraded=False, heartbeat=20)
    for number, line in enumerate(stage.audience.take_due(False).own[:2]):
        # Between those who are told of some, others have a turn.
        stage.room.place(f"user{number}")
        line.wire.write(update.missing(line), 1)
    assert [wire.messages()[-1]["online"] for _, wire in lines[:2]] == [1, 2]
    assert list(stage.audience.take_uncounted(0.0)) == [line for line, _ in lines[:2]]
    # The third is told 3 and the others 2, which it is once more when they are next told.
    stage.room.place("carol")
    late, wire = lines[2]
    wire.write(update.missing(late), 1)
    stage.room.roster.remove(Source("node", "", "carol"), "carol", NOW.unix)
    assert wire.messages()[-1]["online"] == 3
    assert len(stage.audience.take_uncounted(10.0)) == 3


def test_what_changes_while_all_are_told_of_an_outage_is_told(stage: Stage) -> None:
    stage.watching("bob")
    _, wire = stage.watching("bob", "carol", "zoe")
    stage.flush()
    few, more = stage.audience.take_due(True).own
    update = Update(stage.audience, degraded=True, heartbeat=20)
    # Between those who are told of some, others have a turn.
    stage.room.place("bob")
    stage.room.place("carol")
    few.wire.write(update.missing(few), 1)
    stage.room.place("zoe")
    more.wire.write(update.missing(more), 1)
    stage.audience.end_flush()
    stage.flush(degraded=True)
    changes = [message["online"] for message in wire.messages() if message["type"] == "changes"]
    assert set().union(*changes) == {"bob", "carol", "zoe"}


def test_other_people_are_watched_from_now_on(stage: Stage) -> None:
    line, wire = stage.watching("bob")
    stage.room.place("carol")
    stage.flush()
    told(wire)
    stage.audience.watch(line, frozenset({"carol"}))
    line.version = None
    stage.room.place("bob")
    assert stage.flush() == {line}
    assert told(wire) == [("snapshot", {"carol"}), ("count", set())]
    stage.room.place("bob", "away")
    assert stage.flush() == set()
    stage.audience.watch(line, None)
    line.version = None
    stage.flush()
    assert told(wire) == [("snapshot", {"bob", "carol"})]
    stage.room.place("dave")
    stage.flush()
    assert told(wire) == [("changes", {"dave"})]


def test_one_who_waits_for_a_snapshot_is_not_told_that_nothing_happened(stage: Stage) -> None:
    line, _ = stage.watching("bob")
    stage.flush()
    update = Update(stage.audience, degraded=False, heartbeat=20)
    assert b'"alive"' in update.alive(line)
    stage.audience.watch(line, frozenset({"carol"}))
    line.version = None
    assert Update(stage.audience, degraded=False, heartbeat=20).alive(line) == b""


def test_a_view_is_resumed_with_what_changed_of_it(stage: Stage) -> None:
    stage.room.place("bob")
    version = stage.room.roster.version
    for user in ("zoe", "carol"):
        stage.room.place(user)
    line, wire = stage.watching("bob", "carol")
    line.version = version
    stage.flush()
    assert told(wire) == [("changes", {"carol"}), ("count", set())]


def test_who_was_told_elsewhere_is_told_once_what_may_be_otherwise_there(stage: Stage) -> None:
    for user in ("bob", "carol"):
        stage.room.place(user)
    stage.flush()
    bob = frozenset({"bob"})
    lines = [observer(stage.room, view=view) for view in (None, None, bob, bob)]
    for number, (line, _) in enumerate(lines):
        where = "elsewhere" if number in (1, 2) else "here"
        line.resume(f"{where}.{stage.room.roster.version}", NOW)
        stage.audience.add(line)
    stage.room.roster.dispute("bob")
    stage.flush()
    assert told(lines[0][1]) == [("changes", set())]
    assert told(lines[1][1]) == [("changes", {"bob"})]
    assert told(lines[2][1]) == [("changes", {"bob"}), ("count", set())]
    assert told(lines[3][1]) == [("changes", set()), ("count", set())]
    stage.room.roster.dispute("bob")
    stage.room.place("dora")
    stage.flush()
    assert [told(wire) for _, wire in lines] == [[("changes", {"dora"})]] * 2 + [[], []]


def test_a_view_goes_on_though_the_roster_has_forgotten_those_who_left(stage: Stage) -> None:
    stage.room.roster = Roster(remembered=1)
    line, wire = stage.watching("bob")
    stage.flush()
    told(wire)
    for user in ("bob", "x", "y", "z"):
        stage.room.place(user)
        stage.room.roster.remove(Source("node", "", user), user, NOW.unix)
    stage.flush()
    assert told(wire) == [("snapshot", set()), ("count", set())]


def test_what_is_the_same_for_many_views_is_made_once(stage: Stage) -> None:
    lines = [stage.watching("bob", str(number)) for number in range(10)]
    stage.flush()
    stage.room.place("bob")
    stage.flush()
    assert len({id(wire.written[-1]) for _, wire in lines}) == 1


def test_of_those_with_this_server_only_the_watched_are_named(stage: Stage) -> None:
    for user in ("bob", "carol"):
        stage.room.place(user)
    # Zoe is with this server and invisible.
    stage.room.own = {"bob": 1, "carol": 2, "zoe": 3}
    _, wire = stage.watching("bob", "zoe")
    stage.flush(degraded=True)
    assert wire.messages()[-1] == {"type": "own", "usernames": ["bob"]}


def test_those_who_watch_some_are_told_once_that_others_cannot_be_heard(stage: Stage) -> None:
    stage.room.place("bob")
    stage.room.own = {"bob": 1}
    line, wire = stage.watching("bob")
    stage.flush()
    told(wire)
    assert stage.flush(degraded=True) == {line} and wire.types() == ["degraded", "own"]
    told(wire)
    assert stage.flush(degraded=True) == set()
    stage.audience.watch(line, frozenset({"carol"}))
    line.version = None
    stage.flush(degraded=True)
    assert wire.types() == ["snapshot", "count"]
    told(wire)
    stage.flush()
    assert wire.messages() == [{"type": "degraded", "value": False}]


def test_what_happens_at_once_is_told_in_one_breath(stage: Stage) -> None:
    line, wire = observer(stage.room)
    stage.audience.add(line)
    stage.flush()
    assert (wire.messages()[0]["heartbeat"], wire.messages()[0]["cursor"]) == (20, ".0")
    told(wire)
    stage.room.place("bob")
    stage.room.own = {"bob": 1}
    stage.flush(degraded=True)
    changes, degraded, own = wire.messages()
    assert changes == {"type": "changes", "cursor": ".1", "online": {"bob": NOW.unix}}
    assert degraded == {"type": "degraded", "value": True}
    assert own == {"type": "own", "usernames": ["bob"]}
    told(wire)
    stage.flush()
    assert wire.types() == ["degraded"]


def test_nothing_is_left_of_one_who_is_gone(stage: Stage) -> None:
    line, _ = stage.watching("bob", "carol")
    stage.flush()
    stage.audience.watch(line, frozenset({"carol"}))
    stage.audience.remove(line)
    assert not stage.audience._watchers and not stage.audience._late
    assert len(stage.audience) == 0


def test_what_a_view_costs_does_not_grow_with_the_room(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2000):
        stage.room.place(f"user{number}")
    line, _ = stage.watching("user1", "user2", "user3")
    version = stage.room.roster.version
    for number in range(1000):
        stage.room.place(f"user{number}", "away")
    line.version = version
    walked: list[int] = []
    whole = Roster.changes_since

    def changes_since(roster: Roster, since: int) -> Any:
        walked.append(since)
        return whole(roster, since)

    monkeypatch.setattr(Roster, "changes_since", changes_since)
    update = Update(stage.audience, degraded=False, heartbeat=20)
    assert json.loads(update.missing(line)[2:].partition(b"}}")[0] + b"}}")["away"].keys() == {
        "user1",
        "user2",
        "user3",
    }
    assert walked == []


def test_counts_are_told_when_they_have_changed_and_to_many_less_often(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audiences, "_COUNTED_PER_SECOND", 1)
    lines = {stage.watching("bob")[0] for _ in range(3)}
    everybody, _ = observer(stage.room)
    stage.audience.add(everybody)
    stage.flush()
    stage.room.place("zoe")
    assert set(stage.audience.take_uncounted(0.0)) == lines
    assert stage.audience.take_uncounted(10.0) == ()
    stage.room.place("zoe", "away")
    assert stage.audience.take_uncounted(2.9) == ()
    assert set(stage.audience.take_uncounted(3.1)) == lines


async def test_one_who_lags_is_told_of_its_view_when_it_has_read() -> None:
    hub, room = Hub(20), SmallRoom()
    line, wire = observer(room, view=frozenset({"bob"}))
    beside, _ = observer(room)
    async with running(hub):
        for one in (line, beside):
            hub.add(one)
        await flushed(hub)
        wire.unread = MOST_WAITING + 1
        room.place("bob")
        hub.changed([""])
        assert (await flushed(hub)).writes == 1
        room.place("bob", "away")
        hub.changed([""])
        assert (await flushed(hub)).writes == 1
        told(wire)
        wire.unread = 0
        await flushed(hub)
    assert ("changes", {"bob"}) in told(wire)


async def test_a_page_watches_whom_it_shows(serve: Serve, visit: Visit) -> None:
    server = await serve(grace=0)
    alice, bob, carol = [await visit(server, name) for name in ("alice", "bob", "carol")]
    async with alice.live(query="watch=some") as some, alice.live() as everybody:
        first = await some.first()
        assert first["type"] == "snapshot" and some.people == {}
        await some.send({"type": "watch", "users": ["bob", "nobody"]})
        async with bob.live(), carol.live():
            await some.sees("bob", "online")
            await everybody.sees("carol", "online")
            counted = await some.message(lambda message: message.get("online") == 3)
            assert counted == {"type": "count", "online": 3, "busy": 0, "away": 0}
            assert some.people == {"bob": "online"}
        await some.sees("bob", "offline")
        cursor = some.cursor
    async with bob.live() as there:
        await there.first()
        async with alice.live(cursor=cursor, query="watch=some") as some:
            assert (await some.first())["type"] == "changes" and some.people == {}
            await some.send({"type": "watch", "users": ["bob"], "cursor": cursor})
            await some.sees("bob", "online")
            assert [message["type"] for message in some.received] == ["changes", "count"] + [
                "changes"
            ]
            await some.send({"type": "watch", "users": None})
            await some.message(lambda message: message["type"] == "snapshot")
            assert some.people == {"alice": "online", "bob": "online"}


async def test_the_tutorials_page_is_told_of_everybody(serve: Serve, visit: Visit) -> None:
    server = await serve(grace=0)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with alice.tutorial() as socket:
        await socket.sees("alice", True)
        await socket.raw.send_json({"type": "watch", "users": []})
        async with bob.live():
            await socket.sees("bob", True)
