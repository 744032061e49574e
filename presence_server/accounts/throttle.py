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
from typing import TypeAlias

from presence_server.accounts.queues import ANYBODY, LONGEST, PasswordsBusy, Waiter, patiently
from presence_server.addresses import neighbourhoods, networks

MOST_KEYS = 100_000
# So many may wait for the outcome of others, from one address and in all.
MOST_WAITING, MOST_WAITING_IN_ALL = 200, 1000


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
    was_right: bool = False

    def succeed(self) -> None:
        self.was_right = True


class Throttle:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # For each key the time at which its bucket will be full again, the least used key first.
        self._full_at: OrderedDict[int, float] = OrderedDict()
        # How many of the counted tries may yet be given back, and what is set when one is decided.
        self._undecided: Counter[int] = Counter()
        self._decided: asyncio.Future[None] | None = None
        self._waiting: Counter[int] = Counter()

    @asynccontextmanager
    async def log_in(
        self, address: str, username: str, device: str | None = None, who: Waiter = ANYBODY
    ) -> AsyncIterator[Attempt]:
        """Hold a try while its password is checked: unless it does `succeed` it counts as a guess.

        An error that leaves the block is no guess either. Too many who wait, or one who waits too
        long, get PasswordsBusy. `device` names a device on which this very account has logged in
        before; the caller has proof of that, for it opens a count of its own.
        """
        guesses = _guesses(address, username, device)
        troubles = _each(TROUBLES, "trouble", address, device)
        log_ins = _each(DEVICE_LOG_INS if device else LOG_INS, "log-in", address, device)
        where = _where(address, device)[0][0]
        wait = await self._admit([*guesses, *log_ins], guesses, troubles, where, who)
        attempt = Attempt(wait)
        if wait:
            yield attempt
            return
        was_guess = False
        try:
            yield attempt
            was_guess = not attempt.was_right
        except Exception:
            self._count(troubles)
            raise
        finally:
            self._decide(guesses, was_guess)

    def sign_up(self, address: str) -> float:
        """Count a try to sign up. 0: go on; otherwise it is refused for so many seconds."""
        buckets = _each(SIGN_UPS, "sign-up", address)
        wait = self._refusal(buckets)
        if not wait:
            self._count(buckets)
        return wait

    async def _admit(
        self,
        buckets: list[Bucket],
        undecided: list[Bucket],
        troubles: list[Bucket],
        where: int,
        who: Waiter,
    ) -> float:
        until = asyncio.get_running_loop().time() + LONGEST
        while wait := self._refusal([*buckets, *troubles]):
            if self._refusal([*buckets, *troubles], though_right=True):
                return wait
            if asyncio.get_running_loop().time() >= until:
                raise PasswordsBusy("waited too long for the outcome of others")
            await self._wait(where, who)
        self._undecided.update(key for _, key in undecided)
        self._count(buckets)
        return 0.0

    async def _wait(self, where: int, who: Waiter) -> None:
        if self._waiting[where] >= MOST_WAITING or self._waiting.total() >= MOST_WAITING_IN_ALL:
            raise PasswordsBusy("too many wait for the outcome of others")
        if self._decided is None:
            self._decided = asyncio.get_running_loop().create_future()
        self._waiting[where] += 1
        try:
            await patiently(self._decided, who.gone)
        finally:
            self._waiting[where] -= 1
            if not self._waiting[where]:
                del self._waiting[where]

    def _decide(self, buckets: list[Bucket], was_guess: bool) -> None:
        for limit, key in buckets:
            self._undecided[key] -= 1
            if not self._undecided[key]:
                del self._undecided[key]
            if not was_guess and key in self._full_at:
                self._full_at[key] -= limit.seconds
        if self._decided is not None:
            self._decided.set_result(None)
            self._decided = None

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
    near = [(_key("device", device), 1)] if device else _near(address)
    at_one_account = [
        (_shared(GUESSES, clients), _key("guess", username.lower(), key)) for key, clients in near
    ]
    return [*at_one_account, *_each(WRONG_PASSWORDS, "wrong", address, device)]


def _near(address: str) -> list[tuple[int, int]]:
    return [(_key("network", network), clients) for network, clients in neighbourhoods(address)]


def _each(limit: Limit, what: str, address: str, device: str | None = None) -> list[Bucket]:
    """The limit for a device, or for an address and each network around it."""
    return [
        (_shared(limit, clients), _key(what, key)) for key, clients in _where(address, device)
    ]


def _shared(limit: Limit, clients: int) -> Limit:
    return Limit(limit.burst * clients, limit.seconds / clients)


def _where(address: str, device: str | None) -> list[tuple[int, int]]:
    if device:
        return [(_key("device", device), 1)]
    return [(_key("address", network), clients) for network, clients in networks(address)]


def _key(*parts: str | int | bytes) -> int:
    # Python's hash of strings has a secret of this process in it: nobody can aim at a bucket,
    # and a key takes the same few bytes however long the name that was typed.
    return hash(parts)
