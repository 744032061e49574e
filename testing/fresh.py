"""The README's first command where only git, make and Python are: `python -m testing.fresh`.

In a Debian made for it, with an empty home and a clean clone; says how long it took.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from presence_server.resources import ROOT
from testing.container import DEBIAN, Stage, end, make_debian, missing, new_root
from testing.redis_server import free_port
from testing.visitor import Visitor
from testing.waiting import says_it_listens

README = (ROOT / "README.md").read_text()
# Everything is downloaded.
_LISTENS_WITHIN = 280


def main() -> int:
    if told := missing():
        print(told, file=sys.stderr)
        return 1
    if not DEBIAN.exists():
        make_debian()
    with tempfile.TemporaryDirectory(prefix="fresh-") as folder:
        machine = Stage(new_root(Path(folder) / "root"), variables={"HOME": "/root"})
        bundle = ("git", "bundle", "create", "--quiet", machine.root / "it", "HEAD")
        subprocess.run(bundle, cwd=ROOT, check=True)
        run(machine, "git clone --quiet /it presence_server")
        machine.folder = "/presence_server"
        for words in ("the first time", "again"):
            seconds = asyncio.run(until_it_listens(machine, words))
            print(f"`make run` {words}: a visitor is signed up after {seconds:.0f} s.", flush=True)
    return 0


def run(machine: Stage, command: str) -> None:
    subprocess.run(machine.command("sh", "-c", command), check=True)


async def until_it_listens(machine: Stage, name: str) -> float:
    assert "\n    make run " in README
    port, begun = free_port(), time.monotonic()
    machine.variables["PRESENCE_PORT"] = str(port)
    server = await asyncio.create_subprocess_exec(
        *machine.command("make", "run"), stdout=asyncio.subprocess.PIPE
    )
    try:
        await says_it_listens(server, _LISTENS_WITHIN)
        async with Visitor.at(f"http://127.0.0.1:{port}") as visitor:
            await visitor.enter(name.replace(" ", "-"))
        return time.monotonic() - begun
    finally:
        await end(server)


if __name__ == "__main__":
    sys.exit(main())
