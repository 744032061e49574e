"""What one app may take of a process, so that the others have the rest."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable

# What is asked over HTTP by all of an app's users together, and by its backend; lines aside. A
# processor serves some thousands a second.
_OF_APP = 1_000, 500.0
# By one user: as much as a socket may say.
_OF_USER = 20, 2.0

# Of all the lines that a process can hold, one app may have this share.
_SHARE = 0.8


class AppLines:
    """Counts the open lines of each app."""

    def __init__(self, capacity: Callable[[], int]) -> None:
        self._capacity = capacity
        self._open: Counter[int] = Counter()

    def is_full(self, app: int) -> bool:
        return self._open[app] >= max(1, round(_SHARE * self._capacity()))

    def take(self, app: int) -> None:
        self._open[app] += 1

    def give_back(self, app: int) -> None:
        self._open[app] -= 1
        if not self._open[app]:
            del self._open[app]

    def open(self) -> dict[int, int]:
        return dict(self._open)


class Rate:
    """`burst` requests at once of each of them, and so many a second after."""

    def __init__(
        self,
        burst: int,
        per_second: float,
        most_keys: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._seconds = 1 / per_second
        self._most_keys = most_keys
        self._clock = clock
        # When each will have all of its burst again; the one that asked longest ago first.
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def take(self, who: Hashable) -> float:
        """Count a request. 0: go on; otherwise it is refused for so many seconds."""
        now = self._clock()
        full_at = max(self._full_at.get(who, now), now)
        wait = full_at - now - (self._burst - 1) * self._seconds
        # Less than a millisecond is a rounding error of the clock's arithmetic.
        if wait > 0.001:
            return wait
        self._full_at[who] = full_at + self._seconds
        self._full_at.move_to_end(who)
        if len(self._full_at) > self._most_keys:
            self._full_at.popitem(last=False)
        return 0.0


class ApiRates:
    """What is asked of the API over HTTP. Each method: seconds to wait, 0 if it may be answered."""

    def __init__(self) -> None:
        self._backends = Rate(*_OF_APP)
        self._people = Rate(*_OF_APP)
        self._users = Rate(*_OF_USER)

    def backend(self, app: int) -> float:
        return self._backends.take(app)

    def user(self, app: int, user: str) -> float:
        return self._users.take((app, user)) or self._people.take(app)
