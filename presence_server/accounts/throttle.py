"""Throttling of log-ins and sign-ups, asked before anything costly is done.

All counts are token buckets in memory. A try is counted before its password is checked, so that
many at once cannot slip through together, and given back when it was no guess. While the outcome
of others is all that a try has to fear, it waits for that: many right passwords at once all pass.

Nobody can lock anybody else out: no count belongs to an account alone. Guesses are counted for an
account *from one network*, so that a stranger's guesses leave the owner's network alone; and a
device that has logged in to the account before is counted by itself, even next to the stranger.

The numbers: ten guesses at one account are more than people need who mistyped, and 960 a day from
one network find no password that sign-up accepts. Thirty wrong passwords a minute from one address
stop the spraying of many accounts, yet a school behind one address makes fewer. Right passwords
are not counted there: a whole company may log in at nine o'clock; only together do right and wrong
end at 300 a minute, for each costs a hash; one device needs fewer. Whoever was turned away twenty
times because the server was busy is heard every other second only: when many push, those who come
back as they are told get their turn. Sign-ups come in bursts, as when a class begins, so that 200
may come at once, but then one a second.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeAlias

MOST_KEYS = 100_000


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` tries at once, and one more every `seconds` after."""

    burst: int
    seconds: float


GUESSES = Limit(10, 15 * 60 / 10)
WRONG_PASSWORDS = Limit(30, 60 / 30)
LOG_INS = Limit(300, 60 / 300)
DEVICE_LOG_INS = Limit(30, 60 / 30)
TROUBLES = Limit(20, 2)
SIGN_UPS = Limit(200, 60 / 60)

Bucket: TypeAlias = tuple[Limit, int]


@dataclass(slots=True)
class Attempt:
    """A try to log in: refused for `wait` seconds, or admitted if that is 0."""

    wait: float
    right: bool = False


class Throttle:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # For each key the time at which its bucket will be full again, the least used key first.
        self._full_at: OrderedDict[int, float] = OrderedDict()
        # How many of the counted tries may yet be given back, and what is set when one is decided.
        self._undecided: Counter[int] = Counter()
        self._decided = asyncio.Event()

    @asynccontextmanager
    async def log_in(
        self, address: str, username: str, device: str | None = None
    ) -> AsyncIterator[Attempt]:
        """Hold a try while its password is checked: say `right`, or it counts as a guess.

        An error that leaves the block is no guess either. `device` names a device on which this
        very account has logged in before; the caller has proof of that, for it opens a count of
        its own.
        """
        guesses = _guesses(address, username, device)
        troubles = TROUBLES, _key("trouble", _where(address, device))
        wait = await self._admit([*guesses, _log_ins(address, device)], guesses, troubles)
        attempt = Attempt(wait)
        if wait:
            yield attempt
            return
        was_guess = False
        try:
            yield attempt
            was_guess = not attempt.right
        except Exception:
            self._count([troubles])
            raise
        finally:
            self._decide(guesses, was_guess)

    def sign_up(self, address: str) -> float:
        """Count a try to sign up. 0: go on; otherwise it is refused for so many seconds."""
        bucket = SIGN_UPS, _key("sign-up", _client(address))
        wait = self._refusal([bucket])
        if not wait:
            self._count([bucket])
        return wait

    async def _admit(
        self, buckets: list[Bucket], undecided: list[Bucket], troubles: Bucket
    ) -> float:
        while wait := self._refusal([*buckets, troubles]):
            if self._refusal([*buckets, troubles], though_right=True):
                return wait
            await self._decided.wait()
        self._undecided.update(key for _, key in undecided)
        self._count(buckets)
        return 0.0

    def _decide(self, buckets: list[Bucket], was_guess: bool) -> None:
        for limit, key in buckets:
            self._undecided[key] -= 1
            if not self._undecided[key]:
                del self._undecided[key]
            if not was_guess and key in self._full_at:
                self._full_at[key] -= limit.seconds
        self._decided.set()
        self._decided = asyncio.Event()

    def _refusal(self, buckets: list[Bucket], though_right: bool = False) -> float:
        """Seconds until every bucket has one; `though_right`: if all undecided were given back."""
        now = self._clock()
        waits = [0.0]
        for limit, key in buckets:
            taken = self._full_at.get(key, now) - now
            if though_right:
                taken -= self._undecided[key] * limit.seconds
            waits.append(taken - (limit.burst - 1) * limit.seconds)
        # Less than a millisecond is a rounding error of the clock's arithmetic.
        return max(waits) if max(waits) > 0.001 else 0.0

    def _count(self, buckets: list[Bucket]) -> None:
        now = self._clock()
        for limit, key in buckets:
            self._full_at[key] = max(self._full_at.get(key, now), now) + limit.seconds
            self._full_at.move_to_end(key)
        while len(self._full_at) > MOST_KEYS:
            self._full_at.popitem(last=False)


def _guesses(address: str, username: str, device: str | None) -> list[Bucket]:
    near = _key("device", device) if device else _key("network", address_block(address, 3))
    return [
        (GUESSES, _key("guess", username.lower(), near)),
        (WRONG_PASSWORDS, _key("wrong", _where(address, device))),
    ]


def _log_ins(address: str, device: str | None) -> Bucket:
    limit = DEVICE_LOG_INS if device else LOG_INS
    return limit, _key("log-in", _where(address, device))


def _where(address: str, device: str | None) -> int:
    return _key("device", device) if device else _client(address)


def _client(address: str) -> int:
    return _key("address", address_block(address))


def _key(*parts: str | int | bytes) -> int:
    # Python's hash of strings has a secret of this process in it: nobody can aim at a bucket,
    # and a key takes the same few bytes however long the name that was typed.
    return hash(parts)


def address_block(address: str, length: int = 4) -> bytes:
    """The first bytes of an address; of IPv6 the /64, for whoever has one address has them all."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address.encode("utf-8", "surrogatepass")
    if ip.version == 6 and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip.packed[:8] if ip.version == 6 else ip.packed[:length]
