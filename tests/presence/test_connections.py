"""Sessions that are here by connections, by their grace or by a claim."""

from presence_server.presence.connections import Connections, Departure
from presence_server.presence.moment import Moment


def at(second: float) -> Moment:
    return Moment(second, 1000 + int(second))


def gone(connections: Connections, second: float) -> list[Departure]:
    return list(connections.expire(second))


def test_a_session_stays_for_its_grace_after_its_last_connection() -> None:
    connections = Connections(grace=8)
    connections.open("s", "alice", 1, at(0))
    connections.open("s", "alice", 2, at(0))
    connections.close("s", 1, at(1))
    assert not gone(connections, 100)
    connections.close("s", 2, at(2))
    assert not gone(connections, 9.9) and connections.is_resting("s")
    assert gone(connections, 10) == [Departure("s", "alice", 1002)]
    assert connections.status_of("alice") is None and not connections.sessions()


def test_coming_back_ends_the_grace() -> None:
    connections = Connections(grace=8)
    connections.open("s", "alice", 1, at(0))
    connections.close("s", 1, at(1))
    connections.open("s", "alice", 2, at(8))
    assert not gone(connections, 100)


def test_graces_and_claims_end_in_the_order_of_their_deadlines() -> None:
    connections = Connections(grace=8)
    connections.claim("first", "alice", "online", at(0))
    connections.claim("second", "bob", "online", at(1))
    connections.claim("first", "alice", "online", at(2))
    assert [departure.session for departure in gone(connections, 9)] == ["second"]
    assert [departure.session for departure in gone(connections, 10)] == ["first"]


def test_a_claim_of_a_session_with_a_connection_is_nothing() -> None:
    connections = Connections(grace=8)
    connections.open("s", "alice", 1, at(0))
    connections.set_status("s", 1, "away")
    connections.claim("s", "alice", "online", at(0))
    assert connections.status_of("alice") == "away" and not gone(connections, 100)


def test_without_a_grace_nobody_stays() -> None:
    connections = Connections(grace=0)
    connections.open("s", "alice", 1, at(0))
    connections.close("s", 1, at(1))
    assert gone(connections, 1)


def test_closing_twice_or_what_was_never_open_is_nothing() -> None:
    connections = Connections(grace=8)
    connections.open("s", "alice", 1, at(0))
    connections.close("s", 7, at(0))
    connections.close("other", 1, at(0))
    assert connections.status_of("alice") == "online" and not connections.is_resting("s")
    connections.close("s", 1, at(0))
    connections.close("s", 1, at(5))
    assert gone(connections, 8)


def test_a_user_is_away_when_all_connections_are() -> None:
    connections = Connections(grace=8)
    connections.open("s", "alice", 1, at(0))
    connections.open("s", "alice", 2, at(0))
    connections.open("t", "alice", 3, at(0))
    for session, connection in (("s", 1), ("s", 2)):
        connections.set_status(session, connection, "away")
        assert connections.status_of("alice") == "online"
    connections.set_status("t", 3, "away")
    assert connections.status_of("alice") == "away"
    connections.set_status("t", 3, "away")
    connections.set_status("s", 1, "online")
    connections.close("s", 1, at(1))
    assert connections.status_of("alice") == "away"


def test_a_session_in_its_grace_keeps_its_status_and_gets_it_back() -> None:
    connections = Connections(grace=8)
    connections.open("s", "alice", 1, at(0))
    connections.set_status("s", 1, "away")
    connections.close("s", 1, at(1))
    assert connections.status_of("alice") == "away"
    connections.open("s", "alice", 2, at(2))
    assert connections.status_of("alice") == "away"
    connections.open("s", "alice", 3, at(3))
    assert connections.status_of("alice") == "online", "a further tab is activity"


def test_online_for_all_reaches_those_in_their_grace_too() -> None:
    connections = Connections(grace=8)
    connections.open("s", "alice", 1, at(0))
    connections.open("t", "alice", 2, at(0))
    connections.open("other", "bob", 3, at(0))
    for session, connection in (("s", 1), ("t", 2), ("other", 3)):
        connections.set_status(session, connection, "away")
    connections.close("t", 2, at(0))
    connections.set_all("alice", "online")
    connections.end("s", at(1))
    assert connections.status_of("alice") == "online" and connections.status_of("bob") == "away"


def test_an_ended_session_is_gone_at_once_with_all_its_connections() -> None:
    connections = Connections(grace=8)
    connections.open("s", "alice", 1, at(0))
    connections.open("s", "alice", 2, at(0))
    assert connections.end("s", at(3)) == Departure("s", "alice", 1003)
    assert connections.end("s", at(4)) is None
    connections.close("s", 1, at(4))
    assert connections.status_of("alice") is None and not gone(connections, 100)


def test_a_user_left_when_the_last_of_all_sessions_did() -> None:
    """The session that is let go last need not be the one that was here last."""
    connections = Connections(grace=8)
    connections.open("s", "alice", 1, at(0))
    connections.open("t", "alice", 2, at(0))
    connections.close("t", 2, at(1))
    connections.end("s", at(6))
    assert gone(connections, 9) == [Departure("t", "alice", 1006)]


def test_i12_nothing_is_left_of_those_who_are_gone() -> None:
    connections = Connections(grace=8)
    for number in range(100):
        connections.open(f"s{number}", f"user{number % 7}", number, at(number))
        connections.close(f"s{number}", number, at(number))
    assert len(gone(connections, 1000)) == 100
    assert not (connections._sessions or connections._users or connections._deadlines)
