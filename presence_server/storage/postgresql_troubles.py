"""What a PostgreSQL server reports, told apart: trouble that passes, and our own mistakes."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from presence_server.storage.migrations import UnsoundDatabase

READ_ONLY = "cannot be written: it is a replica, or was made read-only"
POOLED = "lies behind a pooler that works by transaction: it must work by session"

# By SQLSTATE: five characters, or the first two for a whole class.
_TROUBLES = {
    "08": "cannot be reached",
    "25006": READ_ONLY,
    "25P03": "did not hear from this server in time",
    "28": "does not let this server in: the user or the password is wrong",
    "3D": "does not exist",
    "3F": "has no schema for our tables",
    "26": POOLED,
    "40": "could not settle a quarrel between two transactions",
    "42P05": POOLED,
    "42501": "does not allow this server what it needs",
    "53": "has no room left",
    "53100": "has no room left on its disk",
    "53300": "takes no more connections",
    "55P03": "is locked by another program",
    "57": "is being stopped or started",
    "57014": "does not answer in time",
    "58": "cannot be read from or written to its disk",
    "XX001": "is damaged",
    "XX002": "is damaged",
}
# Classes of SQLSTATE. Whatever else a server reports is trouble, too.
_MISTAKES = {"22", "23", "42"}


@contextmanager
def troubles(name: str, kind: type[Exception]) -> Iterator[None]:
    """Turn what the server or the way to it does to us into `kind`; mistakes pass through."""
    try:
        yield
    except UnsoundDatabase as error:
        raise kind(f"The database {name} {error}.") from error
    except Exception as error:
        trouble = trouble_of(error)
        if trouble is None:
            raise
        raise kind(f"The database {name} {trouble}.") from error


def trouble_of(error: BaseException) -> str | None:
    """The rest of a sentence that begins with the database; None for a mistake of ours."""
    match error:
        case asyncpg.PostgresError():
            return _reported(error.sqlstate or "", str(error))
        case TimeoutError():
            return "does not answer in time"
        case OSError():
            return f"cannot be reached: {error.strerror or error}"
        case asyncpg.TargetServerAttributeNotMatched():
            return "has no server such as target_session_attrs asks for"
        case asyncpg.InternalClientError():
            # A connection that the server has just ended, while the driver still reads that.
            return "cannot be reached"
    return None


def _reported(state: str, text: str) -> str | None:
    known = _TROUBLES.get(state) or _TROUBLES.get(state[:2])
    if known or state[:2] in _MISTAKES:
        return known
    return f"cannot be used: {text.splitlines()[0]} ({state})"
