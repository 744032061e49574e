"""Opening the SQLite file itself: its modes, its journal, its soundness, its schema."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from presence_server.storage.engine import OPEN_PATIENCE
from presence_server.storage.migrations import UnsoundDatabase, check_known, read_steps
from presence_server.resources import MIGRATIONS

# "pres", so that the file of another program is not taken for ours.
APPLICATION_ID = 0x70726573


def open_writer(path: Path, *, create: bool) -> sqlite3.Connection:
    """Connect to `path` with the newest schema; several processes may do so at the same time."""
    _make_private(path, create=create)
    connection = _connect(path)
    try:
        _check_sound(connection)
        _enter_wal(connection)
        # FULL: what was acknowledged survives a power cut, at one fsync a transaction.
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw: only open_writer() makes a database.
    uri = f"{path.as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=OPEN_PATIENCE)
    connection.execute("PRAGMA foreign_keys = ON")
    # Another program may have written bytes that are no text: one bad name must not fail a list.
    connection.text_factory = _text
    return connection


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _make_private(path: Path, *, create: bool) -> None:
    """See that nobody else can read the file; SQLite gives -wal and -shm the same mode."""
    try:
        if not path.parent.is_dir():
            raise UnsoundDatabase(f"cannot be opened: there is no folder {path.parent}")
        if path.is_dir():
            raise UnsoundDatabase("is a folder, not a database")
        if path.exists():
            if not path.is_file():
                # A device, as /dev/null, belongs to all: nothing may be taken from others.
                raise UnsoundDatabase("is no file")
            _take_from_others(path)
        elif create:
            _create(path)
        else:
            raise UnsoundDatabase("does not exist")
    except OSError as error:
        raise UnsoundDatabase(f"cannot be opened: {error.strerror}") from error


def _create(path: Path) -> None:
    # Never on a database that exists: closing any descriptor of it drops the locks that this
    # process holds on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _take_from_others(path: Path) -> None:
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with suppress(FileNotFoundError):
            mode = file.stat().st_mode
            if mode & 0o077:
                file.chmod(mode & 0o700)


def _check_sound(connection: sqlite3.Connection) -> None:
    """Raise unless this is a whole database, and ours or empty.

    The quick check reads the whole file: some 15 ms for 100,000 accounts.
    """
    ((verdict,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
    if verdict != "ok":
        raise UnsoundDatabase(f"is damaged: {verdict.splitlines()[-1]}")
    # In this order: another process may be making the database at this moment.
    tables = connection.execute("SELECT name FROM sqlite_schema LIMIT 1").fetchall()
    ((application,),) = connection.execute("PRAGMA application_id").fetchall()
    if tables and application != APPLICATION_ID:
        raise UnsoundDatabase("belongs to another program")


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Readers and the writer of a WAL journal do not wait for each other."""
    deadline = time.monotonic() + OPEN_PATIENCE
    while True:
        try:
            ((mode,),) = connection.execute("PRAGMA journal_mode = WAL").fetchall()
            break
        except sqlite3.OperationalError as error:
            # This statement does not always wait for its lock, whatever the time-out.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    if mode != "wal":
        raise UnsoundDatabase("lies on a file system where SQLite cannot keep a WAL journal")


def _migrate(connection: sqlite3.Connection) -> None:
    """Take the steps that the database has not taken; without any, no lock is needed."""
    steps = read_steps(MIGRATIONS.read_text("utf-8"))
    while _taken(connection, steps) < len(steps):
        _take_next(connection, steps)


def _taken(connection: sqlite3.Connection, steps: list[str]) -> int:
    taken: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return check_known(taken, steps)


def _take_next(connection: sqlite3.Connection, steps: list[str]) -> None:
    """Take one step whole or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again under the lock: another process may have taken the step meanwhile.
        taken = _taken(connection, steps)
        if taken < len(steps):
            for statement in _statements(steps[taken]):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {taken + 1}")
        connection.execute("COMMIT")
    except BaseException:
        # A full disk has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    # executescript() would commit the transaction that the step runs in.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
