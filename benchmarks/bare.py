"""The limit: a loop that writes to sockets what our server wrote, when it wrote it, no more.

What one observer of our server was told is recorded; here the same bytes go to as many sockets.
What that costs is the kernel's share: no server that makes the same writes can cost less.
"""

import argparse
import contextlib
import json
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dialects import TUTORIAL, changes_in
from benchmarks.load import Target, watching
from benchmarks.servers import ROOT, ServerFailed, address_in

# When something was said, and what.
Recording = Sequence[tuple[float, bytes]]

_ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Limit:
    observers: int
    changes: float
    writes: int
    deliveries: int
    cpu_seconds: float
    seconds: float

    @property
    def cpu_per_delivery_us(self) -> float:
        return 1e6 * self.cpu_seconds / max(self.deliveries, 1)

    @property
    def cpu_per_write_us(self) -> float:
        return 1e6 * self.cpu_seconds / max(self.writes, 1)


def replay(recording: Recording, observers: int, changes: float) -> Limit:
    """Write it to so many sockets, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.json"
        path.write_text(json.dumps([(at, payload.decode()) for at, payload in recording]))
        command = [sys.executable, "-m", "benchmarks.bare", str(path), str(observers)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                address = address_in(process.stdout)
                if address is None:
                    raise ServerFailed("The bare loop did not start.")
                with watching(Target(address, TUTORIAL), ["a=b"] * observers) as watchers:
                    watchers.connect()
                    cpu, seconds = json.loads(process.stdout.readline())
            finally:
                process.kill()
    told = sum(len(changes_in(payload)) for _, payload in recording)
    return Limit(observers, changes, len(recording) * observers, told * observers, cpu, seconds)


def frame(payload: bytes) -> bytes:
    """As a server frames a text message."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


def _serve(path: Path, count: int) -> None:
    recording = [(at, frame(text.encode())) for at, text in json.loads(path.read_text())]
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))
        host, port = listener.getsockname()
        print(f"Listening on http://{host}:{port}", flush=True)
        peers: list[socket.socket] = []
        while len(peers) < count:
            peer = stack.enter_context(listener.accept()[0])
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.recv(4096)
            peer.sendall(_ANSWER)
            peers.append(peer)
        time.sleep(1)
        began, cpu = time.monotonic(), time.process_time()
        for at, data in recording:
            time.sleep(max(0.0, began + at - time.monotonic()))
            for peer in peers:
                peer.send(data)
        print([time.process_time() - cpu, time.monotonic() - began], flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare", description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("sockets", type=int)
    options = parser.parse_args(argv)
    _serve(options.recording, options.sockets)
    return 0


if __name__ == "__main__":
    sys.exit(main())
