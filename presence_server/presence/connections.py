"""The connections of this node, and the sessions that keep their users here."""

from collections.abc import Iterator
from typing import NamedTuple

from presence_server.presence.moment import Moment
from presence_server.presence.roster import Status


class Held(NamedTuple):
    """What is worth remembering of a session that keeps its user here."""

    username: str
    status: Status


class Departure(NamedTuple):
    """A session that no longer keeps its user here; `left` is the user's last sign of life."""

    session: str
    username: str
    left: int


class _Session:
    """A session with its open connections, or in its grace when it has none."""

    __slots__ = ("username", "connections", "online", "resting", "left")

    def __init__(self, username: str, left: int) -> None:
        self.username = username
        self.connections: dict[int, Status] = {}
        # How many of the connections are online, so that the status is known without counting.
        self.online = 0
        # The status that holds while no connection is open.
        self.resting: Status = "online"
        self.left = left

    @property
    def status(self) -> Status:
        if not self.connections:
            return self.resting
        return "online" if self.online else "away"

    def put(self, connection: int, status: Status) -> None:
        self.drop(connection)
        self.connections[connection] = status
        self.online += status == "online"

    def drop(self, connection: int) -> None:
        self.online -= self.connections.pop(connection, None) == "online"


class Connections:
    """Sessions of this node's users: each is here by open connections, by its grace or by a claim.

    A grace and a claim last equally long, so they end in the order in which they began.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._sessions: dict[str, _Session] = {}
        self._users: dict[str, dict[str, _Session]] = {}
        self._deadlines: dict[str, float] = {}

    def open(self, session: str, username: str, connection: int, now: Moment) -> None:
        """Open a connection: a session in its grace keeps its status, a further tab is activity."""
        held = self._hold(session, username, now)
        self._deadlines.pop(session, None)
        held.put(connection, "online" if held.connections else held.resting)

    def close(self, session: str, connection: int, now: Moment) -> None:
        """Close one connection; a session without any stays for the grace, its status unchanged."""
        held = self._sessions.get(session)
        if held is None or connection not in held.connections:
            return
        held.resting, held.left = held.status, now.unix
        held.drop(connection)
        if not held.connections:
            self._rest(session, now)

    def claim(self, session: str, username: str, status: Status, now: Moment) -> None:
        """Count a session as here for one grace although it has no connection (yet)."""
        held = self._hold(session, username, now)
        if not held.connections:
            held.resting, held.left = status, now.unix
            self._rest(session, now)

    def set_status(self, session: str, connection: int, status: Status) -> None:
        held = self._sessions.get(session)
        if held is not None and connection in held.connections:
            held.put(connection, status)

    def set_all(self, username: str, status: Status) -> None:
        for held in self._users.get(username, {}).values():
            held.resting = status
            for connection in list(held.connections):
                held.put(connection, status)

    def end(self, session: str, now: Moment) -> Departure | None:
        """End a session with all that keeps its user here, without any grace."""
        return self._release(session, now.unix) if session in self._sessions else None

    def expire(self, elapsed: float) -> Iterator[Departure]:
        """Let those go whose grace or claim is over by then."""
        while self._deadlines:
            session, deadline = next(iter(self._deadlines.items()))
            if deadline > elapsed:
                return
            yield self._release(session, self._sessions[session].left)

    def is_resting(self, session: str) -> bool:
        """Whether a session is here without any connection, by its grace or a claim."""
        return session in self._deadlines

    def resting(self, session: str, elapsed: float) -> float | None:
        """For how many seconds a session has had no connection, None while it has one."""
        deadline = self._deadlines.get(session)
        return None if deadline is None else elapsed - (deadline - self._grace)

    def status_of(self, username: str) -> Status | None:
        """What this node says of a user; None if it has nobody of that name."""
        sessions = self._users.get(username)
        if sessions is None:
            return None
        return "online" if any(held.status == "online" for held in sessions.values()) else "away"

    def held(self, session: str) -> Held | None:
        held = self._sessions.get(session)
        return None if held is None else Held(held.username, held.status)

    def users(self) -> list[str]:
        return list(self._users)

    def sessions(self) -> list[str]:
        return list(self._sessions)

    def _hold(self, session: str, username: str, now: Moment) -> _Session:
        held = self._sessions.get(session)
        if held is None:
            held = self._sessions[session] = _Session(username, now.unix)
            self._users.setdefault(username, {})[session] = held
        return held

    def _rest(self, session: str, now: Moment) -> None:
        # Taken out first: a dict keeps the old place of a key that is set again.
        self._deadlines.pop(session, None)
        self._deadlines[session] = now.elapsed + self._grace

    def _release(self, session: str, left: int) -> Departure:
        held = self._sessions.pop(session)
        self._deadlines.pop(session, None)
        sessions = self._users[held.username]
        del sessions[session]
        for other in sessions.values():
            other.left = max(other.left, left)
        if not sessions:
            del self._users[held.username]
        return Departure(session, held.username, left)
