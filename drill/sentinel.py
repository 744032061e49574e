"""A master, a replica and a Sentinel that changes them over."""

import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from testing.redis_server import RedisServer, lasting_port, redis_binary

SERVICE = "presence"
_DOWN_AFTER = 1000  # milliseconds


class SentinelSite:
    """Use as `with SentinelSite() as sentinel`: the Sentinel knows the replica then."""

    def __init__(self) -> None:
        self._port = lasting_port()
        self.url = f"sentinel://127.0.0.1:{self._port}/{SERVICE}"
        self.master = RedisServer(port=lasting_port())
        self.replica = RedisServer(
            "--replicaof", "127.0.0.1", self.master.url.rpartition(":")[2], port=lasting_port()
        )
        self._folder = tempfile.TemporaryDirectory(prefix="sentinel-")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.master.start()
            self.replica.start()
            self._start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def master_port(self) -> int:
        with redis.Redis(port=self._port, socket_timeout=2) as client:
            (_, port) = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
            return int(port)

    def _start(self) -> None:
        file = Path(self._folder.name) / "sentinel.conf"
        file.write_text(
            f"port {self._port}\nbind 127.0.0.1\ndir {self._folder.name}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.master.url.rpartition(':')[2]} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} {_DOWN_AFTER}\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        with (Path(self._folder.name) / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [redis_binary(), str(file), "--sentinel"], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 15
        while not self._knows_the_replica():
            assert time.monotonic() < deadline, (Path(self._folder.name) / "log").read_text()
            time.sleep(0.1)

    def _knows_the_replica(self) -> bool:
        try:
            with redis.Redis(port=self._port, socket_timeout=2) as client:
                # redis-py makes a dictionary of the answer.
                state = client.execute_command("SENTINEL", "MASTER", SERVICE)
        except redis.RedisError:
            return False
        return int(state[b"num-slaves"]) == 1

    def _close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.replica.remove()
        self.master.remove()
        self._folder.cleanup()
