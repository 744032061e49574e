"""What is true of the sessions of one node, and what a client makes of what it is told.

Written down as simply as can be: this judges the rules, in virtual time and on a real server.
"""

from typing import Any

from presence_server.presence.states import Status


class Held:
    """One session as the truth has it."""

    def __init__(self, username: str, status: Status) -> None:
        self.username = username
        self.connections: dict[int, Status] = {}
        self.resting = status
        self.until = 0.0

    @property
    def status(self) -> Status:
        if not self.connections:
            return self.resting
        return "online" if "online" in self.connections.values() else "away"


class Truth:
    """Who is here by the rules."""

    def __init__(self, grace: float, lease: float = 10.0) -> None:
        self.grace = grace
        self.lease = lease
        self.sessions: dict[str, Held] = {}
        self.choices: dict[str, Status] = {}

    def open(self, session: str, username: str, connection: int) -> None:
        held = self.sessions.setdefault(session, Held(username, "online"))
        held.connections[connection] = "online" if held.connections else held.resting

    def close(self, session: str, connection: int, now: float) -> None:
        held = self.sessions[session]
        held.resting = held.status
        del held.connections[connection]
        held.until = now + self.grace

    def claim(self, session: str, username: str, now: float) -> None:
        held = self.sessions.setdefault(session, Held(username, "online"))
        if not held.connections:
            held.resting, held.until = "online", now + self.grace

    def say(self, session: str, connection: int, status: Status) -> None:
        self.sessions[session].connections[connection] = status

    def choose(self, username: str, status: Status) -> None:
        self.choices[username] = status
        if status == "online":
            del self.choices[username]
        for held in self.sessions.values():
            if held.username == username and status == "online":
                held.resting = "online"
                held.connections = dict.fromkeys(held.connections, "online")

    def end(self, session: str) -> Held | None:
        return self.sessions.pop(session, None)

    def pass_time(self, now: float) -> None:
        for session, held in list(self.sessions.items()):
            if not held.connections and held.until <= now + 1e-6:
                self.end(session)

    def still_held(self, pause: float) -> float:
        """For how long others may still show whom a server has that stood still for so long."""
        return min(self.grace, max(0.0, self.lease + self.grace - pause))

    def pause(self, seconds: float, now: float) -> None:
        """The server stood still until now: graces count the time in which it ran."""
        for held in self.sessions.values():
            latest = max(held.until, now + self.still_held(seconds))
            held.until = min(held.until + seconds, latest)

    def here(self) -> dict[str, Status]:
        here: dict[str, Status] = {}
        for held in self.sessions.values():
            if here.get(held.username) != "online":
                here[held.username] = held.status
        for username, choice in self.choices.items():
            if username in here:
                here[username] = choice
        return here


class Believer:
    """Reads one socket, and believes every word."""

    def __init__(self, tutorial: bool) -> None:
        self.tutorial = tutorial
        self.cursor = ""
        self.people: dict[str, tuple[str, int]] = {}

    def take(self, message: dict[str, Any]) -> None:
        if self.tutorial:
            self._take_tutorial(message)
        else:
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        self.cursor = message["cursor"]
        if message["type"] == "snapshot":
            self.people.clear()
        for status in ("online", "away", "offline", "deleted"):
            for username, since in message.get(status, {}).items():
                before = self.people.get(username)
                assert before is None or before[0] != status or before[1] < since, "rule 7"
                if status in ("online", "away"):
                    self.people[username] = status, since
                else:
                    self.people.pop(username, None)

    def _take_tutorial(self, message: dict[str, Any]) -> None:
        if message["is_logged_in"]:
            self.people[message["username"]] = "here", 0
        else:
            self.people.pop(message["username"], None)
