"""The drill's own judgement: it must not find everything right."""

import pytest

from drill.evidence import Evidence, Silence, Stay, View

LEASE, GRACE = 3.0, 2.0


@pytest.fixture
def evidence() -> Evidence:
    """One observer at node a, who is shown alice and bob from second 10 on."""
    evidence = Evidence(LEASE, GRACE)
    view = View("a")
    view.hear({"type": "snapshot", "online": {"alice": 1}, "away": {"bob": 1}}, 10)
    evidence.views.append(view)
    evidence.stays += [Stay("alice", "a", 9), Stay("bob", "b", 9)]
    return evidence


def goes(evidence: Evidence, username: str, at: float) -> None:
    (stay,) = (stay for stay in evidence.stays if stay.username == username)
    stay.closed = at


def told_offline(evidence: Evidence, username: str, at: float) -> None:
    evidence.views[0].hear({"type": "changes", "offline": {username: 1}}, at)


def end(evidence: Evidence, at: float) -> None:
    for view in evidence.views:
        view.close(at)


def test_all_is_well(evidence: Evidence) -> None:
    goes(evidence, "bob", 20)
    told_offline(evidence, "bob", 22.1)
    end(evidence, 60)
    assert evidence.false_offlines() == [] and evidence.ghosts() == []


def test_offline_with_a_socket_open_is_false(evidence: Evidence) -> None:
    told_offline(evidence, "bob", 20)
    assert [wrong.username for wrong in evidence.false_offlines()] == ["bob"]


def test_offline_within_the_grace_is_false(evidence: Evidence) -> None:
    goes(evidence, "bob", 20)
    told_offline(evidence, "bob", 21)
    assert len(evidence.false_offlines()) == 1


def test_offline_long_after_the_return_is_false(evidence: Evidence) -> None:
    goes(evidence, "bob", 20)
    evidence.stays.append(Stay("bob", "a", 25))
    told_offline(evidence, "bob", 27)
    assert len(evidence.false_offlines()) == 1


def test_another_socket_elsewhere_counts(evidence: Evidence) -> None:
    goes(evidence, "bob", 20)
    evidence.stays.append(Stay("bob", "a", 15))
    told_offline(evidence, "bob", 22.1)
    assert len(evidence.false_offlines()) == 1


def test_a_snapshot_without_somebody_says_offline_too(evidence: Evidence) -> None:
    evidence.views[0].lose(20)
    evidence.views[0].hear({"type": "snapshot", "online": {"alice": 1}}, 21)
    assert [wrong.username for wrong in evidence.false_offlines()] == ["bob"]


def test_after_a_log_out_there_is_no_grace(evidence: Evidence) -> None:
    goes(evidence, "bob", 20)
    evidence.stays[1].logged_out = True
    told_offline(evidence, "bob", 20.1)
    assert evidence.false_offlines() == []


def test_who_logged_out_may_be_gone_before_the_socket_is(evidence: Evidence) -> None:
    goes(evidence, "bob", 20)
    told_offline(evidence, "bob", 19.5)
    assert len(evidence.false_offlines()) == 1
    evidence.log_out(["bob"], 19.3)
    assert evidence.false_offlines() == []


@pytest.mark.parametrize(("at", "false"), [(24, 1), (25, 0)])
def test_a_node_that_cannot_be_heard_is_believed_for_its_lease(
    evidence: Evidence, at: float, false: int
) -> None:
    evidence.dark["b"].append((20, 40))
    told_offline(evidence, "bob", at)
    assert len(evidence.false_offlines()) == false


@pytest.mark.parametrize(
    ("came", "started", "told", "false"),
    [(19.5, 21, 22, 0), (18.9, 21, 22, 1), (19.5, 19, 22, 1), (19.5, 21, 27, 1)],
)
def test_a_node_that_starts_cannot_know_who_came_just_before_theirs_fell_silent(
    evidence: Evidence, came: float, started: float, told: float, false: int
) -> None:
    evidence.stays[1].opened = came
    evidence.silence("b", 20)
    evidence.dark["b"].append((20, 24))
    evidence.start("a", started)
    told_offline(evidence, "bob", told)
    assert len(evidence.false_offlines()) == false


@pytest.mark.parametrize(
    ("deaf", "told", "false"), [((19, 20.2), 22.5, 0), ((19, 20.2), 22, 1), ((19.7, 20.2), 22.5, 1)]
)
def test_a_node_that_heard_nothing_cannot_know_who_came_just_before_theirs_fell_silent(
    evidence: Evidence, deaf: tuple[float, float], told: float, false: int
) -> None:
    evidence.stays[1].opened = 19.5
    evidence.silence("b", 20)
    evidence.dark["b"].append((20, 22))
    evidence.dark["a"].append(deaf)
    told_offline(evidence, "bob", told)
    assert len(evidence.false_offlines()) == false


@pytest.mark.parametrize(
    ("degraded", "ended", "told", "false"),
    [
        ((19, 20.5), True, 20.7, 0),
        ((19, 20.5), False, 20.7, 1),
        ((19, 20.5), False, 22.5, 0),
        ((19.7, 20.5), True, 20.7, 1),
        ((19, 19.9), True, 20.7, 1),
    ],
)
def test_without_redis_a_node_cannot_know_who_came_just_before_theirs_was_killed(
    evidence: Evidence, degraded: tuple[float, float], ended: bool, told: float, false: int
) -> None:
    evidence.stays[1].opened = 19.5
    evidence.silence("b", 20, ended=ended)
    goes(evidence, "bob", 20.8)
    for at, value in zip(degraded, (True, False), strict=True):
        evidence.views[0].hear({"type": "degraded", "value": value}, at)
    told_offline(evidence, "bob", told)
    assert len(evidence.false_offlines()) == false


@pytest.mark.parametrize(("came", "told", "false"), [(19.9, 23, 0), (19.7, 23, 1), (19.9, 24, 1)])
def test_nobody_can_know_who_came_in_the_very_moment_that_their_node_fell_silent(
    evidence: Evidence, came: float, told: float, false: int
) -> None:
    evidence.stays[1].opened = came
    evidence.silence("b", 20)
    evidence.dark["b"].append((20, 22))
    told_offline(evidence, "bob", told)
    assert len(evidence.false_offlines()) == false


def test_a_cut_shorter_than_the_lease_excuses_nothing(evidence: Evidence) -> None:
    evidence.dark["b"].append((20, 22))
    told_offline(evidence, "bob", 24)
    assert len(evidence.false_offlines()) == 1


def test_nor_for_who_came_to_the_node_meanwhile(evidence: Evidence) -> None:
    evidence.dark["b"].append((20, 22))
    goes(evidence, "alice", 19.5)
    evidence.stays.append(Stay("alice", "b", 20.5))
    told_offline(evidence, "alice", 21.6)
    assert len(evidence.false_offlines()) == 1


def test_who_is_shown_beyond_lease_and_grace_is_a_ghost(evidence: Evidence) -> None:
    goes(evidence, "bob", 20)
    told_offline(evidence, "bob", 20 + LEASE + GRACE + 1 + 4)
    ((wrong, seconds),) = evidence.ghosts()
    assert (wrong.username, seconds) == ("bob", 4)


def test_who_is_still_shown_at_the_end_is_a_ghost(evidence: Evidence) -> None:
    goes(evidence, "bob", 20)
    end(evidence, 60)
    ((wrong, seconds),) = evidence.ghosts()
    assert (wrong.username, seconds) == ("bob", 60 - 26)


def test_who_cannot_hear_may_show_what_was_last_known(evidence: Evidence) -> None:
    goes(evidence, "bob", 20)
    evidence.views[0].hear({"type": "degraded", "value": True}, 20.5)
    evidence.views[0].hear({"type": "degraded", "value": False}, 50)
    told_offline(evidence, "bob", 51)
    end(evidence, 60)
    assert evidence.ghosts() == []


def test_wrong_is_who_is_missing_and_who_is_too_many(evidence: Evidence) -> None:
    evidence.stays.append(Stay("carol", "b", 20))
    evidence.views[0].hear({"type": "changes", "online": {"carol": 1}}, 20.25)
    goes(evidence, "bob", 30)
    told_offline(evidence, "bob", 32.5)
    end(evidence, 60)
    assert sorted(span for span, _ in evidence.wrong_spans()) == [(20, 20.25), (32, 32.5)]


def test_people_may_be_shown_longer_beside_a_node_that_is_far_from_redis() -> None:
    evidence = Evidence(LEASE, GRACE)
    assert evidence.promise == LEASE + GRACE + 1
    evidence.farthest = 0.2
    assert evidence.promise == LEASE + GRACE + 1
    evidence.farthest = 0.64
    assert evidence.promise == pytest.approx(LEASE + GRACE + 1.78)


def test_a_node_that_falls_silent_after_a_grace_is_waited_for(evidence: Evidence) -> None:
    goes(evidence, "bob", 20)
    told_offline(evidence, "bob", 28)
    end(evidence, 60)
    for at in (21.9, 26.1):
        evidence.silences = [Silence("c", at)]
        assert [wrong.username for wrong, _ in evidence.ghosts()] == ["bob"]
    evidence.silences = []
    evidence.silence("c", 25)
    assert evidence.ghosts() == []
    evidence.start("b", 26)
    assert evidence.ghosts() == []
    evidence.start("c", 26)
    assert [wrong.username for wrong, _ in evidence.ghosts()] == ["bob"], "it is known by then"
