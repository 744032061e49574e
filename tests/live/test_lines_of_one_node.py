"""What the running node does for its lines, for pages and for the store, told from its rules."""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from presence_server.crowd import Crowd
from presence_server.live import service as service_module
from presence_server.live.clock import moment
from presence_server.live.cover import Cover
from presence_server.live.dialects import PRESENCE_V1, TUTORIAL, Dialect
from presence_server.live.farewells import RESTARTING, SESSION_ENDED
from presence_server.live.observer import Observer
from presence_server.live.service import PresenceService
from presence_server.presence.client_messages import StatusMessage
from presence_server.presence.commands import Breathe, Resubscribe, Send
from presence_server.presence.letters import Part, People, Said
from presence_server.presence.members import Who
from presence_server.presence.profiles import Profile
from presence_server.presence.records import OWN, Notes, Stay
from presence_server.presence.states import State, Status
from presence_server.presence.writing import encode_letter
from presence_server.relay.memory import MemoryBus, MemoryRelay
from testing.waiting import until
from tests.live.silent_wire import Told, flushed, running

ONE, OTHER = "1" * 16, "2" * 16
ROOM = "1/doc"


def node(name: str = ONE, bus: MemoryBus | None = None, **more: Any) -> PresenceService:
    settings = {"grace": 8, "lease": 1.0, "heartbeat": 20, **more}
    return PresenceService(name, MemoryRelay(name, bus), **settings)


def told_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The messages, but for those of a machine that stalled."""
    return [message for message in caplog.messages if " still " not in message]


class Recording(MemoryRelay):
    """Keeps what was sent, and to whom."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.letters: list[tuple[str, str | None]] = []

    def send(self, text: str, to: str | None = None) -> None:
        self.letters.append((text, to))
        super().send(text, to)


def come(
    presence: PresenceService,
    user: str,
    *,
    room: str = OWN,
    session: str = "",
    cursor: str | None = None,
    status: Status | None = None,
    dialect: Dialect = PRESENCE_V1,
) -> tuple[Observer, Told]:
    wire, session = Told(), session or f"1:{user}" if room else session or f"of {user}"
    place = presence.node.rooms.open(room)
    made = Observer(session=session, user=user, room=place, dialect=dialect, wire=wire)
    assert presence.connect(made, Who(session, user, 0 if room else 1), cursor, status)
    return made, wire


def statuses(presence: PresenceService, room: str = OWN) -> Mapping[str, State]:
    found = presence.node.rooms.get(room)
    here = {} if found is None else found.roster.here
    return {user: person.status for user, person in here.items()}


async def test_connections_are_numbered_and_go_with_their_lines() -> None:
    presence = node()
    (first, _), (second, _) = come(presence, "alice"), come(presence, "alice")
    assert (first.connection, second.connection) == (1, 2)
    assert presence.appear(ROOM, Who("1:bob", "bob")) == 3
    assert presence.appear(ROOM, Who("1:eve", "eve"), "away") == 4
    assert statuses(presence, ROOM) == {"bob": "online", "eve": "away"}
    assert len(presence.hub) == 2
    presence.say_status(ROOM, "1:bob", 3, "away")
    assert statuses(presence, ROOM)["bob"] == "away"
    presence.leave(ROOM, "1:bob")
    assert list(statuses(presence, ROOM)) == ["eve"]
    presence.disconnect(first)
    assert len(presence.hub) == 1 and statuses(presence) == {"alice": "online"}


async def test_who_was_never_let_in_leaves_nothing_behind() -> None:
    presence = node()
    place = presence.node.rooms.open(ROOM)
    stranger = Observer(
        session="1:eve", user="eve", room=place, dialect=PRESENCE_V1, wire=Told()
    )
    presence.disconnect(stranger)
    assert place._observers == 0
    line, _ = come(presence, "alice", room=ROOM)
    assert place._observers == 1
    presence.disconnect(line)
    assert place._observers == 0


async def test_the_last_line_begins_a_grace_and_its_end_is_told() -> None:
    presence = node(grace=0.3)
    _, wire = come(presence, "alice")
    async with running(presence):
        bob, _ = come(presence, "bob")
        await until(lambda: wire.types()[:1] == ["snapshot"])
        presence.disconnect(bob)
        assert "bob" in presence.here
        await until(lambda: "bob" in wire.messages()[-1].get("offline", ()))
    assert presence.status_of("bob") is None and presence.left("bob") is not None
    assert presence.left("nobody") is None


async def test_who_comes_back_with_a_cursor_is_told_what_changed() -> None:
    presence = node()
    async with running(presence):
        _, wire = come(presence, "alice")
        await flushed(presence.hub)
        cursor = wire.messages()[0]["cursor"]
        come(presence, "bob")
        _, again = come(presence, "alice", session="phone", cursor=cursor)
        _, tutorial = come(presence, "alice", cursor=cursor, dialect=TUTORIAL)
        _, anew = come(presence, "alice", session="new", cursor="")
        await until(lambda: again.written and tutorial.written and anew.written)
    assert again.types()[0] == "changes" and list(again.messages()[0]["online"]) == ["bob"]
    assert anew.types()[0] == "snapshot"
    told = json.loads(b"{" + tutorial.written[0].partition(b"{")[2].partition(b"}")[0] + b"}")
    assert told["is_logged_in"], "the tutorial begins with all who are here"


async def test_a_client_says_how_its_user_is() -> None:
    presence = node()
    async with running(presence):
        line, wire = come(presence, "alice")
        other, at_other = come(presence, "alice", session="phone")
        await until(lambda: wire.written and at_other.written)
        presence.hear(line, StatusMessage("away", whole_user=False))
        presence.hear(other, StatusMessage("away", whole_user=False))
        assert statuses(presence) == {"alice": "away"}
        presence.hear(line, StatusMessage("online", whole_user=False))
        assert statuses(presence) == {"alice": "online"}
        presence.hear(line, StatusMessage("busy", True, text="in court", until=4_000_000_000))
        chosen = {"type": "choice", "status": "busy", "text": "in court", "until": 4_000_000_000}
        assert chosen in wire.messages() and chosen in at_other.messages()
        assert statuses(presence) == {"alice": "busy"}
        assert presence.left_behind("alice") == ("in court", 4_000_000_000)
        assert presence.left_behind("bob") == ("", None)
        presence.hear(line, StatusMessage("online", True))
        assert statuses(presence) == {"alice": "online"}
        assert presence.left_behind("alice") == ("", None)
        assert wire.messages()[-1] == {"type": "choice"}


@pytest.mark.parametrize("whole_user", [True, False])
@pytest.mark.parametrize("allowed", [True, False])
async def test_only_who_may_be_is_invisible_and_only_for_all_lines(
    whole_user: bool, allowed: bool
) -> None:
    presence = node()
    line, _ = come(presence, "alice")
    if allowed:
        presence.hear(line, StatusMessage("invisible", whole_user), may_be_invisible=True)
    else:
        presence.hear(line, StatusMessage("invisible", whole_user))
    assert ("alice" in presence.here) is not (whole_user and allowed)


async def test_what_a_user_of_an_app_chooses_holds_in_all_of_its_rooms() -> None:
    presence = node()
    line, wire = come(presence, "alice", room=ROOM)
    come(presence, "alice", room="1/other")
    come(presence, "alice", room="2/doc")
    line.greeted = True
    presence.hear(line, StatusMessage("busy", True))
    assert wire.messages() == [{"type": "choice", "status": "busy"}]
    assert statuses(presence, ROOM) == statuses(presence, "1/other") == {"alice": "busy"}
    assert statuses(presence, "2/doc") == {"alice": "online"}
    (choice,) = [choice for _, _, choice in presence.node.choices.all()]
    assert (choice.account, choice.text, choice.until) == (0, "", None)


async def test_a_choice_is_that_of_the_account() -> None:
    presence = node()
    line, _ = come(presence, "alice")
    presence.hear(line, StatusMessage("away", True))
    (choice,) = [choice for _, _, choice in presence.node.choices.all()]
    assert choice.account == 1


async def test_who_finds_no_place_is_waited_for_if_they_were_here() -> None:
    crowd = Crowd()
    presence = node(crowd=crowd)
    now = moment().elapsed
    presence.send_away(OWN, Who("of bob", "bob"), 3.0)
    assert crowd.since(now) is None
    presence.claim(OWN, Who("of bob", "bob"))
    assert presence.here["bob"].status == "online"
    presence.send_away(OWN, Who("of bob", "bob"), 3.0)
    since = crowd.since(now)
    assert since is not None and since == pytest.approx(now, abs=1)
    assert crowd.since(now + 3.5) is not None and crowd.since(now + 5.5) is None


async def test_a_crowd_that_waits_is_not_taken_for_gone() -> None:
    crowd = Crowd()
    presence = node(crowd=crowd, grace=0.1)
    for user in ("bob", "eve"):
        presence.claim(OWN, Who(f"of {user}", user))
    presence.send_away(OWN, Who("of bob", "bob"), 5.0)
    async with running(presence):
        await asyncio.sleep(0.4)
        assert set(presence.here) == {"bob", "eve"}
    alone = node(grace=0.1)
    alone.claim(OWN, Who("of bob", "bob"))
    async with running(alone):
        await until(lambda: not alone.here)


async def test_who_finds_no_place_shows_by_it_that_they_are_here() -> None:
    relay = Recording(ONE)
    presence = PresenceService(ONE, relay, grace=8, lease=60.0, heartbeat=20)
    bob = Who("of bob", "bob", 1)
    people = People({OWN: {"of bob": Said("bob", 1, "away", 990)}}, {})
    said = Part(OTHER, 0, 1, 0, 1, 1_000, people)
    presence.carry_out(presence.node.receive(encode_letter(said), moment()))
    assert not presence.node.own.are_in(OWN, "of bob")
    presence.send_away(OWN, bob, 3.0)
    assert presence.node.own.are_in(OWN, "of bob")
    assert presence.here["bob"].status == "away", "and are as they were"
    assert presence.node.elsewhere(OWN, bob) == {OTHER}


async def test_what_a_node_wants_done_is_done() -> None:
    relay = Recording(ONE)
    presence = PresenceService(ONE, relay, grace=8, lease=60.0, heartbeat=20)
    presence.carry_out([Send("letter", OTHER), Send("to all", None)])
    assert relay.letters == [("letter", OTHER), ("to all", None)]
    feed = presence.feeds.open(0)
    async with running(presence):
        await until(lambda: relay.connected)
        presence.carry_out([Resubscribe()])
        await until(lambda: relay.resubscribed)
        presence.node.hearing.is_waking = True
        presence.carry_out([Breathe()])
        await until(lambda: not presence.node.hearing.is_waking)
        come(presence, "alice")
        assert [news.room for news in feed.take()] == [OWN]
        status = presence.status_of("alice")
        assert status is not None and status.status == "online"
    assert not presence.hub.flushing.degraded
    presence.begin_unheard()
    assert presence.degraded and presence.hub.flushing.degraded is True


async def test_cursors_are_covered() -> None:
    cover = Cover([bytes(32)])
    presence = node(cover=cover)

    def covered() -> str:
        return presence.room.cursor(0).rpartition(".")[2]

    async with running(presence):
        await until(lambda: cover.uncover(covered()))


async def test_pages_read_profiles_and_are_told_of_others() -> None:
    presence = node(hide_last_seen=True)
    _, wire = come(presence, "alice")
    async with running(presence):
        await flushed(presence.hub)
        presence.introduce("alice", Profile("Alice of Wonderland"))
        await flushed(presence.hub)
    assert presence.profile_of("alice") == Profile("Alice of Wonderland", hides_last_seen=True)
    assert presence.profile_of("bob") == Profile(hides_last_seen=True)
    assert b"Alice of Wonderland" in wire.written[-1]
    assert not node().profile_of("bob").hides_last_seen


async def test_the_end_of_a_session_closes_its_lines_and_is_remembered_for_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    presence = node()
    line, wire = come(presence, "alice", session="stolen")
    come(presence, "bob")
    presence.end("stolen", at=1_700_000_000)
    assert wire.closed_with == [SESSION_ENDED]
    assert list(presence.here) == ["bob"] and presence.left("alice") == 1_700_000_000
    ended = presence._ended["stolen"]
    for later, lets in ((59.9, False), (60.1, True)):
        presence._tick(moment()._replace(elapsed=ended + later))
        assert presence.connect(line, Who("stolen", "alice")) is lets


async def test_without_a_second_a_session_has_ended_now() -> None:
    presence = node()
    come(presence, "alice", session="stolen")
    before = moment().unix
    presence.end("stolen")
    left = presence.left("alice")
    assert left is not None and before <= left <= moment().unix


async def test_a_deleted_account_is_told_as_one() -> None:
    presence = node()
    _, wire = come(presence, "alice")
    async with running(presence):
        await flushed(presence.hub)
        come(presence, "bob")
        await flushed(presence.hub)
        presence.end("of bob")
        presence.delete("bob", 1, 1_700_000_000)
        await until(lambda: "bob" in wire.messages()[-1].get("deleted", ()))


async def test_endings_are_read_when_they_are_due_and_after_a_while_anyway() -> None:
    presence = node()
    async with asyncio.timeout(15):
        await presence.endings_due(0.01)
    sent = presence.relay.sent
    presence.session_ended()
    assert presence.relay.sent == sent + 1
    async with asyncio.timeout(15):
        await presence.endings_due(3600)
    waiting = asyncio.create_task(presence.endings_due(3600))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done(), "they were read"
    waiting.cancel()


async def test_all_that_is_here_is_written_down_on_demand() -> None:
    presence = node()
    come(presence, "alice")
    assert [stay.user for stay in presence.take_record().here] == ["alice"]
    assert presence.take_record().here == []
    assert [stay.user for stay in presence.take_record(whole=True).here] == ["alice"]


async def test_whoever_was_at_a_node_that_is_no_more_is_here_for_a_grace() -> None:
    presence = node()
    presence.adopt([Stay(OWN, "s", "alice", 1, "away", 1)])
    assert statuses(presence) == {"alice": "away"}


async def test_what_is_said_elsewhere_reaches_lines_that_may_be_here() -> None:
    bus = MemoryBus()
    here, there = node(ONE, bus), node(OTHER, bus)
    heard: list[tuple[str, str, Mapping[str, Any]]] = []
    async with running(here), running(there):
        await until(lambda: here.peers and there.peers)
        # Nobody has lines here for whom others could speak.
        there.carry_out(there.node.say_words(ROOM, "bob", {"n": 0}, moment()))
        here.tell_words(lambda room, user, words: heard.append((room, user, words)))
        there.carry_out(there.node.say_words(ROOM, "bob", {"n": 1}, moment()))
        await until(lambda: heard)
        assert heard[-1] == (ROOM, "bob", {"n": 1})


async def test_two_nodes_are_one_list() -> None:
    bus = MemoryBus()
    here, there = node(ONE, bus), node(OTHER, bus)
    assert (here.name, there.name) == (ONE, OTHER)
    async with running(here), running(there):
        await until(lambda: here.peers == {OTHER} and there.peers == {ONE})
        _, wire = come(here, "alice")
        come(there, "bob")
        await until(lambda: set(here.here) == set(there.here) == {"alice", "bob"})
        await until(lambda: wire.messages() and not here.degraded)
        assert here.well_heard == {OTHER} and not here.unheard and here.speaking == {}
        there.session_ended()
        async with asyncio.timeout(15):
            await here.endings_due(3600)


async def test_whoever_comes_from_another_node_waits_for_what_that_knows() -> None:
    bus = MemoryBus()
    here, there = node(ONE, bus), node(OTHER, bus)
    async with running(here), running(there):
        await until(lambda: here.peers and there.peers)
        alice, _ = come(there, "alice", session="s")
        await until(lambda: "alice" in here.here)
        there.hear(alice, StatusMessage("away", whole_user=False))
        assert statuses(here) == {"alice": "online"}
        async with asyncio.timeout(15):
            await here.hear_of(OWN, Who("s", "alice", 1))
        assert statuses(here) == {"alice": "away"}


async def test_nobody_waits_who_comes_from_nowhere_or_whose_session_has_ended() -> None:
    bus = MemoryBus()
    here, there = node(ONE, bus), node(OTHER, bus)
    async with running(here), running(there):
        await until(lambda: here.peers and there.peers)
        come(there, "alice", session="s")
        await until(lambda: "alice" in here.here)
        unknown = asyncio.create_task(here.hear_of(OWN, Who("t", "alice", 1)))
        await asyncio.sleep(0)
        assert unknown.done()
        here.end("s")
        ended = asyncio.create_task(here.hear_of(OWN, Who("s", "alice", 1)))
        await asyncio.sleep(0)
        assert ended.done()


async def test_a_letter_that_is_none_is_counted_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    presence = node()
    async with running(presence):
        await until(lambda: presence.relay.connected)
        with caplog.at_level(logging.DEBUG, service_module.__name__):
            for _ in range(2):
                presence.relay.send("no letter")
            await until(lambda: presence.refused_letters == 2)
    assert told_of(caplog) == 2 * ["refused a letter: not JSON"]


async def test_a_node_starts_when_the_others_have_told(caplog: pytest.LogCaptureFixture) -> None:
    bus = MemoryBus()
    there, here = node(OTHER, bus), node(ONE, bus)
    async with running(there):
        come(there, "bob")
        here.begin_unheard()
        assert here.unheard
        async with running(here), asyncio.timeout(20):
            began = asyncio.get_running_loop().time()
            await here.settle()
            took = asyncio.get_running_loop().time() - began
            assert list(here.here) == ["bob"] and not here.degraded
            await here.meet()
            assert took >= 0.3
    assert told_of(caplog) == []


async def test_a_node_starts_though_others_do_not_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service_module, "LONGEST_SETTLING", 0.2)
    presence = node()
    presence.heed(Notes({OTHER: 1}, {OTHER: []}, []), 0)
    async with asyncio.timeout(15):
        await presence.settle()
        await presence.meet()
    assert told_of(caplog) == [
        "some other nodes do not answer; starting without their people",
        "some other nodes neither answer nor write; starting without their people",
    ]


@pytest.mark.parametrize(("grace", "within"), [(8, 3.0), (2, 1.0)])
async def test_a_node_that_stops_says_goodbye_to_everybody_and_to_other_nodes(
    grace: float, within: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[tuple[float, float]] = []

    def half_way(least: float, most: float) -> float:
        delays.append((least, most))
        return most / 2

    monkeypatch.setattr("random.uniform", half_way)
    bus = MemoryBus()
    here, there = node(ONE, bus, grace=grace), node(OTHER, bus, grace=grace)
    async with running(there):
        async with running(here):
            await until(lambda: here.peers and there.peers)
            line, wire = come(here, "alice")
            await until(lambda: "alice" in there.here)
            stopping = asyncio.create_task(here.stop())
            await until(lambda: wire.closed_with)
            assert wire.closed_with == [RESTARTING] and not stopping.done()
            here.disconnect(line)
            async with asyncio.timeout(15):
                await stopping
        await until(lambda: not there.peers)
        assert "alice" in there.here, "for a grace"
    assert delays == [(0, within)]
    assert wire.messages()[-1]["retry_after"] == within / 2


async def test_other_nodes_are_told_of_nodes_that_could_not_say_goodbye() -> None:
    bus = MemoryBus()
    here, there = node(ONE, bus), node(OTHER, bus)
    async with running(there):
        async with running(here):
            await until(lambda: here.peers and there.peers)
            third = "3" * 16
            there.say_ended_nodes([ONE, third])
            await until(lambda: not there.peers or not here.peers)
    assert there.take_dropped() <= {ONE, third}


async def test_what_runs_has_a_name_by_which_it_is_known_when_it_ends() -> None:
    presence = node()
    async with running(presence):
        await until(lambda: presence.relay.connected)
        names = {task.get_name() for task in asyncio.all_tasks()}
    assert {"hub", "relay", "presence clock", "presence ticks", "presence after pauses"} <= names
