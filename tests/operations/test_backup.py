"""A copy taken while people sign up is a whole site."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from contextlib import suppress
from itertools import count
from pathlib import Path

from presence_server.resources import ROOT
from tests.conftest import ServerProcesses, Visit
from testing.processes import ServerProcess
from testing.waiting import until

WITHIN = 30


async def backup(server: ServerProcess, copy: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "presence_server", "backup", str(copy)),
        env={**os.environ, "PYTHONPATH": str(ROOT), "PRESENCE_DATABASE": _database(server)},
        stdout=PIPE,
        stderr=STDOUT,
    )
    async with asyncio.timeout(WITHIN):
        said, _ = await process.communicate()
    assert process.returncode == 0, said


def _database(server: ServerProcess) -> str:
    return str(server.folder / "presence.sqlite3")


async def test_everybody_who_had_signed_up_is_in_the_copy(
    server_process: ServerProcesses, visit: Visit, tmp_path: Path
) -> None:
    server = await server_process()
    alice = await visit(server, "alice")
    visitor = await visit(server)
    signed_up = ["alice"]

    async def sign_up_all_the_time() -> None:
        for number in count():
            answer = await visitor.sign_up(f"user{number}")
            assert answer.status == 303, answer.status
            signed_up.append(f"user{number}")
            await asyncio.sleep(0.05)

    signing_up = asyncio.create_task(sign_up_all_the_time())
    await until(lambda: len(signed_up) >= 5, WITHIN)
    before = list(signed_up)
    copy = tmp_path / "copy.sqlite3"
    await backup(server, copy)
    # They went on meanwhile, and nobody was refused.
    await until(lambda: len(signed_up) >= len(before) + 2, WITHIN)
    signing_up.cancel()
    with suppress(asyncio.CancelledError):
        await signing_up
    assert await server.terminate() == 0

    restored = Path(_database(server))
    copy.replace(restored)
    for rest in ("-wal", "-shm"):
        restored.with_name(restored.name + rest).unlink(missing_ok=True)
    await server.start()
    alice.url = server.url
    # The session and the key of its cookie are those of before.
    assert (await alice.get("/")).status == 200
    for name in before:
        assert (await (await visit(server)).log_in(name)).status == 303
    assert (await alice.sign_up("newcomer")).status == 303
