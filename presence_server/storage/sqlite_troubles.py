"""What SQLite reports, told apart: trouble that passes, and our own mistakes."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from presence_server.storage.migrations import UnsoundDatabase

_TROUBLES = {
    sqlite3.SQLITE_BUSY: "is locked by another program",
    sqlite3.SQLITE_LOCKED: "is locked by another program",
    sqlite3.SQLITE_PROTOCOL: "is locked by another program",
    sqlite3.SQLITE_FULL: "has no room left on its disk",
    sqlite3.SQLITE_IOERR_SHMSIZE: "has no room left on its disk",
    sqlite3.SQLITE_READONLY: "cannot be written: the file or its folder is read-only",
    sqlite3.SQLITE_PERM: "may not be used",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: is there such a folder, and may we use the file?",
    sqlite3.SQLITE_IOERR: "cannot be read from or written to its disk",
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is not a database",
}
# Whatever else SQLite reports is trouble, too.
_MISTAKES = {
    0,  # of Python's own, such as a value that is missing
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_MISUSE,
    sqlite3.SQLITE_RANGE,
    sqlite3.SQLITE_TOOBIG,
}


@contextmanager
def troubles(path: Path, kind: type[Exception]) -> Iterator[None]:
    """Turn what the file or its disk does to us into `kind`; mistakes in SQL pass through."""
    try:
        yield
    except UnsoundDatabase as error:
        raise kind(f"The database {path} {error}.") from error
    except sqlite3.Error as error:
        # The low byte is the kind of error, the others say more about it.
        code = getattr(error, "sqlite_errorcode", 0)
        if code & 0xFF in _MISTAKES:
            raise
        known = _TROUBLES.get(code) or _TROUBLES.get(code & 0xFF)
        trouble = known or f"cannot be used: {error}"
        raise kind(f"The database {path} {trouble}.") from error
