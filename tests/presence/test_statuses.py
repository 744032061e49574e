"""Rules 10, 11, 12 and 15: a status is as right as being here."""

import pytest

from presence_server.presence.choices import ChosenStatus
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.records import OWN
from presence_server.presence.roster import Roster
from presence_server.presence.timing import ARRIVAL_WAITS
from tests.presence.simulation import EPOCH, World
from tests.presence.test_cluster import watched


def test_an_away_user_who_moves_to_another_node_within_the_grace_causes_no_event() -> None:
    world, judge = watched()
    tab = world.connect(0, "alice")
    world.wait(1)
    world.say(0, tab, "away")
    world.wait(1)
    world.drop(tab)
    world.wait(1)
    world.connect(1, "alice")
    world.wait(2)
    assert all(judge.told(slot, "alice") == ["online", "away"] for slot in range(3))
    judge.settle()


def test_so_does_one_who_comes_back_before_the_old_line_is_known_to_be_dead() -> None:
    world, judge = watched()
    tab = world.connect(0, "alice")
    world.say(0, tab, "away")
    world.wait(1)
    world.connect(1, "alice")
    world.wait(3)
    world.drop(tab)
    world.wait(20)
    assert all(judge.told(slot, "alice")[-1] == "away" for slot in range(3))
    assert judge.told(2, "alice").count("away") == 1
    judge.settle()


@pytest.mark.parametrize("delay", [0.0, 0.25])
def test_what_is_on_its_way_is_waited_for(delay: float) -> None:
    world, judge = watched()
    tab = world.connect(0, "alice")
    world.wait(1)
    world.redis.delay = delay
    world.say(0, tab, "away")
    world.drop(tab)
    here = world.hosts[1]
    number = world.connect(1, "alice")
    assert number not in here.connections
    took = world.wait_for(lambda: number in here.connections, at_most=ARRIVAL_WAITS)
    assert took <= 0.3 + 2 * delay
    world.wait(20)
    assert all(judge.told(slot, "alice") == ["online", "away"] for slot in range(3))
    judge.settle()


def test_a_node_that_is_gone_is_not_waited_for() -> None:
    world, _ = watched()
    world.connect(0, "alice")
    world.wait(1)
    gone = {world.hosts[0].node.name}
    world.stop(0)
    world.wait(1)
    assert world.hosts[1].node.knows(gone, world.hosts[1].now.elapsed)


def test_how_a_connection_begins_can_be_said() -> None:
    world, judge = watched()
    world.connect(0, "alice", status="away")
    world.wait(1)
    assert [judge.told(slot, "alice") for slot in range(3)] == [["away"]] * 3
    judge.settle()


def test_of_one_session_with_tabs_at_two_nodes_the_open_one_counts() -> None:
    world, judge = watched()
    online = world.connect(0, "alice")
    world.connect(1, "alice", status="away")
    world.wait(1)
    world.drop(online)
    took = world.wait_for(lambda: world.here(2) == {"alice": "away"}, at_most=1)
    assert took <= 0.3, "the other line is open: no grace keeps the status of this one"
    world.wait(20)
    assert judge.told(2, "alice") == ["online", "away"]
    judge.settle()


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_choice_outlives_a_restart(hosts: int) -> None:
    world, judge = watched(hosts)
    world.connect(0, "alice")
    world.wait(1)
    world.choose(0, "alice", "away")
    world.wait(1)
    world.stop(0)
    world.start(0)
    world.wait(1)
    again = world.connect(0, "alice")
    # What every page says as soon as its socket is live.
    world.say(0, again, "online")
    world.wait(20)
    assert [world.here(slot) for slot in range(hosts)] == [{"alice": "away"}] * hosts
    assert "offline" not in judge.told(hosts - 1, "alice")
    judge.settle()


def test_a_choice_outlives_a_kill() -> None:
    world, judge = watched(1)
    world.connect(0, "alice")
    world.wait(1)
    world.choose(0, "alice", "busy")
    world.wait(1)
    world.kill(0)
    world.wait(30)
    world.start(0)
    world.wait(1)
    world.connect(0, "alice")
    world.wait(1)
    assert world.here(0) == {"alice": "busy"}
    judge.settle()


def test_a_choice_goes_with_one_who_moves_to_a_node_that_lives() -> None:
    world, judge = watched(2)
    tab = world.connect(0, "alice")
    world.wait(1)
    world.choose(0, "alice", "away")
    world.wait(1)
    world.drop(tab)
    world.wait(1)
    again = world.connect(1, "alice")
    world.say(1, again, "online")
    world.wait(30)
    assert world.here(0)["alice"] == "away" and world.here(1)["alice"] == "away"
    judge.settle()


def test_a_choice_outlives_being_offline() -> None:
    world, judge = watched(2)
    tab = world.connect(0, "alice")
    world.wait(1)
    world.choose(0, "alice", "busy")
    world.wait(1)
    world.drop(tab)
    world.wait(60)
    world.connect(1, "alice")
    world.wait(1)
    assert judge.told(0, "alice") == ["online", "busy", "offline", "busy"]
    judge.settle()


def test_a_node_that_starts_names_the_second_of_whoever_chose_to_be_as_they_were() -> None:
    world, judge = watched()
    world.connect(0, "alice", status="away")
    world.wait(3)
    world.choose(0, "alice", "away", text="lunch")
    world.wait(3)
    world.stop(2)
    world.start(2)
    world.wait(3)
    since = [person.since for slot in range(3) if (person := world.person(slot, "alice"))]
    assert len(since) == 3 and len(set(since)) == 1
    judge.settle()


def test_a_choice_ends_at_its_time_also_while_away_and_over_restarts() -> None:
    world, judge = watched(2)
    world.connect(0, "alice")
    world.wait(1)
    world.choose(0, "alice", "busy", text="lunch", until=EPOCH + 30)
    world.wait(1)
    world.stop(1)
    world.start(1)
    world.wait(3)
    for slot in range(2):
        person = world.person(slot, "alice")
        assert person is not None and person.status == "busy"
        assert person.about == {"text": "lunch", "until": EPOCH + 30}
    world.wait(31 - world.now)
    for slot in range(2):
        person = world.person(slot, "alice")
        assert person is not None and person.status == "online"
        assert person.since == EPOCH + 30 and not person.about
    judge.settle()


def test_a_choice_is_known_on_all_nodes_and_holds_for_a_new_device() -> None:
    world, judge = watched()
    world.connect(0, "alice")
    world.wait(1)
    world.choose(0, "alice", "away")
    world.wait(1)
    world.connect(1, "alice", "phone")
    world.wait(1)
    assert all(judge.told(slot, "alice") == ["online", "away"] for slot in range(3))
    judge.settle()


def test_a_choice_outlives_the_node_on_which_it_was_made() -> None:
    world, judge = watched()
    world.connect(0, "alice")
    world.connect(1, "alice", "phone")
    world.wait(1)
    world.choose(0, "alice", "away")
    world.wait(1)
    world.kill(0)
    world.wait(30)
    assert [world.here(slot) for slot in (1, 2)] == [{"alice": "away"}] * 2
    judge.settle()


def test_a_choice_that_the_users_other_node_never_heard_ends_everywhere() -> None:
    """Nodes that know the same people agree, however they came to know them."""
    world, judge = watched()
    tab = world.connect(0, "alice")
    world.wait(1)
    world.cut(1)
    world.choose(0, "alice", "away")
    world.connect(1, "alice", "phone")
    world.drop(tab)
    world.wait(30)
    world.mend(1)
    judge.settle()


def test_online_for_all_ends_away_on_every_node() -> None:
    world, judge = watched()
    tab = world.connect(0, "alice")
    phone = world.connect(1, "alice", "phone")
    world.say(1, phone, "away")
    world.wait(1)
    world.choose(0, "alice", "away")
    world.wait(1)
    world.choose(1, "alice", "online")
    world.wait(1)
    world.say(0, tab, "away")
    world.wait(1)
    assert all(world.here(slot) == {"alice": "online"} for slot in range(3))
    judge.settle()


def test_online_for_all_does_not_undo_what_was_said_later() -> None:
    """The node on which it was chosen could not say so for a while."""
    world, judge = watched(2)
    world.connect(0, "alice", status="away")
    phone = world.connect(1, "alice", "phone", status="away")
    world.wait(1)
    world.choose(0, "alice", "online")
    world.pause(0)
    world.wait(3)
    world.say(1, phone, "online")
    world.say(1, phone, "away")
    world.resume(0)
    world.wait(1)
    tab = next(number for number, line in world.witness.lines.items() if number != phone)
    world.say(0, tab, "away")
    world.wait(1)
    assert [world.here(slot) for slot in range(2)] == [{"alice": "away"}] * 2
    judge.settle()


def test_invisible_is_total() -> None:
    world, judge = watched(2)
    tab = world.connect(0, "alice")
    world.wait(1)
    world.choose(0, "alice", "invisible")
    world.wait(1)
    assert [world.here(slot) for slot in range(2)] == [{}, {}]
    record = world.hosts[0].node.take_record(world.hosts[0].now)
    gone = world.hosts[1].node.rooms.own.roster.gone("alice")
    assert gone is not None and gone.since == EPOCH + 2 and not gone.about
    world.wait(10)
    world.drop(tab)
    world.wait(20)
    world.connect(1, "alice")
    world.wait(5)
    later = world.hosts[0].node.take_record(world.hosts[0].now)
    assert not record.last_seen and not later.last_seen, "it was written down when it began"
    assert all(judge.told(slot, "alice") == ["online", "offline"] for slot in range(2))
    world.choose(1, "alice", None)
    world.wait(1)
    assert world.here(0) == {"alice": "online"}


@pytest.mark.parametrize("status", ["busy", "away"])
def test_a_choice_beats_what_connections_say(status: ChosenStatus) -> None:
    world, judge = watched(2)
    tab = world.connect(0, "alice")
    world.choose(0, "alice", status)
    world.wait(1)
    for said in ("away", "online"):
        world.say(0, tab, said)
        world.wait(1)
        assert world.here(1) == {"alice": status}
    judge.settle()


def test_going_away_is_told_at_once_also_just_after_another_node_started() -> None:
    world, judge = watched(2)
    tab = world.connect(0, "alice")
    world.wait(3)
    world.stop(1)
    world.start(1)
    world.wait(1)
    world.say(0, tab, "away")
    world.wait(1)
    assert [world.here(slot) for slot in range(2)] == [{"alice": "away"}] * 2
    judge.settle()


def test_since_is_never_in_the_future_and_invents_no_seconds() -> None:
    world, judge = watched(1)
    tab = world.connect(0, "alice")
    world.wait(1)
    for _ in range(60):
        world.say(0, tab, "away")
        world.wait(0.5)
        world.say(0, tab, "online")
        world.wait(0.5)
    person = world.person(0, "alice")
    assert person is not None and person.since <= EPOCH + world.now
    judge.settle()


@pytest.mark.parametrize("wrong", [0, 1], ids=["where-they-are", "elsewhere"])
def test_what_a_wrong_clock_said_gives_way_when_it_is_set_back(wrong: int) -> None:
    world = World(3)
    world.hosts[wrong].clock = 5 * 86400.0
    world.wait(2)
    tabs = {name: world.connect(0, name) for name in ("alice", "bob", "carol", "dave")}
    world.wait(1)
    world.choose(0, "dave", "busy")
    world.drop(tabs["carol"])
    world.wait(10)
    versions = [roster.version for roster in rosters(world)]
    world.hosts[wrong].clock = 0.0
    world.wait(1)
    assert told_since(world, versions) == [{}, {}, {}]
    for name in ("alice", "bob", "dave"):
        for since, here in seconds_of(world, name):
            assert 2 <= since <= 13 and 2 <= here <= 13, name
    world.say(0, tabs["alice"], "away")
    world.drop(tabs["bob"])
    world.connect(0, "erin")
    world.wait(12)
    told = {"alice": "away", "bob": "offline", "erin": "online"}
    assert told_since(world, versions) == [told, told, told]
    assert seconds_of(world, "erin") == [(14, 14)] * 3
    assert {since for since, _ in seconds_of(world, "alice")} == {14}
    assert {roster.left("bob") for roster in rosters(world)} == {EPOCH + 14}
    record = world.hosts[0].node.take_record(world.hosts[0].now, whole=True)
    assert max(stay.since for stay in record.here) == EPOCH + 14


def rosters(world: World) -> list[Roster]:
    return [host.node.rooms.own.roster for host in world.hosts]


def told_since(world: World, versions: list[int]) -> list[dict[str, str]]:
    """What observers at each host were told since they had a version."""
    return [
        {name: person.status for name, person in roster.changes_since(version) or ()}
        for roster, version in zip(rosters(world), versions)
    ]


def seconds_of(world: World, username: str) -> list[tuple[int, int]]:
    """At each host, since when somebody is as they are, and since when they are here."""
    people = [host.here()[username] for host in world.hosts]
    return [(one.since - EPOCH, one.here - EPOCH) for one in people]


def test_nothing_is_told_of_who_does_nothing() -> None:
    """Whatever restarts, moves or starts elsewhere."""
    world, judge = watched(3)
    world.connect(0, "alice", status="away")
    world.connect(1, "bob")
    world.wait(30)
    for _ in range(3):
        world.stop(2)
        world.wait(1)
        world.start(2)
        world.wait(20)
    assert judge.told(0, "alice") == ["away"] and judge.told(0, "bob") == ["online"]
    assert judge.told(2, "alice") == ["away"] and judge.told(2, "bob") == ["online"]


def stays(world: World, username: str = "alice") -> list[tuple[str, int, int]]:
    """At each host that runs, how somebody is, since when, and since when they are here."""
    people = [host.here()[username] for host in world.hosts if host.alive]
    return [(one.status, one.since - EPOCH, one.here - EPOCH) for one in people]


def test_coming_back_from_away_begins_no_new_stay() -> None:
    """Nor does a further device, the end of the first one, another node or a restart."""
    world, judge = watched(2)
    world.wait(5)
    tab = world.connect(0, "alice")
    world.wait(60)
    world.say(0, tab, "away")
    world.wait(60)
    assert stays(world) == [("away", 66, 6)] * 2
    world.say(0, tab, "online")
    world.wait(1)
    since = world.hosts[0].here()["alice"].since - EPOCH
    phone = world.connect(1, "alice", "phone")
    world.wait(1)
    world.drop(tab)
    world.wait(20)
    assert stays(world) == [("online", since, 6)] * 2
    world.stop(1)
    world.wait(0.5)
    world.start(1)
    world.wait(1)
    world.connect(1, "alice", "phone")
    world.wait(20)
    assert stays(world) == [("online", since, 6)] * 2
    world.drop(phone)
    judge.settle()


@pytest.mark.parametrize("hosts", [1, 2])
def test_somebody_who_was_invisible_comes_when_they_show_themselves(hosts: int) -> None:
    """Nothing says later that they had been here: no second, no restart."""
    world, judge = watched(hosts)
    world.connect(0, "alice")
    world.wait(10)
    world.choose(0, "alice", "invisible")
    world.wait(100)
    world.choose(0, "alice", "online")
    world.wait(2)
    came = world.hosts[0].here()["alice"].since - EPOCH
    assert came >= 110 and stays(world) == [("online", came, came)] * hosts
    world.stop(0)
    world.start(0)
    world.wait(2)
    world.connect(0, "alice")
    world.wait(2)
    assert stays(world) == [("online", came, came)] * hosts
    judge.settle()


def test_what_others_read_of_somebody_invisible_ends_when_it_would_have_ended() -> None:
    world, judge = watched(2)
    world.connect(0, "alice")
    world.wait(1)
    world.choose(0, "alice", "busy", text="lunch", until=EPOCH + 60)
    world.wait(1)
    world.choose(1, "alice", "invisible", text="secret")
    world.wait(1)
    rosters = [host.node.rooms.own.roster for host in world.hosts]
    for roster in rosters:
        gone = roster.gone("alice")
        assert gone is not None and gone.about == {"text": "lunch", "until": EPOCH + 60}
    world.wait(60)
    for roster in rosters:
        gone = roster.gone("alice")
        assert gone is not None and not gone.about and gone.since == EPOCH + 3
    judge.settle()


def test_the_end_of_being_invisible_brings_back_what_others_still_read() -> None:
    world, judge = watched(2)
    world.connect(0, "alice")
    world.wait(1)
    world.choose(0, "alice", "away", text="on holiday", until=EPOCH + 3600)
    world.wait(1)
    world.choose(0, "alice", "invisible", text="secret", until=EPOCH + 30)
    world.wait(10)
    world.stop(1)
    world.start(1)
    world.wait(30)
    for host in world.hosts:
        person = host.here()["alice"]
        assert (person.status, person.since) == ("online", EPOCH + 30)
        assert person.about == {"text": "on holiday", "until": EPOCH + 3600}
    judge.settle()


def test_choices_end_by_themselves_in_a_day_of_their_own() -> None:
    """Eight hours busy, a night invisible: on one node, of which nobody asks anything meanwhile."""
    now = Moment(0.0, EPOCH)
    node = Node(f"{1:016x}", grace=8.0, lease=10.0, now=now)
    node.open(OWN, Who("laptop", "alice", 1), 1, now)
    roster = node.rooms.own.roster
    told: list[tuple[str, str | None, float]] = []
    hour = 3600
    chosen: dict[int, tuple[ChosenStatus, str, int]] = {
        9: ("busy", "at work", 17),
        17: ("invisible", "", 23),
        24: ("away", "asleep", 24 + 30 * 24),
    }
    for second in range(0, 25 * hour, 20):
        now = Moment(float(second), EPOCH + second)
        if second % hour == 0 and (choice := chosen.get(second // hour)) is not None:
            status, text, end = choice
            node.choose(0, "alice", status, now, text=text, until=EPOCH + end * hour)
        node.tick(now)
        person = roster.here.get("alice") or roster.gone("alice")
        assert person is not None
        state = person.status, person.about.get("text"), (person.since - EPOCH) / hour
        if not told or told[-1] != state:
            told.append(state)
    assert told == [
        ("online", None, 0),
        ("busy", "at work", 9),
        ("offline", None, 17),
        ("online", None, 23),
        ("away", "asleep", 24),
    ]


def test_who_comes_from_another_node_is_not_told_again_of_somebody_invisible() -> None:
    world, judge = watched(2)
    tab = world.connect(0, "alice")
    world.wait(1)
    world.choose(0, "alice", "invisible")
    world.wait(10)
    here, there = (host.node.rooms.own for host in world.hosts)
    cursor = here.cursor(here.roster.version)
    world.connect(1, "alice", "phone")
    world.wait(1)
    world.say(0, tab, "away")
    world.choose(0, "alice", "invisible", text="secret")
    world.log_out(1, "phone", "alice")
    world.wait(1)
    version = there.resume(cursor, world.hosts[1].now)
    assert version is not None and there.is_of_elsewhere(cursor)
    assert there.roster.changes_since(version, elsewhere=True) == []
    judge.settle()
