"""What may be true of a user whose acts have no exact times.

When something happened on the server is known only between a question and its answer, so that at
the end of a grace two things may be true of a user. Each is followed as a world of its own until
what is told excludes it.
"""

import copy
from collections.abc import Callable, Sequence
from time import monotonic

from tests.presence.truth import Truth

# What an act does, at a time.
Act = Callable[[Truth, float], object]


class World:
    """One course that a user's sessions may have taken."""

    def __init__(self, username: str, grace: float) -> None:
        self.username = username
        self.truth = Truth(grace)
        # When a session without connections may be gone, at the earliest.
        self.earliest: dict[str, float] = {}
        # What the user went through since the last check, and what they were at it.
        self.path = [self.status]

    @property
    def status(self) -> str:
        return self.truth.here().get(self.username, "offline")

    def happen(self, act: Act, begun: float, ended: float) -> None:
        act(self.truth, ended)
        for session, held in self.truth.sessions.items():
            if held.until == ended + self.truth.grace:
                self.earliest[session] = begun + self.truth.grace
        if self.status != self.path[-1]:
            self.path.append(self.status)

    def due(self, now: float) -> list[str]:
        """The sessions that may be gone by now."""
        sessions = self.truth.sessions.items()
        return [s for s, held in sessions if not held.connections and self.earliest[s] <= now]

    def is_overdue(self, now: float) -> bool:
        """Whether some session must be gone by now."""
        sessions = self.truth.sessions.values()
        return any(not held.connections and held.until <= now for held in sessions)

    def without(self, session: str) -> "World":
        world = copy.deepcopy(self)
        world.happen(lambda truth, now: truth.end(session), 0, 0)
        return world

    def explains(self, told: Sequence[str], plain: Sequence[str]) -> bool:
        """Whether nothing is made up; of quick changes some may be left out."""
        return _occur(told, self.path[1:]) and _occur(plain, self._plain_path()[1:])

    def is_told(self, told: Sequence[str], plain: Sequence[str]) -> bool:
        """Whether the end of it is told."""
        return _end(told) == _end(self.path[1:]) and _end(plain) == _end(self._plain_path()[1:])

    def _plain_path(self) -> list[str]:
        """The path as the tutorial's socket tells it: away counts as here."""
        found: list[str] = []
        for status in self.path:
            word = "offline" if status == "offline" else "here"
            if found[-1:] != [word]:
                found.append(word)
        return found


class Story:
    """All that may be true of one user."""

    def __init__(self, username: str, grace: float) -> None:
        self.username = username
        self.worlds = [World(username, grace)]

    def happen(self, act: Act, begun: float) -> None:
        """Something has happened between `begun` and now."""
        now = monotonic()
        self._pass_time(now)
        for world in self.worlds:
            world.happen(act, begun, now)

    def may_be_over(self, session: str, since: float) -> None:
        for world in self.worlds:
            world.earliest[session] = since

    def doubt(self) -> None:
        """The server stood still: any grace may have been over when it went on."""
        for world in self.worlds:
            world.earliest = dict.fromkeys(world.earliest, 0.0)

    def explains(self, told: Sequence[str], plain: Sequence[str]) -> bool:
        self._pass_time(monotonic())
        left = [world for world in self.worlds if world.explains(told, plain)]
        self.worlds = left or self.worlds
        return bool(left)

    def is_told(self, told: Sequence[str], plain: Sequence[str]) -> bool:
        left = [world for world in self.worlds if world.is_told(told, plain)]
        self.worlds = left or self.worlds
        return bool(left)

    def is_on_time(self) -> bool:
        """Whether no grace should have ended before."""
        now = monotonic()
        left = [world for world in self.worlds if not world.is_overdue(now)]
        self.worlds = left or self.worlds
        return bool(left)

    def go_on(self) -> None:
        """All is told: from here on only what comes is to be explained."""
        for world in self.worlds:
            del world.path[:-1]

    def is_sure(self) -> bool:
        return not any(world.due(monotonic()) for world in self.worlds)

    def _pass_time(self, now: float) -> None:
        found: dict[str, World] = {}
        waiting = list(self.worlds)
        while waiting:
            world = waiting.pop()
            sessions = sorted((s, vars(held)) for s, held in world.truth.sessions.items())
            key = repr((world.path, sessions))
            if key not in found:
                found[key] = world
                waiting += [world.without(session) for session in world.due(now)]
        self.worlds = list(found.values())

    def __str__(self) -> str:
        paths = " or ".join("-".join(world.path) for world in self.worlds)
        return f"{self.username} went {paths}"


def _occur(told: Sequence[str], path: Sequence[str]) -> bool:
    """Whether all of it stands in the path, in the same order."""
    rest = iter(path)
    return all(status in rest for status in told)


def _end(statuses: Sequence[str]) -> Sequence[str]:
    return statuses[-1:]
