"""What a database must be able to do for us, whichever it is, and how it says that it cannot."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from presence_server.background import carried_through

T = TypeVar("T")
Value: TypeAlias = str | int | None
Row: TypeAlias = tuple[Any, ...]

# How long a transaction may wait for its turn, in this process and among others.
WRITE_PATIENCE = 2.0
OPEN_PATIENCE = 10.0
CLOSE_PATIENCE = 5.0


class DatabaseUnusable(Exception):
    """The database cannot be opened; the text is a sentence that names it."""


class DatabaseUnavailable(Exception):
    """An open database cannot serve just now; the text is a sentence that names it."""


class NoBackup(Exception):
    """A copy of the database is not ours to make; the text is a sentence that says whose."""


class TakenBack(Exception):
    """Ends a transaction that shall leave nothing behind."""


class Transaction(Protocol):
    """Takes the statements of one transaction. `$1` in the SQL is the first value."""

    async def execute(self, sql: str, *values: Value) -> list[Row]: ...

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None: ...


Work: TypeAlias = Callable[[Transaction], Coroutine[Any, Any, T]]


class Read(Protocol):
    """What a statement is read with, inside a transaction or outside of any."""

    async def __call__(self, sql: str, /, *values: Value) -> list[Row]: ...


class Writer(Protocol):
    """What a transaction is run with: a database, or whoever adds something to each."""

    async def write(self, work: Work[T], /) -> T: ...


class Engine(Protocol):
    """Transactions go one after the other, in all processes that use the database; reads wait for
    none of them. All of it raises DatabaseUnavailable."""

    # SQL for the Unix milliseconds by the one clock that all who use the database share.
    clock: str

    async def read(self, sql: str, values: Sequence[Value]) -> list[Row]: ...

    async def write(self, work: Work[T]) -> T: ...

    async def take_room(self, transaction: Transaction) -> None:
        """Work that needs as much as an account and a session do; may end in TakenBack."""

    async def backup(self, target: Path) -> None: ...

    async def continue_ids(self) -> None: ...


class Begun:
    """Transactions, which are carried through though whoever asked for them is cancelled."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, transaction: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(transaction)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await carried_through(task, expected=(DatabaseUnavailable, TakenBack))

    async def finish(self, patience: float) -> None:
        """Wait for all of them, but no longer than this."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
