"""Throttling of log-ins and sign-ups, asked before anything costly is done.

Each try is counted before its password is checked, so that many at once cannot slip through
together, and given back when it turns out right. All counts are token buckets in memory.

Nobody can lock anybody else out: no count belongs to an account alone. Guesses are counted for an
account *from one network*, so that a stranger's guesses leave the owner's network alone; and a
device that has logged in to the account before is counted by itself, even next to the stranger.

The numbers: ten guesses at one account are more than people need who mistyped, and 960 a day
from one network find no password that sign-up accepts. Thirty wrong passwords a minute from one
address stop the spraying of many accounts, yet a school behind one address makes fewer. Right
passwords are not counted there: a whole company may log in at nine o'clock; only together do
right and wrong end at 300 a minute, for each costs a hash. Sign-ups come in bursts, as when a
class begins, so that 200 may come at once, but then one a second.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

MOST_KEYS = 100_000


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` tries at once, and one more every `seconds` after."""

    burst: int
    seconds: float


GUESSES_AT_ACCOUNT = Limit(10, 15 * 60 / 10)
WRONG_PASSWORDS = Limit(30, 60 / 30)
LOG_INS = Limit(300, 60 / 300)
SIGN_UPS = Limit(200, 60 / 60)


class Throttle:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._buckets = _Buckets(clock)

    def log_in(self, address: str, username: str, device: str | None = None) -> float:
        """Count a try to log in. 0: go on; otherwise it is refused for so many seconds.

        `device` names a device on which this very account has logged in before; the caller has
        proof of that, for it opens a count of its own.
        """
        return self._buckets.take(_log_in_buckets(address, username, device))

    def forgive(self, address: str, username: str, device: str | None = None) -> None:
        """The try was no guess: the password was right, or could not be checked at all."""
        guesses, wrong, _ = _log_in_buckets(address, username, device)
        self._buckets.give_back([guesses, wrong])

    def sign_up(self, address: str) -> float:
        """Count a try to sign up. 0: go on; otherwise it is refused for so many seconds."""
        return self._buckets.take([(SIGN_UPS, _key("sign-up", _client(address)))])


Bucket = tuple[Limit, int]


class _Buckets:
    """For each key the time at which its bucket will be full again, the least used key first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._full_at: OrderedDict[int, float] = OrderedDict()

    def take(self, buckets: list[Bucket]) -> float:
        """Take one from each bucket, or from none and say how long until all have one."""
        now = self._clock()
        wait = max(self._wait(limit, key, now) for limit, key in buckets)
        if wait > 0:
            return wait
        for limit, key in buckets:
            self._full_at[key] = max(self._full_at.get(key, now), now) + limit.seconds
            self._full_at.move_to_end(key)
        while len(self._full_at) > MOST_KEYS:
            self._full_at.popitem(last=False)
        return 0.0

    def give_back(self, buckets: list[Bucket]) -> None:
        for limit, key in buckets:
            if key in self._full_at:
                self._full_at[key] -= limit.seconds

    def _wait(self, limit: Limit, key: int, now: float) -> float:
        full_at = self._full_at.get(key, now)
        return full_at - now - (limit.burst - 1) * limit.seconds


def _log_in_buckets(address: str, username: str, device: str | None) -> list[Bucket]:
    account = username.lower()
    where = f"device {device}" if device else _client(address)
    near = f"device {device}" if device else _network(address)
    return [
        (GUESSES_AT_ACCOUNT, _key("guess", account, near)),
        (WRONG_PASSWORDS, _key("wrong", where)),
        (LOG_INS, _key("log-in", where)),
    ]


def _key(*parts: str) -> int:
    # Python's hash of strings has a secret of this process in it: nobody can aim at a bucket,
    # and a key takes the same few bytes however long the name that was typed.
    return hash(parts)


def _client(address: str) -> str:
    """One address; of IPv6 the /64, for whoever has one has them all."""
    return _cut(address, 32)


def _network(address: str) -> str:
    return _cut(address, 24)


def _cut(address: str, length: int) -> str:
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if ip.version == 6 and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return str(ip_network(f"{ip.compressed}/{64 if ip.version == 6 else length}", strict=False))
