"""The steps of the Containerfile without a container engine: `python -m testing.container`.

Each stage is a Debian of its own, made anew; what comes out is started and used.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from presence_server.resources import ROOT
from testing.redis_server import free_port
from testing.release import take_what_is_committed
from testing.visitor import Visitor
from testing.waiting import says_it_listens

# The images are Debian's stable with a Python, and slim ones the same with less.
SUITE = "trixie"
DEBIAN = ROOT / "build" / SUITE
INCLUDED = "ca-certificates,git,make,python3,python3-venv"
MISSING = "This needs root and debootstrap (Debian: apt-get install debootstrap)."
# What a step finds there of the machine: the ways to the package registries.
_OF_THE_MACHINE = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
_WAYS = re.compile(r"PIP_(CERT|INDEX_URL|PROXY)|\w+_proxy", re.IGNORECASE)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENDS_WITHIN = 15


@dataclass
class Stage:
    root: Path
    folder: str = "/"
    user: str = "root"
    variables: dict[str, str] = field(default_factory=dict)
    health: list[str] = field(default_factory=list)
    entry: list[str] = field(default_factory=list)

    def command(self, *words: str) -> list[str]:
        """With processes of its own, which end with it."""
        inside = ("unshare", "--pid", "--fork", "--kill-child", f"--mount-proc={self.root}/proc")
        there = ("chroot", f"--userspec={self.user}", str(self.root))
        given = [f"{name}={value}" for name, value in self._environment().items()]
        go = ("sh", "-c", 'cd "$0" && exec "$@"', self.folder)
        return [*inside, *there, "env", "-i", *given, *go, *words]

    def _environment(self) -> dict[str, str]:
        ways = {name: value for name, value in os.environ.items() if _WAYS.fullmatch(name)}
        return {"PATH": _PATH, "HOME": "/nonexistent", **ways, **self.variables}


def main() -> int:
    if told := missing():
        print(told, file=sys.stderr)
        return 1
    if not DEBIAN.exists():
        make_debian()
    with tempfile.TemporaryDirectory(prefix="container-") as folder:
        asyncio.run(serves(build(Path(folder))))
    print("Its health check and a visitor are content.")
    return 0


def missing() -> str | None:
    return MISSING if os.getuid() or not shutil.which("debootstrap") else None


def make_debian() -> None:
    unfinished = DEBIAN.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    what = ("--variant=minbase", f"--include={INCLUDED}", SUITE)
    subprocess.run(["debootstrap", *what, str(unfinished)], check=True)
    (unfinished / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    unfinished.rename(DEBIAN)


def steps() -> Iterator[tuple[str, str]]:
    text = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, rest = line.strip().partition(" ")
            yield name, rest.strip()


def build(folder: Path) -> Stage:
    context = folder / "context"
    take_what_is_committed(context)
    stages: dict[str, Stage] = {}
    for name, rest in steps():
        print(f"{name} {rest}", flush=True)
        if name == "FROM":
            called = rest.partition(" AS ")[2] or "the last"
            stage = stages[called] = Stage(new_root(folder / called))
        elif name == "COPY":
            copy(rest, stage, stages, context)
        else:
            take(name, rest, stage)
    return stage


def new_root(folder: Path) -> Path:
    subprocess.run(["cp", "-a", DEBIAN, folder], check=True)
    for file in _OF_THE_MACHINE:
        shutil.copy(file, folder / file.lstrip("/"))
    return folder


def copy(rest: str, stage: Stage, stages: dict[str, Stage], context: Path) -> None:
    source, target = rest.split()[-2:]
    called = re.match(r"--from=(\w+) ", rest)
    origin = stages[called[1]].root if called else context
    place = stage.root / (stage.folder if target == "." else target).lstrip("/")
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", f"{origin / source.lstrip('/')}/.", place], check=True)


def take(name: str, rest: str, stage: Stage) -> None:
    match name:
        case "WORKDIR":
            stage.folder = rest
            (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        case "RUN":
            subprocess.run(stage.command("sh", "-c", rest), check=True)
        case "USER":
            stage.user = rest
        case "ENV":
            variable, _, value = rest.partition("=")
            stage.variables[variable] = value
        case "HEALTHCHECK":
            stage.health = json.loads(rest.partition("CMD ")[2])
        case "ENTRYPOINT":
            stage.entry = json.loads(rest)
        case "VOLUME" | "EXPOSE" | "STOPSIGNAL":
            pass  # of a running container only
        case _:
            raise ValueError(f"What is {name}?")


async def serves(stage: Stage) -> None:
    """On a port that is free here."""
    port = free_port()
    stage.variables |= {"PRESENCE_PORT": str(port)}
    health = [word.replace(":8000", f":{port}") for word in stage.health]
    server = await asyncio.create_subprocess_exec(
        *stage.command(*stage.entry), stdout=asyncio.subprocess.PIPE
    )
    try:
        await says_it_listens(server, _ENDS_WITHIN)
        subprocess.run(stage.command(*health), check=True)
        async with Visitor.at(f"http://127.0.0.1:{port}") as visitor:
            await visitor.enter("alice")
            assert "alice: Online" in (await visitor.get("/")).text
    finally:
        await end(server)
    assert server.returncode == 0


async def end(server: asyncio.subprocess.Process) -> None:
    """As an engine does it: by a signal to the first process inside; all others go with it."""
    if server.returncode is not None:
        return
    (first,) = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    os.kill(int(first), signal.SIGTERM)
    try:
        async with asyncio.timeout(_ENDS_WITHIN):
            await server.communicate()
    except TimeoutError:
        # Nothing may write any more when their folder goes.
        os.kill(int(first), signal.SIGKILL)
        await server.wait()
        raise


if __name__ == "__main__":
    sys.exit(main())
