"""The frames that many sockets share."""

from presence_server.live.frames import MOST_OWN, Frames
from presence_server.presence.roster import Roster


def test_a_crowd_is_not_told_by_name() -> None:
    crowd = [f"user{number}" for number in range(MOST_OWN + 1)]
    assert b'"usernames":["user0","user1"]' in silence(crowd[:2])
    assert b"user2000" not in silence(crowd)
    assert b"user1999" in silence(crowd[:MOST_OWN])


def silence(own: list[str]) -> bytes:
    frame = Frames(Roster(), "node", 20.0).silence(own)
    assert b'{"type":"degraded","value":true}' in frame
    return frame
