"""A server that was installed somewhere, started as people start it, and used."""

import asyncio
import os
from pathlib import Path

from testing.visitor import Visitor

LISTENS_WITHIN = 60


def bare_environment() -> dict[str, str]:
    """Without what would make the checkout importable."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PRESENCE_"))}


async def serves(command: Path, folder: Path) -> None:
    """Somebody signs up, sees the list, and every file that it names; then the server ends well."""
    server = await asyncio.create_subprocess_exec(
        *(command, "--port=0", "--bcrypt-cost=4"),
        cwd=folder,
        env={**bare_environment(), "HOME": str(folder)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        async with asyncio.timeout(LISTENS_WITHIN):
            line = (await server.stdout.readline()).decode()
        async with Visitor.at(line.removeprefix("Listening on ").strip()) as visitor:
            await visitor.enter("alice")
            page = await visitor.get("/")
            assert "alice: Online" in page.text
            for path in _static_paths(page.text):
                assert (await visitor.get(path)).status == 200, path
        assert (folder / "presence.sqlite3").exists()
        server.terminate()
        async with asyncio.timeout(LISTENS_WITHIN):
            assert await server.wait() == 0
    finally:
        if server.returncode is None:
            server.kill()
        await server.communicate()


def _static_paths(page: str) -> set[str]:
    paths = {part.split('"')[0] for part in page.split('"/static/')[1:]}
    assert paths
    return {f"/static/{path}" for path in paths}
