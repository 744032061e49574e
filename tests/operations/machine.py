"""A machine on which the commands of docs/operations.md are run as they stand there.

Its files lie in a folder instead of /, its ports are free ones, and systemd is played by this
module: it starts what the unit says, in the way of Type=notify. nginx, the server, the files of
deploy/, openssl and the shell are real. What would change the real machine does nothing: apt-get,
useradd, git, and `make install`, which tests/test_install.py runs.
"""

import asyncio
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT, Process
from contextlib import AsyncExitStack
from pathlib import Path
from signal import SIGHUP
from socket import AF_UNIX, SOCK_DGRAM, socket
from typing import Any, Self

from presence_server.resources import ROOT
from tests.operations.nginx import Nginx, make_certificate
from testing.redis_server import lasting_port

BLOCK_WITHIN = 180
READY_WITHIN = 60
ENDED_WITHIN = 30

_NOTHING = ("apt-get", "useradd", "git")
_ROOTS = ("etc", "opt", "var/lib")

_ASK_SYSTEM = """\
import json, socket, sys
system = socket.socket(socket.AF_UNIX)
system.connect({address!r})
system.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
status, said = json.loads(system.makefile().readline())
print(said, end="")
sys.exit(status)
"""

# Patient: on a busy machine the first answer may be that the database is busy.
_CURL = """\
import ssl, sys, time, urllib.request
url = sys.argv[-1]
trusting = ssl._create_unverified_context() if url.startswith("https") else None
deadline = time.monotonic() + 40
while True:
    try:
        answer = urllib.request.urlopen(url, timeout=20, context=trusting)
        break
    except OSError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.2)
print(answer.read().decode(), end="")
"""


class Machine:
    def __init__(self) -> None:
        # Not pytest's own folder: the path of a Unix socket may have 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.nginx = Nginx(self.folder)
        self._ports = {number: lasting_port() for number in (8000, 9000)}
        self._units: dict[str, Process] = {}
        # What they tell systemd.
        self._ears: dict[str, socket] = {}
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for path in (*_ROOTS, "bin", "etc/systemd/system", "etc/nginx/conf.d", "etc/ssl/certs"):
            (self.folder / path).mkdir(parents=True, exist_ok=True)
        (self.folder / "etc/ssl/private").mkdir()
        address = str(self.folder / "system")
        server = await asyncio.start_unix_server(self._hear, address)
        self._closing.callback(server.close)
        for name in _NOTHING:
            self._program(name, "true")
        self._program("runuser", 'shift 3; exec "$@"')
        self._program("make", self._install_words())
        self._python("systemctl", _ASK_SYSTEM.format(address=address))
        self._python("nginx", _ASK_SYSTEM.format(address=address))
        self._python("curl", _CURL)
        if shutil.which("openssl") is None:
            make_certificate(self.folder / "etc")
            self._program("openssl", self._certificate_words())
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._closing.aclose()
        self.nginx.stop()
        try:
            for unit in tuple(self._units):
                await self._stop(unit)
        finally:
            shutil.rmtree(self.folder)

    @property
    def certificate(self) -> Path:
        return self.folder / "etc/ssl/certs/presence-server.pem"

    async def run(self, block: str, stdin: str = "") -> str:
        """Run a block of the documentation; what it said. It must succeed."""
        shell = await asyncio.create_subprocess_exec(
            *("sh", "-euc", self._here(block)),
            cwd=ROOT,
            env={
                "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                "NAME": "example.com",
                "PYTHONPATH": str(ROOT),
            },
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
        )
        try:
            async with asyncio.timeout(BLOCK_WITHIN):
                said, _ = await shell.communicate(stdin.encode())
        except BaseException:
            shell.kill()
            raise
        assert shell.returncode == 0, f"{block}\n{said.decode()}\n{self.log}"
        return said.decode()

    @property
    def log(self) -> str:
        """What the units have written."""
        return "".join(path.read_text() for path in self.folder.glob("*.log"))

    def _here(self, text: str) -> str:
        """The text as it is on this machine; once done, doing it again changes nothing."""
        text = re.sub(rf"(?<!\w)/({'|'.join(_ROOTS)})/", rf"{self.folder}/\1/", text)
        for number, port in self._ports.items():
            text = re.sub(rf"\b{number}\b", str(port), text)
        text = text.replace("https://localhost/", f"https://localhost:{self.nginx.port}/")
        return re.sub(r"https://example\.com$", self.nginx.url, text, flags=re.M)

    def _move_files(self) -> None:
        for name in ("presence-server.env", "nginx/conf.d/presence-server.conf"):
            path = self.folder / "etc" / name
            if path.exists():
                path.write_text(self._here(path.read_text()))

    def _program(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def _python(self, name: str, script: str) -> None:
        path = self.folder / "bin" / f"{name}.py"
        path.write_text(script)
        self._program(name, f'exec {shlex.quote(sys.executable)} {path} "$@"')

    def _install_words(self) -> str:
        program = f'#!/bin/sh\\nexec {sys.executable} -m presence_server "$@"\\n'
        # Its arguments: install PREFIX=…
        return (
            f'prefix="${{2#PREFIX=}}"; mkdir -p "$prefix/bin"\n'
            f"printf '{program}' > \"$prefix/bin/presence-server\"\n"
            f'chmod 755 "$prefix/bin/presence-server"'
        )

    def _certificate_words(self) -> str:
        etc = self.folder / "etc"
        return (
            f"cp {etc}/certificate.pem {self.certificate}\n"
            f"cp {etc}/key.pem {etc}/ssl/private/presence-server.key"
        )

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A command for systemd or nginx."""
        try:
            await self._obey(json.loads(await reader.readline()))
            answer = (0, "")
        except Exception as error:
            answer = (1, f"{type(error).__name__}: {error}\n")
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    async def _obey(self, arguments: list[str]) -> None:
        match arguments:
            case ["daemon-reload"] | ["disable", "--now", "redis-server"]:
                pass
            case ["enable", "--now", *units] | ["start", *units]:
                await asyncio.gather(*map(self._start, units))
            case ["stop", *units]:
                await asyncio.gather(*map(self._stop, units))
            case ["-t"]:
                self._configure_nginx()
            case ["reload", "nginx"]:
                self._configure_nginx()
                await self.nginx.start()
            case ["reload", unit]:
                await self._reload(unit)
            case _:
                raise ValueError(f"not known here: {arguments}")

    def _configure_nginx(self) -> None:
        self._move_files()
        site = (self.folder / "etc/nginx/conf.d/presence-server.conf").read_text()
        mistake = self.nginx.configure(site)
        if mistake is not None:
            raise ValueError(mistake)

    async def _start(self, unit: str) -> None:
        assert unit not in self._units, f"{unit} runs"
        self._move_files()
        service = self._service(f"{unit}.service")
        assert service["Type"] == "notify"
        (self.folder / "var/lib" / service["StateDirectory"]).mkdir(mode=0o700, exist_ok=True)
        address = self.folder / f"notify-{unit}"
        ear = self._ears[unit] = socket(AF_UNIX, SOCK_DGRAM)
        ear.setblocking(False)
        ear.bind(str(address))
        with (self.folder / f"{unit}.log").open("ab") as log:
            process = self._units[unit] = await asyncio.create_subprocess_exec(
                *shlex.split(service["ExecStart"]),
                cwd=service["WorkingDirectory"],
                env={
                    **_variables(Path(service["EnvironmentFile"])),
                    "PYTHONPATH": str(ROOT),
                    "PATH": os.environ["PATH"],
                    "NOTIFY_SOCKET": str(address),
                    # Not the unit's: the test has many log-ins, and other work beside it.
                    "PRESENCE_BCRYPT_COST": "4",
                    "PRESENCE_GRACE": "15",
                },
                stdout=log,
                stderr=log,
            )
        assert await self._told(unit) == b"READY=1" and process.returncode is None

    async def _reload(self, unit: str) -> None:
        self._move_files()
        assert "kill -HUP $MAINPID" in self._service(f"{unit}.service")["ExecReload"]
        self._units[unit].send_signal(SIGHUP)
        assert (await self._told(unit)).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert await self._told(unit) == b"READY=1"

    async def _told(self, unit: str) -> bytes:
        async with asyncio.timeout(READY_WITHIN):
            return await asyncio.get_running_loop().sock_recv(self._ears[unit], 100)

    async def _stop(self, unit: str) -> None:
        """Its processes have ended, too: a killed parent's would still write into the folder."""
        process = self._units.pop(unit)
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(ENDED_WITHIN):
            assert await process.wait() == 0
        self._ears.pop(unit).close()
        (self.folder / f"notify-{unit}").unlink()

    def _service(self, name: str) -> dict[str, Any]:
        text = (self.folder / "etc/systemd/system" / name).read_text()
        lines = self._here(text).splitlines()
        return dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))


def _variables(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
