"""Passwords: which are good enough, and their hashes, made and checked in threads of their own."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar
from unicodedata import category, normalize

import bcrypt
from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # it has no types

from presence_server.accounts.queues import ANYBODY, PasswordsBusy, Queue, Waiter, patiently
from presence_server.background import carried_through
from presence_server.processors import usable_processors

__all__ = ["Passwords", "PasswordsBusy", "password_problem"]

T = TypeVar("T")

LEAST_CHARACTERS = 8
# All that bcrypt reads of a password.
MOST_BYTES = 72
MOST_WAITING = 32

# zxcvbn may take seconds over 72 hostile characters, and 30 ms over this many.
_JUDGED = 16
_NO_HASH = "." * 31
_LEAST_COST = 4
# Added to the niceness of the process.
_NICER = 5

log = logging.getLogger(__name__)


class Passwords:
    """Hashes and checks passwords without holding up the event loop.

    A hash takes a quarter of a second at cost 12, so that only so many can wait for theirs:
    beyond, everything here raises PasswordsBusy. Whoever is `known` waits in a queue of their own,
    and the two queues take turns: a crowd of strangers keeps nobody out who has been here before,
    nor the other way round. Within a queue, too, shares take turns: those of one account, or of
    strangers from one address.
    """

    def __init__(self, cost: int) -> None:
        # One processor is left to the event loop.
        self._idle = max(1, usable_processors() - 1)
        self._cost = cost
        self._pool = ThreadPoolExecutor(self._idle, "passwords", _yield_to_others)
        # Python holds its lock while it judges: in a thread that is put off, all would wait.
        self._judges = ThreadPoolExecutor(self._idle, "judges")
        self._queues = Queue(MOST_WAITING), Queue(MOST_WAITING)
        self._stopping = False
        self._next = 0
        # A well-formed hash that no password has, to spend the same time on a name that nobody
        # has; made without hashing anything.
        self._nobodys = bcrypt.gensalt(cost).decode() + _NO_HASH

    def busy(self, who: Waiter = ANYBODY, *, known: bool = False) -> bool:
        """Whether the next one would be refused: worth asking before other work is done."""
        full = not self._idle and self._queues[known].is_full(who.share)
        return full or self._stopping

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash was made at another cost than ours."""
        return _cost(hashed) != self._cost

    async def hash(self, password: str, who: Waiter = ANYBODY, *, known: bool = False) -> str:
        await self._turn(who, known)
        return await self._run(self._pool, _hash, password, self._cost)

    async def verify(
        self, password: str, hashed: str | None, who: Waiter = ANYBODY, *, known: bool = False
    ) -> bool:
        """Whether the password belongs to the hash; without a hash it takes as long as with any of
        our cost."""
        await self._turn(who, known)
        check = password, hashed or self._nobodys, self._cost
        return await self._run(self._pool, _matches, *check) and bool(hashed)

    async def problem(
        self, password: str, username: str, who: Waiter = ANYBODY, *, known: bool = False
    ) -> str | None:
        """password_problem() in a thread: judging a password takes up to some 60 ms."""
        await self._turn(who, known)
        return await self._run(self._judges, password_problem, password, username)

    def stop(self) -> None:
        """Send everybody away who waits: there will be no more turns."""
        self._stopping = True
        for queue in self._queues:
            queue.send_away()

    def close(self) -> None:
        for pool in (self._pool, self._judges):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _run(
        self, pool: ThreadPoolExecutor, function: Callable[..., T], *values: Any
    ) -> T:
        try:
            work = asyncio.wrap_future(pool.submit(function, *values))
        except BaseException:
            self._end_turn()
            raise
        # The thread works to the end, also when nobody waits for it any more.
        work.add_done_callback(lambda _: self._end_turn())
        return await carried_through(work)

    async def _turn(self, who: Waiter, known: bool) -> None:
        if self._stopping:
            raise PasswordsBusy("the server stops")
        if self._idle:
            self._idle -= 1
            return
        queue = self._queues[known]
        mine = queue.join(who.share)
        try:
            await patiently(mine, who.gone)
        except BaseException:
            if not queue.leave(who.share, mine):
                self._end_turn()
            raise

    def _end_turn(self) -> None:
        for _ in self._queues:
            self._next = (self._next + 1) % len(self._queues)
            if self._queues[self._next].next():
                return
        self._idle += 1


def _yield_to_others() -> None:
    """Let this thread have what others leave of the processors: sockets first, then passwords."""
    if sys.platform == "linux":  # elsewhere it would be the whole process
        thread = threading.get_native_id()
        # Some sandboxes let nobody ask: then it works as fast as all others.
        with suppress(OSError):
            niceness = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, niceness + _NICER)


def password_problem(password: str, username: str) -> str | None:
    """A sentence that says why this is no good password for a new account, or None."""
    password = _composed(password)
    if len(password) < LEAST_CHARACTERS:
        return f"Use at least {LEAST_CHARACTERS} characters."
    if len(_bytes(password)) > MOST_BYTES:
        return f"Use at most {MOST_BYTES} characters; accents, other scripts and emoji count more."
    # zxcvbn fails over a line break; to bcrypt a password that is repeated after a NUL is itself.
    if any(category(character) == "Cc" for character in password):
        return "A password has no line breaks or other control characters."
    judged = [
        zxcvbn(part, user_inputs=[username, username[:_JUDGED], username[-_JUDGED:]])
        for part in dict.fromkeys((password[:_JUDGED], password[-_JUDGED:]))
    ]
    if any(verdict["score"] > 0 for verdict in judged):
        return None
    return "This password is too easy to guess. Take a few words that do not belong together."


def _hash(password: str, cost: int) -> str:
    return bcrypt.hashpw(_bytes(_composed(password)), bcrypt.gensalt(cost)).decode()


def _matches(password: str, hashed: str, cost: int) -> bool:
    return any(_fits(spelling, hashed, cost) for spelling in _spellings(password))


def _composed(password: str) -> str:
    """In the form that is hashed: keyboards differ in how they send an accent."""
    return normalize("NFC", password)


def _spellings(password: str) -> Iterable[str]:
    """The password as it is hashed, and as it may have been before all of them were composed."""
    return dict.fromkeys((_composed(password), password, normalize("NFD", password)))


def _fits(password: str, hashed: str, cost: int) -> bool:
    # bcrypt refuses longer ones, and reads on from the beginning after a NUL; neither can be right,
    # but must take as long.
    given = _bytes(password)
    possible = len(given) <= MOST_BYTES and b"\0" not in given
    fits = _check(given[:MOST_BYTES], hashed) and possible
    # A hash of a lower cost is as slow as ours with one more check at each cost in between: or a
    # wrong password would tell which names exist after the cost was raised.
    for lower in range(_cost(hashed), cost) if not fits else ():
        _check(given[:MOST_BYTES], bcrypt.gensalt(lower).decode() + _NO_HASH)
    return fits


def _check(given: bytes, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(given, hashed.encode())
    except ValueError:
        log.error("A stored password hash is malformed; nobody can log in with it.")
        return False


def _cost(hashed: str) -> int:
    """What follows the second `$`; the least for what is no hash."""
    cost = hashed[4:6]
    return int(cost) if cost.isdecimal() else _LEAST_COST


def _bytes(password: str) -> bytes:
    # surrogatepass: half a surrogate pair is no reason to fail, only to be wrong.
    return password.encode("utf-8", "surrogatepass")
