"""The hub with lines that are none: who is told what, and what it costs the others."""

import asyncio
from collections import Counter

import pytest

from presence_server.live import hub as hub_module
from presence_server.live import lagging, turns
from presence_server.live.dialects import TUTORIAL
from presence_server.live.farewells import NOT_ALLOWED, RESTARTING, SESSION_ENDED, TOO_SLOW
from presence_server.live.hub import Hub
from presence_server.live.observer import Observer
from presence_server.live.pacing import Budget
from presence_server.live.update import Update
from presence_server.live.wire import MOST_WAITING
from presence_server.presence.states import Status
from testing.waiting import until
from tests.live.silent_wire import NOW, SilentWire, SmallRoom, flushed, observer, running

pytestmark = pytest.mark.usefixtures("counted_turns")


async def test_only_rooms_in_which_something_changed_are_looked_at() -> None:
    hub, rooms = Hub(20), [SmallRoom(str(number)) for number in range(3)]
    wires = []
    async with running(hub):
        for room in rooms:
            line, wire = observer(room)
            hub.add(line)
            wires.append(wire)
        await flushed(hub)
        before = [wire.looked_at for wire in wires]
        rooms[1].place("bob")
        hub.changed(["1", "no such room"])
        await flushed(hub)
    assert [wire.looked_at for wire in wires] == [before[0], before[1] + 1, before[2]]
    assert [wire.types()[1:] for wire in wires] == [[], ["changes"], []]


async def test_a_newcomer_costs_nothing_for_those_who_are_up_to_date() -> None:
    hub, room = Hub(20), SmallRoom()
    first, wire = observer(room)
    async with running(hub):
        hub.add(first)
        await flushed(hub)
        before = wire.looked_at
        hub.add(observer(room)[0])
        assert (await flushed(hub)).writes == 1
    assert wire.looked_at == before


async def test_what_is_the_same_for_many_is_made_once() -> None:
    hub, room = Hub(20), SmallRoom()
    lines = [observer(room) for _ in range(3)] + [observer(room, dialect=TUTORIAL)]
    room.place("bob")
    async with running(hub):
        for line, _ in lines:
            hub.add(line)
        await flushed(hub)
    (a, b, c, tutorial) = [wire.written[0] for _, wire in lines]
    assert a is b is c and a is not tutorial


@pytest.mark.parametrize(("rooms", "people"), [(1, 1000), (100, 10)])
async def test_no_more_than_a_hundred_are_seen_to_between_two_turns(
    rooms: int, people: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, wires = Hub(1), list[SilentWire]()

    def seen_to() -> int:
        return sum(len(wire.written) + wire.kept_alive for wire in wires)

    # As on a machine where a write takes 8 µs.
    monkeypatch.setattr(turns, "thread_time", lambda: 8e-6 * seen_to())
    for room in [SmallRoom(str(number)) for number in range(rooms)] * people:
        line, wire = observer(room)
        hub.add(line)
        wires.append(wire)
    most = 0

    async def work() -> None:
        nonlocal most
        before = 0
        while True:
            await asyncio.sleep(0)
            now = seen_to()
            most, before = max(most, now - before), now

    async with running(hub):
        beside = asyncio.create_task(work())
        assert (await flushed(hub)).writes == 1000
        await until(lambda: all(wire.kept_alive for wire in wires))
        beside.cancel()
    assert most == 100


async def test_what_a_flush_cost_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Budget, "wait", lambda budget, now: 3600.0)
    hub, room = Hub(20), SmallRoom()
    line, wire = observer(room)
    async with running(hub):
        hub.add(line)
        await flushed(hub)
        told = wire.types()
        room.place("bob")
        hub.changed([room.key])
        for _ in range(100):
            await asyncio.sleep(0)
    assert wire.types() == told


@pytest.mark.parametrize("view", [None, frozenset({"zoe"})], ids=["of everybody", "of some"])
async def test_a_crowd_that_comes_in_during_flushes_is_told_with_all_others_soon(
    view: frozenset[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each flush tells every one of them by itself what it misses, as long as they come."""
    by_itself: Counter[Observer] = Counter()
    missing = Update.missing

    def counted(update: Update, line: Observer) -> bytes:
        by_itself[line] += 1
        return missing(update, line)

    monkeypatch.setattr(Update, "missing", counted)
    monkeypatch.setattr(Budget, "wait", lambda budget, now: 0.0)
    hub, room = Hub(20), SmallRoom()
    for _ in range(300):
        hub.add(observer(room)[0])
    crowd = [observer(room, view=view) for _ in range(300)]
    async with running(hub), asyncio.timeout(30):
        await flushed(hub)
        by_itself.clear()
        # Somebody comes in every turn that the flushes leave to others.
        for number, (line, _) in enumerate(crowd):
            room.place(f"user{number}")
            hub.add(line)
            hub.changed([room.key])
            await asyncio.sleep(0)
        # Once at their begin; who is told of some, once more that nothing concerned them.
        assert max(by_itself.values()) <= (2 if view else 1)
        room.place("zoe")
        hub.changed([room.key])
        # Behind it those who are told of some may have been told how many are here.
        while not all(b"zoe" in b"".join(wire.written[-2:]) for _, wire in crowd):
            await asyncio.sleep(0)
    everybody = [*(f"user{number}" for number in range(300)), "zoe"]
    for _, wire in (crowd[0], crowd[150], crowd[-1]):
        told = [each for each in wire.messages() if each["type"] in ("snapshot", "changes")]
        names = [name for each in told for name in each.get("online", ())]
        assert sorted(names) == (["zoe"] if view else sorted(everybody))


async def test_who_goes_during_a_flush_is_told_nothing_more() -> None:
    hub, room = Hub(20), SmallRoom()
    lines = [observer(room) for _ in range(150)]
    for line, _ in lines:
        hub.add(line)
    gone, dismissed, last = lines[-3], lines[-2], lines[-1]

    async def go() -> None:
        hub.remove(gone[0])
        hub.dismiss(dismissed[0], SESSION_ENDED)

    async with running(hub):
        await asyncio.sleep(0)
        going = asyncio.create_task(go())
        await flushed(hub)
        await going
    assert gone[1].written == []
    assert dismissed[1].types() == ["bye"]
    assert last[1].types() == ["snapshot"]
    assert len(hub) == 148 and hub.lagging == 0


async def test_who_moves_during_a_flush_is_told_of_the_other_room_only() -> None:
    hub, rooms = Hub(20), [SmallRoom("1/a"), SmallRoom("1/b")]
    rooms[1].place("zoe")
    lines = [observer(rooms[0]) for _ in range(150)]
    for line, _ in lines:
        hub.add(line)
    moved, wire = lines[-1]

    async def move() -> None:
        moved.room = rooms[1]
        hub.move(moved, rooms[0])

    async with running(hub):
        await asyncio.sleep(0)
        moving = asyncio.create_task(move())
        await flushed(hub)
        await moving
        await flushed(hub)
        rooms[0].place("bob")
        hub.changed(["1/a"])
        assert (await flushed(hub)).writes == 149
    (told,) = wire.messages()
    assert told["type"] == "snapshot" and told["online"].keys() == {"zoe"}


async def test_one_who_lags_is_passed_over_and_then_told_all_at_once() -> None:
    hub, room = Hub(20), SmallRoom()
    line, wire = observer(room)
    beside, _ = observer(room)
    async with running(hub):
        hub.add(line)
        hub.add(beside)
        await flushed(hub)
        wire.unread = MOST_WAITING + 1
        statuses: tuple[Status, ...] = ("online", "away")
        for status in statuses:
            room.place("bob", status)
            hub.changed([""])
            assert (await flushed(hub)).writes == 1
        assert hub.lagging == 1
        wire.unread = 0
        assert (await flushed(hub)).writes == 1
    assert wire.types() == ["snapshot", "changes"]
    assert wire.messages()[-1]["away"] == {"bob": NOW}


async def test_one_who_is_stuck_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lagging, "_TOO_LONG", 0.3)
    hub, room = Hub(20), SmallRoom()
    line, wire = observer(room)
    async with running(hub):
        hub.add(line)
        wire.unread = 10 * MOST_WAITING
        await until(lambda: wire.closed_with)
    assert wire.closed_with == [TOO_SLOW]
    assert hub.lagging == 0 and len(hub) == 0


async def test_one_who_is_silent_is_cut_and_the_quiet_are_told_that_all_is_well() -> None:
    hub, room = Hub(1), SmallRoom()
    (silent, silent_wire), (quiet, quiet_wire) = observer(room), observer(room)
    silent_wire.answers = False
    async with running(hub):
        hub.add(silent)
        hub.add(quiet)
        await until(lambda: "alive" in quiet_wire.types())
    assert silent_wire.aborted and silent_wire.closed_with == []
    assert hub.dismissed[1006] == 1 and len(hub) == 1


async def test_who_was_never_let_in_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "_CLOSING", 0.1)
    hub = Hub(20)
    line, wire = observer(SmallRoom())
    hub.dismiss(line, NOT_ALLOWED)
    hub.dismiss(line, SESSION_ENDED)
    assert wire.messages() == [{"type": "bye", "reason": "not_allowed"}]
    assert wire.closed_with == [NOT_ALLOWED]
    await until(lambda: wire.aborted)
    hub.remove(line)


async def test_a_session_ends_in_one_room_or_in_all() -> None:
    hub, rooms = Hub(20), [SmallRoom("1/a"), SmallRoom("1/b")]
    (a, at_a), (b, at_b) = [observer(room, session="1:alice") for room in rooms]
    other, at_other = observer(rooms[0], session="1:bob")
    own, _ = observer(SmallRoom(), session="of an account")
    for line in (a, b, other, own):
        hub.add(line)
    hub.end_session("1:alice", "1/a")
    assert (at_a.closed_with, at_b.closed_with) == ([SESSION_ENDED], [])
    hub.end_session("1:alice")
    assert at_b.closed_with == [SESSION_ENDED]
    assert at_other.closed_with == []
    assert len(hub) == 2 and hub.sessions() == ["of an account"]
    for line in (a, b, other, own):
        hub.remove(line)
    assert hub.sessions() == [] and len(hub) == 0


async def test_everybody_is_told_of_a_restart_and_waited_for() -> None:
    hub, rooms = Hub(20), [SmallRoom("1/a"), SmallRoom("1/b")]
    lines = [observer(room) for room in rooms]
    for line, _ in lines:
        hub.add(line)
    stopping = asyncio.create_task(hub.dismiss_all(2.0))
    await asyncio.sleep(0)
    # Somebody was let in just then.
    lines.append(observer(rooms[0]))
    hub.add(lines[-1][0])
    for line, wire in lines:
        assert wire.closed_with == [RESTARTING]
        assert not stopping.done()
        hub.remove(line)
    async with asyncio.timeout(15):
        await stopping
    delays = [wire.messages()[0]["retry_after"] for _, wire in lines]
    assert all(isinstance(delay, float) and 0 <= delay <= 2 for delay in delays)


async def test_all_rooms_are_told_when_other_nodes_cannot_be_heard() -> None:
    hub, rooms = Hub(20), [SmallRoom("1/a"), SmallRoom("1/b")]
    rooms[0].place("bob")
    rooms[0].own = ["bob", "somebody invisible"]
    lines = [observer(room) for room in rooms]
    async with running(hub):
        for line, _ in lines:
            hub.add(line)
        await flushed(hub)
        hub.set_degraded(True)
        await flushed(hub)
        late, at_late = observer(rooms[1])
        hub.add(late)
        await flushed(hub)
        hub.set_degraded(False)
        await flushed(hub)
    (_, first), (_, second) = lines
    assert b'"usernames":["bob"]' in first.written[1]
    assert b'"usernames":[]' in second.written[1]
    assert b'"value":true' in at_late.written[0]
    assert all(b'"value":false' in wire.written[-1] for wire in (first, second, at_late))
