"""A real PostgreSQL server that tests may kill, pause and start again."""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import psutil  # type: ignore[import-untyped]  # it has no types
import pytest

from presence_server.storage.database import open_database
from presence_server.config import PostgresUrl
from testing.redis_server import free_port

T = TypeVar("T")

MISSING = "No PostgreSQL server: install it (Debian: apt-get install postgresql)."
PASSWORD = "the-password-of-the-tests"
WITHIN = 60

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "32MB",
    # Nothing here outlives the machine.
    "fsync": "off",
    "full_page_writes": "off",
}
_EMPTIED = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
DELETE FROM users;
DELETE FROM endings;
DELETE FROM nodes;
DELETE FROM here;
DELETE FROM gone;
DELETE FROM choices;
DELETE FROM apps;
DELETE FROM audit;
DELETE FROM pulses;
DELETE FROM submissions;
DELETE FROM links;
ALTER TABLE users ALTER id RESTART;
ALTER TABLE endings ALTER number RESTART;
ALTER TABLE apps ALTER id RESTART;
ALTER TABLE audit ALTER number RESTART;
UPDATE about SET value = replace(gen_random_uuid()::text, '-', '') WHERE name = 'identity';
"""
# What a server says of itself in postmaster.pid; "standby" is a replica that can be read.
_READY = {"ready", "standby"}


def binary(name: str) -> str | None:
    """From the PATH, or from where Debian keeps them."""
    packaged = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(packaged[-1]) if packaged else None)


class PostgresqlServer:
    """On a TCP port of 127.0.0.1 that stays the same over restarts."""

    def __init__(self, pristine: Path | None = None) -> None:
        """`pristine` is the data of a server that was stopped: made in a fraction of the time."""
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self._data = self._folder / "data"
        self._port = free_port()
        self._names = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        # It refuses to run as root.
        self._user = somebody_else() if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        if pristine is None:
            self._make()
        else:
            subprocess.run(["cp", "-a", str(pristine), str(self._data)], check=True)
            self.start()

    @property
    def data(self) -> Path:
        return self._data

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def url(self, database: str) -> PostgresUrl:
        return PostgresUrl(f"postgresql://presence:{PASSWORD}@127.0.0.1:{self._port}/{database}")

    @contextmanager
    def empty_database(self) -> Iterator[PostgresUrl]:
        """One without a schema."""
        name = f"empty{next(self._names)}"
        self.execute(f"CREATE DATABASE {name}", on="postgres")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)", on="postgres")

    @contextmanager
    def database(self) -> Iterator[PostgresUrl]:
        """The one that all tests share, one after the other: emptied, and under a new identity."""
        yield self.url("accounts")
        # Making a database takes ten times as long.
        self.execute(_EMPTIED)

    def execute(self, sql: str, on: str = "accounts") -> None:
        elsewhere(_execute(self.url(on).url, sql))

    def start(self) -> None:
        assert self._process is None, "it runs already"
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        command = [_found("postgres"), "-D", str(self._data), "-p", str(self._port), *settings]
        command.append(f"--unix_socket_directories={self._folder}")
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, user=self._user, cwd=self._folder
            )
        self._await_ready()

    def stop(self) -> None:
        """Clients are told and cut off."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(2)  # "fast"
        self._process.wait(WITHIN)
        self._process = None

    def kill(self) -> None:
        """kill -9: no goodbye to anybody."""
        everything = self._processes()
        for process in everything:
            process.kill()
        assert self._process is not None
        self._process.wait(WITHIN)
        self._process = None
        deadline = time.monotonic() + WITHIN
        while any(map(_lives, everything)):
            assert time.monotonic() < deadline, "a process of the PostgreSQL server does not end"
            time.sleep(0.01)

    def pause(self) -> None:
        """Connections stay open and nothing answers, as with a machine that hangs."""
        for process in self._processes():
            process.suspend()

    def resume(self) -> None:
        for process in self._processes():
            process.resume()

    def become_replica(self) -> None:
        """Start again as a replica, which can be read and not written."""
        self.stop()
        (self._data / "standby.signal").touch()
        self.start()

    def become_primary(self) -> None:
        self.execute("SELECT pg_promote()")

    def remove(self) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._folder)

    def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        subprocess.run(
            [
                *(_found("initdb"), "-D", str(self._data), "--no-sync", "--username=presence"),
                # A language that sorts names otherwise than by their bytes, where there is one.
                *("--encoding=UTF8", "--locale=C.UTF-8"),
                *("--auth=scram-sha-256", f"--pwfile={secret}"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            user=self._user,
            cwd=self._folder,
        )
        self.start()
        self.execute("CREATE DATABASE accounts", on="postgres")
        elsewhere(_make_schema(self.url("accounts")))

    def _processes(self) -> list[psutil.Process]:
        assert self._process is not None, "it does not run"
        parent = psutil.Process(self._process.pid)
        # The parent first: it would start others anew.
        return [parent, *parent.children(recursive=True)]

    def _await_ready(self) -> None:
        deadline = time.monotonic() + WITHIN
        while not self._is_ready():
            assert self._process is not None
            assert self._process.poll() is None, f"the PostgreSQL server ended:\n{self.log}"
            assert time.monotonic() < deadline, f"the PostgreSQL server is not ready:\n{self.log}"
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        assert self._process is not None
        mine = bool(lines) and lines[0] == str(self._process.pid)
        return mine and len(lines) > 7 and lines[7].strip() in _READY


@contextmanager
def running(pristine: Path | None = None) -> Iterator[PostgresqlServer]:
    if binary("postgres") is None and not os.environ.get("CI"):
        pytest.skip(MISSING)
    server = PostgresqlServer(pristine)
    try:
        yield server
    finally:
        server.remove()


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _found(name: str) -> str:
    found = binary(name)
    assert found is not None, MISSING
    return found


def somebody_else() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise AssertionError("PostgreSQL refuses to run as root, and there is no other user")


def elsewhere(work: Coroutine[Any, Any, T]) -> T:
    """Run it on an event loop of its own, whether or not this thread has one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def _make_schema(url: PostgresUrl) -> None:
    async with open_database(url):
        pass
