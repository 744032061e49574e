"""Passwords: which are good enough, and their hashes, made and checked in threads of their own."""

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import bcrypt
from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # it has no types

T = TypeVar("T")

LEAST_CHARACTERS = 8
# All that bcrypt reads of a password.
MOST_BYTES = 72
MOST_WAITING = 32

# zxcvbn may take seconds over 72 hostile characters, and 30 ms over this many.
_JUDGED = 16
_NO_HASH = "." * 31

log = logging.getLogger(__name__)


class PasswordsBusy(Exception):
    """Too many are waiting to have a password hashed; a later try may do."""


class Passwords:
    """Hashes and checks passwords without holding up the event loop.

    A hash takes a quarter of a second at cost 12, so that only so many can wait for theirs:
    beyond, everything here raises PasswordsBusy.
    """

    def __init__(self, cost: int) -> None:
        workers = max(1, (os.cpu_count() or 1) - 1)
        self._cost = cost
        self._places = workers + MOST_WAITING
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="passwords")
        # A well-formed hash that no password has, to spend the same time on a name that nobody
        # has; made without hashing anything.
        self._nobodys = bcrypt.gensalt(cost).decode() + _NO_HASH

    async def hash(self, password: str) -> str:
        return await self._run(_hash, password, self._cost)

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether the password belongs to the hash; None takes as long as any hash of our cost."""
        matches = await self._run(_matches, password, hashed or self._nobodys)
        return matches and hashed is not None

    async def problem(self, password: str, username: str) -> str | None:
        """password_problem() in a thread: judging a password takes up to some 60 ms."""
        return await self._run(password_problem, password, username)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Callable[..., T], *values: Any) -> T:
        if not self._places:
            raise PasswordsBusy("too many passwords are waiting to be checked")
        self._places -= 1
        try:
            # Who gives up takes the work out of the queue, unless it has begun.
            return await asyncio.wrap_future(self._pool.submit(function, *values))
        finally:
            self._places += 1


def password_problem(password: str, username: str) -> str | None:
    """A sentence that says why this is no good password for a new account, or None."""
    if len(password) < LEAST_CHARACTERS:
        return f"Use at least {LEAST_CHARACTERS} characters."
    if len(_bytes(password)) > MOST_BYTES:
        return f"Use at most {MOST_BYTES} characters; accents, other scripts and emoji count more."
    judged = [
        zxcvbn(part, user_inputs=[username, username[:_JUDGED], username[-_JUDGED:]])
        for part in dict.fromkeys((password[:_JUDGED], password[-_JUDGED:]))
    ]
    if any(verdict["score"] > 0 for verdict in judged):
        return None
    feedback = judged[0]["feedback"]
    return " ".join(
        ["This password is too easy to guess.", feedback["warning"], *feedback["suggestions"]]
    ).replace("  ", " ")


def _hash(password: str, cost: int) -> str:
    return bcrypt.hashpw(_bytes(password), bcrypt.gensalt(cost)).decode()


def _matches(password: str, hashed: str) -> bool:
    given = _bytes(password)
    try:
        # bcrypt refuses longer ones; they cannot be right, but must take as long.
        matches = bcrypt.checkpw(given[:MOST_BYTES], hashed.encode())
    except ValueError:
        log.error("A stored password hash is malformed; nobody can log in with it.")
        return False
    return matches and len(given) <= MOST_BYTES


def _bytes(password: str) -> bytes:
    # surrogatepass: half a surrogate pair is no reason to fail, only to be wrong.
    return password.encode("utf-8", "surrogatepass")
