"""What the hub tells one observer, beside what it tells all of a room; and how it lets them go."""

import asyncio
import logging

import pytest

from presence_server.live import hub as hub_module
from presence_server.live import audience as audiences
from presence_server.live import lagging, rounds
from presence_server.live.dialects import PRESENCE_V1, TUTORIAL
from presence_server.live.farewells import RESTARTING, SESSION_ENDED, TOO_SLOW
from presence_server.live.flushing import Flush
from presence_server.live.heartbeat import Heartbeat
from presence_server.live.hub import Hub
from presence_server.live.lagging import Lagging
from presence_server.live.observer import Observer
from presence_server.live.turns import Turns, slices
from presence_server.live.wire import MOST_WAITING, Message
from presence_server.presence.choices import Choice
from presence_server.presence.entries import Source
from presence_server.presence.roster import Roster
from testing.waiting import until
from tests.live.silent_wire import NOW, SmallRoom, Told, flushed, observer, running

pytestmark = pytest.mark.usefixtures("counted_turns")


def take(wire: Told) -> list[str]:
    """What was told by now, and no more to come."""
    types = wire.types()
    wire.written.clear()
    return types


async def test_an_observer_watches_others_and_goes_on_from_its_cursor() -> None:
    hub, room = Hub(20), SmallRoom()
    room.place("bob")
    line, wire = observer(room)
    async with running(hub):
        hub.add(line)
        await flushed(hub)
        take(wire)
        cursor = room.cursor(room.roster.version)
        room.place("bob", "away")
        hub.watch(line, frozenset({"bob"}), cursor)
        await flushed(hub)
        assert take(wire) == ["changes"]
        hub.watch(line, frozenset({"zoe"}), None)
        await flushed(hub)
        assert take(wire) == ["snapshot", "count"]
        hub.watch(line, None, "")
        await flushed(hub)
        assert list(wire.messages()[0]["away"]) == ["bob"] and take(wire) == ["snapshot"]


async def test_the_tutorial_and_whoever_is_gone_watch_nobody() -> None:
    hub, room = Hub(20), SmallRoom()
    tutorial, _ = observer(room, dialect=TUTORIAL)
    gone, _ = observer(room)
    hub.add(tutorial)
    hub.add(gone)
    hub.remove(gone)
    for line in (tutorial, gone):
        hub.watch(line, frozenset({"bob"}), None)
        assert line.view is None


async def test_one_line_is_told_something_alone_until_it_ends() -> None:
    hub, room = Hub(20), SmallRoom()
    (line, wire), (_, beside) = observer(room), observer(room)
    hub.add(line)
    said = [Message('{"type":"expiring","in":3}'), Message('{"type":"choice"}')]
    hub.say(line, said)
    assert wire.messages() == [{"type": "expiring", "in": 3}, {"type": "choice"}]
    assert beside.written == []
    hub.remove(line)
    hub.say(line, said)
    assert len(wire.written) == 1


async def test_a_choice_is_told_to_the_lines_of_its_user_that_know_how_it_was() -> None:
    hub, room = Hub(20), SmallRoom()
    lines = [observer(room, session=session) for session in ("laptop", "phone", "new", "else's")]
    for line, _ in lines:
        hub.add(line)
    for line, _ in lines[:2] + lines[3:]:
        line.greeted = True
    lines[3][0].user = "bob"
    room.choices["alice"] = Choice(0, 1, "busy", "in court")
    hub.tell_choice(["laptop", "unheard of", "phone", "new", "else's"], "alice")
    told = [wire.messages() for _, wire in lines]
    chosen = [{"type": "choice", "status": "busy", "text": "in court"}]
    assert told == [chosen, chosen, [], []]


async def test_a_line_begins_with_what_its_user_has_chosen() -> None:
    hub, room = Hub(20), SmallRoom()
    room.choices["alice"] = Choice(0, 1, "away")
    line, wire = observer(room)
    async with running(hub):
        hub.add(line)
        flush = await flushed(hub)
    assert wire.messages()[1] == {"type": "choice", "status": "away"}
    assert wire.messages()[0]["heartbeat"] == 20
    assert (flush.writes, flush.size) == (1, len(wire.written[0]))


async def test_in_another_room_an_observer_begins_anew() -> None:
    hub, rooms = Hub(20), [SmallRoom("1/a"), SmallRoom("1/b")]
    line, wire = observer(rooms[0])
    async with running(hub):
        hub.add(line)
        await flushed(hub)
        rooms[1].choices["alice"] = Choice(0, 1, "busy")
        line.enter(rooms[1])
        hub.move(line, rooms[0])
        take(wire)
        await flushed(hub)
        assert take(wire) == ["snapshot", "choice"]
    hub.dismiss(line, SESSION_ENDED)
    hub.move(line, rooms[0])
    assert len(hub) == 0, "whoever goes moves nowhere"
    hub.remove(line)


async def test_how_many_went_is_counted_by_why() -> None:
    hub, room = Hub(20), SmallRoom()
    for number in range(3):
        line, _ = observer(room, session=str(number))
        hub.add(line)
        hub.dismiss(line, SESSION_ENDED if number else RESTARTING, 1.5)
        hub.remove(line)
    assert hub.dismissed == {4401: 2, 1012: 1}


async def test_a_line_that_has_answered_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "_CLOSING", 0.05)
    hub, room = Hub(20), SmallRoom()
    (answers, at_answers), (silent, at_silent) = observer(room), observer(room)
    for line in (answers, silent):
        hub.add(line)
        hub.dismiss(line, SESSION_ENDED)
    hub.remove(answers)
    hub.dismiss(answers, SESSION_ENDED)
    await until(lambda: at_silent.aborted)
    assert not at_answers.aborted and len(at_answers.closed_with) == 1
    hub.remove(silent)


async def test_a_server_without_lines_stops_at_once() -> None:
    async with asyncio.timeout(15):
        await Hub(20).dismiss_all(2.0)


async def test_who_comes_to_a_server_that_stops_is_sent_away() -> None:
    hub, room = Hub(20), SmallRoom()
    async with asyncio.timeout(15):
        await hub.dismiss_all(0.0)
    line, wire = observer(room)
    hub.add(line)
    assert wire.closed_with == [RESTARTING] and wire.messages()[0]["retry_after"] == 0
    hub.remove(line)


class Forgetful(SmallRoom):
    """Of those who left it remembers one."""

    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster(remembered=1)

    def forget(self) -> None:
        for user in ("x", "y", "z"):
            self.place(user)
            self.roster.remove(Source("node", "", user), user, NOW)


async def test_who_missed_too_much_is_told_all_anew_or_has_to_come_again() -> None:
    hub, room = Hub(20), Forgetful()
    lines = [observer(room, dialect=dialect) for dialect in 2 * (PRESENCE_V1, TUTORIAL)]
    async with running(hub):
        for line, _ in lines:
            hub.add(line)
        await flushed(hub)
        for _, wire in lines[2:]:
            wire.unread = MOST_WAITING + 1
        room.place("bob")
        hub.changed([room.key])
        await flushed(hub)
        assert hub.lagging == 2
        room.forget()
        for _, wire in lines:
            wire.written.clear()
            wire.unread = 0
        hub.changed([room.key])
        await until(lambda: all(wire.written or wire.closed_with for _, wire in lines))
    (_, even), (_, even_tutorial), (_, late), (_, late_tutorial) = lines
    assert list(even.messages()[0]["online"]) == ["bob"] == list(late.messages()[0]["online"])
    assert even.types()[0] == late.types()[0] == "snapshot"
    assert even_tutorial.closed_with == late_tutorial.closed_with == [TOO_SLOW]


async def test_a_flush_says_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("presence_server.live.flushing.monotonic", lambda: clock[0])
    hub, room = Hub(20), SmallRoom()
    lines = [observer(room) for _ in range(150)]
    told: list[Flush] = []
    hub.flushing.tell(told.append)
    async with running(hub):
        for line, _ in lines:
            hub.add(line)
        await until(lambda: told)
        assert told.pop() == Flush(0.0, 0.0, 150, 150 * len(lines[0][1].written[0]))
        for _, wire in lines:
            wire.written.clear()
        lines[2][1].unread = MOST_WAITING + 1
        clock[0] = 200.0
        room.place("bob")
        hub.changed([room.key])
        clock[0] = 201.0
        hub.changed([room.key, "nobody looks there"])
        clock[0] = 203.0
        await until(lambda: told)
    (flush,) = told
    assert flush == Flush(3.0, 0.0, 149, 149 * len(lines[0][1].written[0]))


class Unread(Told):
    """Its peer reads nothing."""

    def write(self, data: bytes, turn: int) -> None:
        super().write(data, turn)
        self.unread += len(data)


async def test_one_to_whom_much_is_told_is_watched_though_nothing_happens_any_more() -> None:
    hub, room = Hub(20), SmallRoom()
    crowd = [f"{number:070}" for number in range(1000)]
    for user in crowd:
        room.place(user)
    (line, wire), (beside, at_beside) = observer(room), observer(room)
    line.wire = wire = Unread()
    async with running(hub):
        hub.add(line)
        hub.add(beside)
        await flushed(hub)
        assert hub.lagging == 1, "the first message is longer than may wait"
        wire.unread = 0
        await until(lambda: not hub.lagging)
        for user in crowd:
            room.place(user, "away")
        hub.changed([room.key])
        await flushed(hub)
        assert hub.lagging == 1
    assert len(wire.written) == len(at_beside.written) == 2


def test_a_line_is_stuck_when_it_has_taken_in_nothing_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr(lagging, "monotonic", lambda: clock[0])
    watched, (line, wire) = Lagging(), observer(SmallRoom())
    wire.unread = 3 * MOST_WAITING
    watched.watch(line)
    assert line in watched and len(watched) == 1
    clock[0] = 110.0
    watched.watch(line)
    assert watched.stuck() == [] and watched.take_caught_up() == []
    clock[0] = 110.1
    assert watched.stuck() == [line]
    wire.unread -= 1
    assert watched.stuck() == []
    clock[0] = 120.1
    assert watched.stuck() == []
    clock[0] = 120.2
    assert watched.stuck() == [line]
    wire.unread = MOST_WAITING + 1
    assert watched.take_caught_up() == []
    wire.unread = MOST_WAITING
    assert watched.take_caught_up() == [line]
    assert line not in watched and len(watched) == 0
    watched.forget(line)


async def test_who_does_not_read_is_named_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lagging, "_TOO_LONG", 0.0)
    hub, room = Hub(20), SmallRoom()
    line, wire = observer(room)
    with caplog.at_level(logging.INFO, rounds.__name__):
        async with running(hub):
            hub.add(line)
            wire.unread = 2 * MOST_WAITING
            await until(lambda: wire.closed_with)
    assert caplog.messages == ["cut a line of alice that does not read"]


class Counting(Told):
    """Keeps in which turn something was written, and when it was excused."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[int] = []
        self.excused: list[Heartbeat] = []
        self.asked: list[Heartbeat] = []

    def write(self, data: bytes, turn: int) -> None:
        super().write(data, turn)
        self.sent = turn
        self.turns.append(turn)

    def excuse(self, heartbeat: Heartbeat) -> None:
        self.excused.append(heartbeat)

    def keep_alive(self, heartbeat: Heartbeat) -> bool:
        self.asked.append(heartbeat)
        return super().keep_alive(heartbeat)


def counting(room: SmallRoom, view: frozenset[str] | None = None) -> tuple[Observer, Counting]:
    line, _ = observer(room, view=view)
    line.wire = wire = Counting()
    return line, wire


async def test_a_quiet_line_is_told_once_a_heartbeat_that_all_is_well() -> None:
    hub, room = Hub(1), SmallRoom()
    (line, wire), (lags, at_lags) = counting(room), counting(room)
    async with running(hub):
        hub.add(line)
        hub.add(lags)
        await flushed(hub)
        at_lags.unread = MOST_WAITING + 1
        room.place("bob")
        hub.changed([room.key])
        await until(lambda: wire.types().count("alive") == 2, 10)
    first, changed, alive, again = wire.turns
    assert (alive - changed, again - alive) == (8, 8)
    assert wire.messages()[2]["cursor"] == room.cursor(room.roster.version)
    assert set(wire.asked) == {hub.heartbeat} == set(at_lags.excused)
    assert at_lags.types() == ["snapshot"], "nothing is added to what waits"
    assert wire.excused == []


async def test_one_who_comes_and_cannot_be_told_holds_up_nobody() -> None:
    hub, room = Hub(1), SmallRoom()
    (lags, at_lags), (exactly, at_exactly) = observer(room), observer(room)
    line, wire = counting(room)
    at_lags.unread, at_exactly.unread = MOST_WAITING + 1, MOST_WAITING
    async with running(hub):
        await until(lambda: hub.heartbeat.turn > 2)
        for each in (lags, exactly, line):
            hub.add(each)
        await flushed(hub)
        assert hub.lagging == 1
        assert wire.turns == [hub.heartbeat.turn]
    assert at_lags.types() == [] and at_exactly.types() == wire.types() == ["snapshot"]


async def test_those_who_watch_some_are_told_how_many_are_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "_COUNT_EVERY", 0.05)
    hub, room = Hub(1), SmallRoom()
    some = [counting(room, frozenset({"zoe"})) for _ in range(150)]
    lags, at_lags = counting(room, frozenset({"zoe"}))
    everybody, at_everybody = counting(room)
    async with running(hub):
        for line in (*(line for line, _ in some), lags, everybody):
            hub.add(line)
        await flushed(hub)
        await until(lambda: "count" in at_lags.types())
        hub._lagging.watch(lags)
        at_lags.unread = MOST_WAITING + 1
        for _, wire in (*some, (lags, at_lags)):
            wire.written.clear()
        room.place("bob")
        hub.changed([room.key])
        await until(lambda: all(wire.written for _, wire in some))
        counted = [{"type": "count", "online": 1, "busy": 0, "away": 0}]
        assert all(wire.messages() == counted for _, wire in some)
        assert len({id(wire.written[0]) for _, wire in some}) == 1, "made once"
        assert some[0][1].turns[-1] == some[0][1].sent <= hub.heartbeat.turn
        assert at_lags.written == []
        at_lags.unread = 0
        await until(lambda: at_lags.types() == ["count"])
        assert at_lags.messages() == counted
    assert "count" not in at_everybody.types()


async def test_who_comes_and_goes_while_it_is_told_how_many_are_here_is_counted_for_all_or_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "_COUNT_EVERY", 0.05)
    hub, room = Hub(1), SmallRoom()
    some = [counting(room, frozenset({"zoe"})) for _ in range(150)]
    async with running(hub):
        for line, _ in some:
            hub.add(line)
        await flushed(hub)
        await until(lambda: {how_many(wire) for _, wire in some} == {0})
        comes_and_goes(room, monkeypatch)
        room.place("bob")
        await until(lambda: how_many(some[-1][1]) == 1 == len(room.roster.here))
        assert {how_many(wire) for _, wire in some} == {1}


async def test_who_comes_is_told_before_all_others_are_told_of_an_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audiences, "_TOLD_AT_ONCE", 60)
    hub, room = Hub(20), SmallRoom()
    some = [observer(room, view=frozenset({"zoe"}), session=str(n)) for n in range(150)]
    late, at_late = observer(room, view=frozenset({"zoe"}))
    async with running(hub):
        for line, _ in some:
            hub.add(line)
        await until(lambda: all(wire.types() == ["snapshot", "count"] for _, wire in some))
        for _, wire in some:
            take(wire)
        hub.set_degraded(True)
        room.place("bob")
        assert (await flushed(hub)).writes == 60
        hub.add(late)
        assert (await flushed(hub)).writes == 60
        assert "snapshot" in at_late.types()
        await until(lambda: all("degraded" in wire.types() for _, wire in some))


def comes_and_goes(room: SmallRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody does in the next two turns that are left to others."""
    before, others = Turns.before, iter(["comes", "goes"])

    async def turn(turns: Turns, most: int) -> None:
        await before(turns, most)
        match next(others, None):
            case "comes":
                room.place("carol")
            case "goes":
                room.roster.remove(Source("node", "", "carol"), "carol", NOW)

    monkeypatch.setattr(Turns, "before", turn)


def how_many(wire: Told) -> int:
    """Are here, as it was told last."""
    counts = [message for message in wire.messages() if message["type"] == "count"]
    return sum(counts[-1][status] for status in ("online", "busy", "away")) if counts else -1


def test_many_wait_longer_for_how_many_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    room = SmallRoom()
    audience = audiences.Audience(room)
    assert audience.take_uncounted(0.0) == ()
    lines = [counting(room, frozenset({"bob"}))[0] for _ in range(4)]
    for line in lines:
        audience.add(line)
        line.greeted = True
    monkeypatch.setattr(audiences, "_COUNTED_PER_SECOND", 2)
    room.place("bob")
    lines[3].greeted = False
    assert list(audience.take_uncounted(0.0)) == lines[:3]
    room.place("zoe")
    assert audience.take_uncounted(1.9) == ()
    assert list(audience.take_uncounted(2.0)) == lines[:3]


async def test_others_have_a_turn_when_enough_was_done_and_their_time_is_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spent, others = 0.0, 0
    monkeypatch.setattr("presence_server.live.turns.thread_time", lambda: spent)
    turns = Turns()

    async def beside() -> None:
        nonlocal others, spent
        while True:
            others += 1
            spent += 1
            await asyncio.sleep(0)

    async def write_to(count: int, seconds: float) -> None:
        nonlocal spent
        await turns.before(count)
        spent += seconds

    working = asyncio.create_task(beside())
    await write_to(25, 0.0005)
    await write_to(25, 0.0005)
    assert others == 0, "it had not taken long"
    await write_to(25, 0.0001)
    assert others == 1
    await write_to(25, 0.0001)
    assert others == 1, "a turn of others begins it anew"
    for _ in range(2):
        await write_to(10, 0.0004)
    assert others == 1, "of few the clock is not looked at"
    await write_to(6, 0.0001)
    assert others == 2
    assert turns.spent == pytest.approx(0.0021)
    working.cancel()
    assert [len(each) for each in slices(range(60))] == [25, 25, 10]
    assert list(slices([])) == []


async def test_what_runs_has_a_name_by_which_it_is_known_when_it_ends() -> None:
    hub = Hub(20)
    async with running(hub):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        names = {task.get_name() for task in asyncio.all_tasks()}
    assert {"flush", "rounds", "heartbeat", "count", "watch lagging observers"} <= names
