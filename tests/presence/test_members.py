"""Sessions that are here by connections, by their grace or by a claim."""

from presence_server.presence.members import Members, Who
from presence_server.presence.moment import Moment
from presence_server.presence.states import Status


def at(second: float) -> Moment:
    return Moment(second, 1000 + int(second))


def who(session: str, user: str = "alice") -> Who:
    return Who(session, user)


def open_line(members: Members, session: str, number: int, status: Status = "online") -> None:
    members.open(session, who(session), number, status, at(0))


def status(members: Members, session: str) -> Status | None:
    member = members.get(session)
    return None if member is None else member.status


def test_a_session_is_online_while_one_of_its_lines_is() -> None:
    members = Members()
    open_line(members, "s", 1, "away")
    open_line(members, "s", 2)
    assert status(members, "s") == "online"
    members.close("s", 2, at(1))
    assert status(members, "s") == "away"


def test_without_a_line_it_stays_as_it_was_and_since_then() -> None:
    members = Members()
    open_line(members, "s", 1, "away")
    assert members.close("s", 1, at(5))
    member = members.get("s")
    assert member is not None and not member.is_open
    assert (member.status, member.left) == ("away", at(5))


def test_closing_twice_or_what_was_never_open_is_nothing() -> None:
    members = Members()
    open_line(members, "s", 1)
    assert not members.close("s", 7, at(1)) and not members.close("t", 1, at(1))
    assert members.close("s", 1, at(1)) and not members.close("s", 1, at(2))


def test_a_claim_of_a_session_with_a_line_is_nothing() -> None:
    members = Members()
    open_line(members, "s", 1, "away")
    assert not members.rest("s", who("s"), "online", at(1))
    assert status(members, "s") == "away"
    assert members.rest("t", who("t"), "online", at(1))
    assert status(members, "t") == "online"


def test_a_user_left_when_the_last_of_all_sessions_did() -> None:
    """The session that is let go last need not be the one that was here last."""
    members = Members()
    open_line(members, "s", 1)
    open_line(members, "t", 2)
    members.close("t", 2, at(1))
    members.close("s", 1, at(6))
    members.release("s")
    assert members.release("t").left.unix == 1006


def test_nothing_is_left_of_those_who_are_gone() -> None:
    members = Members()
    for number in range(100):
        open_line(members, f"s{number}", number)
        members.close(f"s{number}", number, at(number))
        members.release(f"s{number}")
    assert not (members._members or members._users or len(members) or members.users)
