"""Who is about to be let go, by what has to be known first: of thousands who go at once, as when a
node dies, that is asked once and not for each of them whenever a letter comes."""

import math
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from presence_server.presence.entries import Source

# No mark: those who left it out are asked anew.
NO_MARK = math.inf


class Why(Enum):
    GRACE = "the grace is over"
    TOLD = "its node says so"
    UNNAMED = "its node did not name it, perhaps before it came"
    ENDED = "the session has ended"


class Departure(NamedTuple):
    """A session to be let go because of what was so at `at`, gone since the Unix second `since`.

    `mark` is the one that its node had others confirm, if that told of it.
    """

    why: Why
    at: float
    since: int
    mark: float = NO_MARK


class Cause(NamedTuple):
    """What departures of one node have in common."""

    node: str
    why: Why
    at: float
    mark: float


class Pending:
    def __init__(self) -> None:
        self._departures: dict[Source, Departure] = {}
        self._by_cause: dict[Cause, dict[Source, None]] = {}

    def __len__(self) -> int:
        return len(self._departures)

    def get(self, source: Source) -> Departure | None:
        return self._departures.get(source)

    @property
    def newest(self) -> float:
        """The last moment of which something has to be known."""
        return max((cause.at for cause in self._by_cause), default=-math.inf)

    def put(self, source: Source, departure: Departure) -> None:
        self.drop(source)
        self._departures[source] = departure
        self._by_cause.setdefault(_cause(source, departure), {})[source] = None

    def drop(self, source: Source) -> None:
        departure = self._departures.pop(source, None)
        if departure is not None:
            cause = _cause(source, departure)
            del self._by_cause[cause][source]
            if not self._by_cause[cause]:
                del self._by_cause[cause]

    def causes(self) -> list[Cause]:
        return list(self._by_cause)

    def take(self, cause: Cause) -> Iterator[tuple[Source, Departure]]:
        """All that go for it; they are forgotten."""
        for source in self._by_cause.pop(cause):
            yield source, self._departures.pop(source)


def _cause(source: Source, departure: Departure) -> Cause:
    return Cause(source.node, departure.why, departure.at, departure.mark)
