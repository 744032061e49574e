"""Two things that fail at once, each as it was once seen to go wrong."""

from collections.abc import Iterator

import pytest

from tests.presence.judge import Judge
from tests.presence.simulation import World
from tests.presence.test_cluster import watched

GRACE, LEASE = 2.0, 4.0
PROMISE = LEASE + GRACE + 1


def short(hosts: int = 3, clocks: tuple[float, ...] = ()) -> tuple[World, Judge]:
    world = World(hosts, grace=GRACE, lease=LEASE, clocks=clocks)
    judge = Judge(world)
    world.wait(1)
    return world, judge


def told(judge: Judge, username: str = "alice") -> list[list[str]]:
    hosts = judge.world.hosts
    return [judge.told(slot, username) for slot, host in enumerate(hosts) if host.alive]


def shown_for(world: World, username: str = "alice", at_most: float = 40.0) -> float:
    """Seconds from now on for which somebody is shown anywhere."""
    began, last = world.now, world.now
    while world.now - began < at_most:
        world.wait(0.05)
        if any(username in world.here(slot) for slot, host in enumerate(world.hosts) if host.alive):
            last = world.now
    return last - began


# A pause is not a departure


@pytest.mark.parametrize("page", [False, True])
@pytest.mark.parametrize(
    ("grace", "lease", "pause"), [(GRACE, LEASE, 2.5), (GRACE, LEASE, 3.8), (8.0, 10.0, 8.5)]
)
def test_who_reloads_just_after_a_pause_stays(
    grace: float, lease: float, pause: float, page: bool
) -> None:
    world, judge = watched(grace=grace, lease=lease)
    tab = world.connect(0, "alice")
    world.wait(3)
    world.pause(0)
    world.wait(pause)
    world.resume(0)
    world.wait(0.2)
    world.drop(tab)
    world.wait(0.5)
    if page:
        world.claim(0, "alice")
    world.wait(0.5)
    world.connect(0, "alice")
    judge.settle()
    assert told(judge) == [["online"]] * 3


@pytest.mark.parametrize("hosts", [1, 3])
def test_who_reloads_just_before_a_pause_ends_stays(hosts: int) -> None:
    world, judge = short(hosts)
    tab = world.connect(0, "alice")
    world.wait(3)
    world.pause(0)
    world.wait(2.2)
    world.drop(tab)
    world.wait(0.3)
    world.resume(0)
    world.wait(1)
    world.connect(0, "alice")
    judge.settle()
    assert told(judge) == [["online"]] * hosts


def test_what_is_read_late_after_a_pause_is_waited_for() -> None:
    world, judge = short()
    tab = world.connect(0, "alice")
    world.wait(3)
    world.pause(0)
    world.wait(0.5)
    world.drop(tab)
    world.connect(1, "alice")
    world.wait(2.5)
    world.cut(0, out=False)
    world.resume(0)
    world.wait(1)
    world.mend(0)
    judge.settle()
    assert told(judge) == [["online"]] * 3


@pytest.mark.parametrize("before", [0.35, 0.65, 2.0])
def test_after_a_pause_it_is_read_who_goes_on_writing_before_anybody_is_let_go(
    before: float,
) -> None:
    world, judge = watched(grace=GRACE, lease=2.5)
    world.wait(0.3)
    tab = world.connect(0, "alice")
    world.wait(3)
    world.pause(1)
    world.wait(0.2)
    world.cut(2)
    world.wait(5.2 - before)
    world.drop(tab)
    world.wait(0.5)
    world.connect(2, "alice")
    world.wait(before)
    world.resume(1)
    for _ in range(40):
        world.wait(0.05)
        assert "alice" in world.here(1)
    world.mend(2)
    judge.settle()


# Whoever moves is known at once where they come to


@pytest.mark.parametrize("opened", [0.05, 0.8])
def test_who_moves_to_a_node_that_stands_still_before_it_could_ask_stays(opened: float) -> None:
    world, judge = short()
    world.connect(2, "alice")
    world.wait(1)
    world.kill(2)
    world.wait(0.4)
    world.connect(1, "alice")
    world.wait(opened)
    world.pause(1)
    world.wait(LEASE + 0.8 * GRACE)
    assert told(judge) == [["online"], ["online"]]
    world.resume(1)
    judge.settle()
    assert told(judge) == [["online"], ["online"]]


# A node that cannot speak, or be heard, for less than its lease


@pytest.mark.parametrize(
    ("grace", "lease", "silent", "database"),
    [
        (GRACE, LEASE, 3.4, True),
        (0.0, LEASE, 3.4, True),
        (8.0, 10.0, 9.4, True),
        # A lease counts from the last beat, and a new connection takes a moment.
        (GRACE, LEASE, 2.6, False),
        (0.0, LEASE, 2.6, False),
        (8.0, 10.0, 7.4, False),
    ],
)
def test_who_moves_to_a_node_that_is_not_heard_stays(
    grace: float, lease: float, silent: float, database: bool
) -> None:
    world, judge = watched(grace=grace, lease=lease)
    world.database.works = database
    tab = world.connect(0, "alice")
    world.wait(3)
    world.cut(1, back=False)
    world.wait(0.3)
    world.connect(1, "alice")
    world.drop(tab)
    world.wait(silent - 0.3)
    world.mend(1)
    world.database.works = True
    judge.settle()
    assert told(judge) == [["online"]] * 3


def test_who_comes_back_soon_after_the_bye_of_a_node_that_hears_nothing_stays() -> None:
    world, judge = short()
    world.connect(0, "alice")
    world.wait(3)
    world.cut(0, out=False)
    world.wait(0.3)
    world.stop(0)
    world.wait(1.4)
    world.connect(1, "alice")
    judge.settle()
    assert told(judge) == [["online"]] * 2


@pytest.mark.parametrize("fault", ["pause", "cut", "far"])
def test_a_node_that_starts_waits_for_those_that_its_notes_name(fault: str) -> None:
    world, judge = short()
    world.connect(0, "alice")
    world.wait(3)
    if fault == "pause":
        world.pause(0)
    elif fault == "cut":
        world.cut(0)
    else:
        world.hosts[0].late_out = world.hosts[0].late_back = 0.64
    world.wait(0.3)
    world.stop(1)
    world.start(1)
    world.wait(3)
    if fault == "pause":
        world.resume(0)
    world.mend(0)
    world.wait(20)
    world.hosts[0].late_out = world.hosts[0].late_back = 0.0
    judge.settle()
    assert told(judge) == [["online"]] * 3


@pytest.mark.parametrize("heard_for", [0.05, 0.1, 0.2, 0.3])
def test_a_node_that_starts_knows_of_one_that_falls_silent_before_it_answers(
    heard_for: float,
) -> None:
    world, judge = watched(grace=GRACE, lease=2.5)
    world.connect(2, "alice")
    world.wait(3)
    world.kill(1)
    world.start(1)
    world.wait(heard_for)
    world.pause(2)
    world.wait_for(lambda: world.hosts[1].lets_in, at_most=4)
    for _ in range(10):
        assert "alice" in world.here(1)
        world.wait(0.05)
    world.resume(2)
    judge.settle()


@pytest.mark.parametrize("dies", [False, True])
def test_of_two_nodes_that_start_at_once_both_know_whom_one_of_them_took_over(dies: bool) -> None:
    world = World(4, grace=GRACE, lease=2.5, has_locks=True)
    judge = Judge(world)
    world.connect(2, "alice")
    world.wait(3)
    world.pause(2)
    world.wait(1.2)
    for slot in (1, 3):
        world.kill(slot)
        world.start(slot)
    world.wait_for(lambda: world.hosts[3].lets_in, at_most=2)
    if dies:
        world.kill(1)
    for _ in range(20):
        assert "alice" in world.here(3)
        world.wait(0.05)
    world.resume(2)
    judge.settle()


def test_a_node_that_starts_slowly_takes_over_whom_one_had_that_fell_silent_before() -> None:
    world, judge = watched(grace=8.0, lease=2.5)
    world.connect(0, "alice")
    world.wait(3)
    world.pause(0)
    world.wait(2.6)
    # Its answer comes when what the silent one wrote has been read twice.
    world.hosts[1].late_out = world.hosts[1].late_back = 0.6
    world.kill(2)
    world.start(2)
    took = world.wait_for(lambda: world.hosts[2].lets_in, at_most=4)
    assert took > 1 and "alice" in world.here(2)
    world.hosts[1].late_out = world.hosts[1].late_back = 0.0
    world.resume(0)
    judge.settle()
    assert told(judge) == [["online"]] * 3


def test_with_neither_redis_nor_database_nobody_is_let_go() -> None:
    world, judge = short()
    tab = world.connect(0, "alice")
    world.wait(3)
    world.take_redis_down()
    world.wait(1)
    world.database.works = False
    world.connect(1, "alice")
    world.drop(tab)
    world.wait(7)
    world.database.works = True
    world.wait(1)
    world.bring_redis_up()
    judge.settle()
    assert told(judge) == [["online"]] * 3


def test_who_logs_in_anew_at_another_node_without_redis_stays() -> None:
    world, judge = short()
    tab = world.connect(0, "alice")
    world.wait(3)
    world.take_redis_down()
    world.wait(3)
    world.drop(tab)
    world.claim(1, "alice", "anew")
    world.log_out(1, "alice's", "alice")
    world.connect(1, "alice", "anew")
    world.wait(5)
    world.bring_redis_up()
    judge.settle()
    assert told(judge) == [["online"]] * 3


def test_a_node_that_starts_knows_that_another_one_spoke_when_it_could_not_write() -> None:
    world, judge = short()
    world.connect(2, "alice")
    world.wait(2)
    world.database.works = False
    world.wait(3.4)
    world.pause(2)
    world.wait(0.1)
    world.database.works = True
    world.kill(1)
    world.wait(2.4)
    world.start(1)
    assert world.wait_for(lambda: "alice" in world.here(1), at_most=0.5) < 0.5
    world.wait(0.2)
    assert "alice" in world.here(1)
    world.resume(2)
    judge.settle()


# Nobody is shown beyond what is promised


def test_a_grace_that_had_begun_does_not_begin_anew_when_its_node_dies() -> None:
    world, judge = short()
    tab = world.connect(0, "alice")
    world.wait(3)
    world.drop(tab)
    world.wait(GRACE - 0.2)
    world.kill(0)
    assert GRACE - 0.2 + shown_for(world) <= LEASE + GRACE + 0.5
    judge.settle()


@pytest.mark.parametrize(("hosts", "locks"), [(1, False), (2, False), (3, False), (3, True)])
def test_a_crash_loop_keeps_nobody(hosts: int, locks: bool) -> None:
    world = World(hosts, grace=GRACE, lease=LEASE, has_locks=locks)
    world.wait(1)
    tab = world.connect(0, "alice")
    world.connect(0, "bob")
    world.wait(3)
    world.drop(tab)
    world.wait(0.6)
    began, last = world.now, {"alice": world.now, "bob": world.now}
    for _ in range(20):
        world.kill(0)
        world.start(0)
        for _ in range(20):
            world.wait(0.05)
            for slot in range(hosts):
                last.update(dict.fromkeys(world.here(slot), world.now))
    assert last["alice"] - began + 0.6 <= PROMISE, "left before it"
    if locks:
        assert last["bob"] - began <= GRACE + 2, "known to have ended when it starts again"
    # Whoever is taken over by one life after the other is waited for with each.
    assert last["bob"] - began <= PROMISE + 2 * LEASE, "left when it began"


@pytest.mark.parametrize("back", [0, 1])
def test_who_comes_back_within_the_grace_of_a_node_that_was_killed_stays(back: int) -> None:
    world = World(3, grace=GRACE, lease=LEASE, has_locks=True)
    judge = Judge(world)
    world.wait(1)
    world.connect(0, "alice")
    world.wait(3)
    world.kill(0)
    world.wait(1.5)
    world.start(0)
    # It may have lived until just now: so the grace begins here.
    world.wait(GRACE - 0.3)
    world.connect(back, "alice")
    judge.settle()
    assert told(judge) == [["online"]] * 3


def test_a_restart_long_after_an_outage_brings_nobody_back() -> None:
    world, judge = short()
    world.connect(0, "alice")
    world.wait(3)
    world.take_redis_down()
    world.wait(2)
    world.kill(0)
    world.wait(1)
    world.start(0)
    world.wait(5)
    world.bring_redis_up()
    world.wait(20)
    world.stop(0)
    world.start(0)
    world.wait(5)
    assert told(judge)[0] == [] and told(judge)[1].count("online") == 1
    judge.settle()


def test_a_log_out_ends_what_a_dead_node_had() -> None:
    world, judge = short()
    world.connect(0, "alice")
    world.wait(3)
    world.kill(0)
    world.wait(0.5)
    world.claim(1, "alice")
    world.wait(0.5)
    world.log_out(1, "alice's", "alice")
    assert shown_for(world, at_most=10) <= 2
    judge.settle()


@pytest.mark.parametrize("apart", [0.0, 0.1, 0.2, 0.3, 0.4])
def test_a_node_that_can_only_write_answers_within_the_second(apart: float) -> None:
    world, judge = short()
    world.connect(2, "alice")
    world.wait(1 + apart)
    world.kill(2)
    world.wait(1.4)
    world.cut(1)
    # What the node itself shows is as it was last known, and it says so.
    world.wait_for(lambda: "alice" not in world.here(0), at_most=PROMISE - 1.4)


# Clocks that differ


@pytest.mark.parametrize("ahead", [4.0, 600.0, -600.0])
def test_an_account_made_anew_is_shown_whatever_the_clocks_say(ahead: float) -> None:
    world, judge = short(clocks=(ahead, 0.0, 0.0))
    world.connect(0, "alice")
    world.wait(3)
    world.delete(0, "alice", "alice's")
    world.wait(1)
    world.connect(1, "alice", "anew")
    world.wait_for(lambda: all("alice" in world.here(slot) for slot in range(3)), at_most=1)
    judge.settle()


@pytest.mark.parametrize("apart", [-60.0, 600.0, -600.0])
def test_who_moves_in_an_outage_stays_whatever_the_clocks_say(apart: float) -> None:
    world, judge = short(clocks=(0.0, apart, 0.0))
    tab = world.connect(0, "alice")
    world.wait(3)
    world.take_redis_down()
    world.wait(1)
    world.connect(1, "alice")
    world.drop(tab)
    world.wait(8)
    world.bring_redis_up()
    judge.settle()
    assert told(judge) == [["online"]] * 3


@pytest.mark.parametrize("apart", [30.0, -600.0, 600.0])
def test_seconds_of_others_are_told_by_ones_own_clock(apart: float) -> None:
    world, judge = short(clocks=(0.0, apart, 0.0))
    world.wait(30)
    world.connect(1, "alice")
    world.wait(3)
    since = [world.person(slot, "alice") for slot in range(3)]
    seconds = [0 if person is None else person.since for person in since]
    assert seconds[0] == seconds[2] and abs(seconds[1] - seconds[0] - apart) <= 1
    world.choose(1, "alice", "busy")
    world.wait(1)
    since = [world.person(slot, "alice") for slot in range(3)]
    seconds = [0 if person is None else person.since for person in since]
    assert seconds[0] == seconds[2] and abs(seconds[1] - seconds[0] - apart) <= 1
    judge.settle()


@pytest.mark.parametrize("clocks", [(600.0, 0.0), (0.0, 600.0), (0.0, -600.0)])
def test_the_later_of_two_choices_holds_whatever_the_clocks_say(clocks: tuple[float, ...]) -> None:
    """Also where who chose it had not heard of the other."""
    world, judge = short(clocks=(*clocks, 0.0))
    world.connect(0, "alice")
    world.connect(1, "alice")
    world.wait(6)
    world.take_redis_down()
    world.database.works = False
    world.wait(0.5)
    world.choose(0, "alice", "invisible")
    world.wait(4)
    world.choose(1, "alice", "busy")
    world.wait(1)
    world.database.works = True
    world.bring_redis_up()
    judge.settle()
    assert [world.here(slot)["alice"] for slot in range(3)] == ["busy"] * 3


def test_people_of_a_node_that_speaks_again_do_not_flash_at_one_that_was_paused() -> None:
    world, judge = short()
    world.connect(0, "alice")
    world.wait(3)
    world.cut(0)
    world.hosts[0].database = False
    world.wait(1)
    world.pause(2)
    world.wait(LEASE + GRACE + 3)
    world.mend(0)
    world.hosts[0].database = True
    world.wait(3)
    world.resume(2)
    judge.settle()
    assert judge.told(2, "alice") == ["online"]


def test_a_node_that_starts_in_an_outage_has_of_its_own_nobody_of_one_that_writes() -> None:
    world, judge = short()
    for slot, username in enumerate(["alice", "bob", "carol"]):
        world.connect(slot, username)
    world.wait(2)
    world.take_redis_down()
    world.kill(2)
    world.wait(1)
    world.start(2)
    world.connect(2, "dave")
    world.wait_for(lambda: "dave" in world.here(2), 10)
    node = world.hosts[2].node
    assert node.degraded and world.here(2).keys() == {"alice", "bob", "carol", "dave"}
    assert set(node.rooms.own.own) == {"carol", "dave"}
    world.bring_redis_up()
    judge.settle()


# Observers who move on


def fold(world: World, people: dict[str, str], cursor: str, slot: int) -> tuple[bool, int]:
    """Come back with a cursor: whether it was good, and how many were told of."""
    room = world.hosts[slot].node.rooms.own
    version = room.resume(cursor, world.hosts[slot].now)
    elsewhere = room.is_of_elsewhere(cursor)
    roster = room.roster
    changes = None if version is None else roster.changes_since(version, elsewhere=elsewhere)
    if changes is None:
        people.clear()
        changes = list(room.roster.here.items())
    for user, person in changes:
        people[user] = person.status
        if person.status in ("offline", "deleted"):
            del people[user]
    return version is not None, len(changes)


def cursor_of(world: World, slot: int) -> str:
    room = world.hosts[slot].node.rooms.own
    return room.cursor(room.roster.version)


@pytest.fixture
def crowd() -> Iterator[tuple[World, list[int]]]:
    world, judge = short()
    world.wait(LEASE)
    tabs = [world.connect(number % 2, f"user{number}") for number in range(200)]
    world.wait(6)
    yield world, tabs
    judge.settle()


def test_a_cursor_is_good_on_any_node(crowd: tuple[World, list[int]]) -> None:
    world, tabs = crowd
    people: dict[str, str] = {}
    fold(world, people, "", 0)
    cursor = cursor_of(world, 0)
    world.say(0, tabs[0], "away")
    world.log_out(1, "user1's", "user1")
    world.connect(2, "newcomer")
    world.wait(2)
    good, told_of = fold(world, people, cursor, 2)
    assert good and told_of <= 5 and people == world.here(2)


def test_a_cursor_of_a_node_that_stopped_is_good(crowd: tuple[World, list[int]]) -> None:
    world, _ = crowd
    people: dict[str, str] = {}
    fold(world, people, "", 0)
    cursor = cursor_of(world, 0)
    moving = [line.who.user for line in world.witness.lines.values() if line.host is world.hosts[0]]
    world.stop(0)
    world.wait(1)
    for user in moving:
        world.connect(1, user)
    world.wait(0.2)
    good, told_of = fold(world, people, cursor, 1)
    assert good and told_of <= 2 and people == world.here(1)


def test_a_cursor_of_a_node_that_was_never_heard_gets_a_snapshot(
    crowd: tuple[World, list[int]],
) -> None:
    world, _ = crowd
    people: dict[str, str] = {}
    for cursor in ("", "x", f"{99:016x}.7.3", f"{world.hosts[0].node.name}.9"):
        good, _ = fold(world, people, cursor, 1)
        assert not good and people == world.here(1)


@pytest.mark.parametrize("is_known", [True, False])
def test_who_comes_from_a_node_that_reads_no_ends_is_told_of_them(is_known: bool) -> None:
    world, judge = short()
    world.wait(LEASE)
    if not is_known:
        world.cut(0)
    world.connect(0, "alice")
    world.wait(0.5)
    world.hosts[0].database = False
    world.log_out(1, "alice's", "alice")
    world.wait(1)
    world.mend(0)
    world.wait(LEASE)
    people: dict[str, str] = {}
    fold(world, people, "", 0)
    assert people == {"alice": "online"} and not world.here(1)
    good, told_of = fold(world, people, cursor_of(world, 0), 1)
    assert good and told_of == 1 and people == {}
    world.hosts[0].database = True
    judge.settle()


# A late start


def shown_at(world: World, slot: int, at_most: float = 12.0) -> float:
    """When somebody was last shown to people of a node."""
    began = last = world.now
    while world.now - began < at_most:
        world.wait(0.05)
        host = world.hosts[slot]
        if host.lets_in and "alice" in world.here(slot):
            last = world.now
    return last


@pytest.mark.parametrize("after", [1.5, 3.5, 5.8])
def test_a_node_that_reads_late_of_a_dead_one_begins_neither_lease_nor_grace_anew(
    after: float,
) -> None:
    world = World(4, grace=GRACE, lease=LEASE)
    world.wait(1)
    world.connect(2, "alice")
    world.wait(3)
    for slot in (0, 2):
        world.kill(slot)
    died = world.now
    world.wait(after)
    world.start(0)
    world.wait(0.1)
    # It waits for what this one has to say, and meanwhile reads what others wrote down.
    world.pause(1)
    assert shown_at(world, 0) - died <= PROMISE


@pytest.mark.parametrize("outage", [4.0, 8.0])
def test_who_is_given_time_to_speak_again_after_an_outage_is_not_written_down_to_have_spoken(
    outage: float,
) -> None:
    world = World(3, grace=GRACE, lease=LEASE)
    world.wait(1)
    world.connect(2, "alice")
    world.wait(3)
    world.take_redis_down()
    world.wait(0.5)
    for slot in (0, 2):
        world.kill(slot)
    died = world.now
    world.wait(outage)
    world.bring_redis_up()
    world.wait(2)
    world.start(0)
    assert shown_at(world, 0) - died <= max(PROMISE, outage + 2)
