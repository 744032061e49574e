"""A real PgBouncer in front of the PostgreSQL server of the tests."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from presence_server.config import PostgresUrl
from testing.postgresql_server import PASSWORD, WITHIN, elsewhere, somebody_else
from testing.redis_server import free_port

MISSING = "No PgBouncer: install it (Debian: apt-get install pgbouncer)."

_SETTINGS = """
[databases]
* = host=127.0.0.1 port={server_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = {mode}
default_pool_size = 10
logfile = {log}
"""


def binary() -> str | None:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    return shutil.which("pgbouncer", path=path)


@contextmanager
def pooled(url: PostgresUrl, mode: str) -> Iterator[PostgresUrl]:
    """The same database by way of a pooler; `mode` is session, transaction or statement."""
    program = binary()
    if program is None and not os.environ.get("CI"):
        # Whoever has none can still run all other tests.
        pytest.skip(MISSING)
    assert program is not None, MISSING
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    server_port = url.url.rpartition("/")[0].rpartition(":")[2]
    port = free_port()
    users, log, settings = (folder / name for name in ("users", "log", "settings"))
    users.write_text(f'"presence" "{PASSWORD}"\n')
    settings.write_text(
        _SETTINGS.format(server_port=server_port, port=port, users=users, mode=mode, log=log)
    )
    # It refuses to run as root.
    user = somebody_else() if os.geteuid() == 0 else None
    if user is not None:
        for path in (folder, users, settings):
            shutil.chown(path, user)
    process = subprocess.Popen([program, "-q", str(settings)], user=user, cwd=folder)
    try:
        by_way = PostgresUrl(url.url.replace(f":{server_port}/", f":{port}/"))
        _await_ready(process, by_way)
        yield by_way
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _await_ready(process: subprocess.Popen[bytes], url: PostgresUrl) -> None:
    deadline = time.monotonic() + WITHIN
    while True:
        assert process.poll() is None, "PgBouncer has ended"
        try:
            elsewhere(_connect(url.url))
            return
        except OSError:
            assert time.monotonic() < deadline, "PgBouncer is not ready"
            time.sleep(0.05)


async def _connect(url: str) -> None:
    await (await asyncpg.connect(url)).close()
