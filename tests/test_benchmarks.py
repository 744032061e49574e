"""That the benchmarks measure what they say, on so few people that it is quick."""

import asyncio
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from testing import populate
from benchmarks.budgets import PARTS, Bench
from benchmarks.dialects import changes_in
from benchmarks.fanout import Load, Stage, measure, table
from benchmarks.load import Sightings, Visit, weigh
from benchmarks.servers import SERVERS, redis_server
from testing.swarm import LARGE, Swarm
from presence_server.config import Config
from tests.conftest import Serve


@pytest.fixture
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        yield Stage(Path(folder), redis)


def populated(capsys: pytest.CaptureFixture[str], config: Config, *flags: str) -> list[str]:
    assert populate.main(["--database", str(config.database), *flags]) == 0
    return capsys.readouterr().out.splitlines()


async def test_populated_cookies_log_their_users_in(
    config: Callable[..., Config], serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    fill = asyncio.to_thread
    first = await fill(populated, capsys, config(), "--users", "3", "--sessions", "2")
    site = await serve()
    # Again while the server runs, and with another prefix.
    second = await fill(
        populated, capsys, config(), "--users", "1", "--sessions", "1", "--prefix", "guest"
    )
    assert (len(first), len(second)) == (2, 1)
    names = []
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        for cookie in first + second:
            page = await client.get(site.make_url("/"), headers={"Cookie": cookie})
            text = await page.text()
            names.append([n for n in ("user0", "user1", "guest0") if f"{n}: Online" in text])
            listed = await client.get(site.make_url("/api/users"), headers={"Cookie": cookie})
            everybody = [user["username"] for user in (await listed.json())["users"]]
            assert everybody == ["guest0", "user0", "user1", "user2"]
    # Who opens the list counts as here: each page shows its reader and those before.
    assert names == [["user0"], ["user0", "user1"], ["user0", "user1", "guest0"]]


@pytest.mark.parametrize("name", ["plain", "ours", "ours-tutorial"])
def test_fan_out_sees_every_probe_come_and_go(stage: Stage, name: str) -> None:
    server = SERVERS[name]
    command = tuple("--grace=0.2" if "--grace" in part else part for part in server.command)
    server = replace(server, command=command, grace=min(server.grace, 0.2))
    result = measure(stage, server, Load(20, 20, seconds=2, stay=0.3, quiet=0.5))
    assert (result.connected, result.lost, result.repeated, result.disconnected) == (20, 0, 0, 0)
    assert result.failures == {}
    assert result.expected >= 20 * 2 * 5
    assert 0 < result.p50_ms <= result.p99_ms <= result.max_ms < 2000
    assert 0 < result.cpu_per_delivery_us < 5000
    assert f"| {name} | 20 | 20 |" in table([result])


@pytest.mark.parametrize("part", ["directory", "termination"])
def test_budgets_are_judged(stage: Stage, part: str) -> None:
    verdicts = list(PARTS[part](Bench(stage, scale=0.005)))
    assert [str(verdict) for verdict in verdicts if not verdict.met] == []


def test_losses_and_repetitions_are_counted() -> None:
    sightings = Sightings()
    come = b'{"username": "probe0", "is_logged_in": true}'
    gone = b'{"username": "probe0", "is_logged_in": false}'
    for number, payload, at in ((0, come, 10.1), (1, come, 10.2), (0, come, 10.3), (0, gone, 12.0)):
        sightings.note(number, payload, at)
    visits = [Visit("probe0", 10.0, 10.05, 11.0)]
    report = weigh(sightings, visits, observers=2, begin=9.0, end=11.0)
    assert (report.expected, report.lost, report.repeated, report.deliveries) == (4, 1, 1, 3)
    assert report.percentile(0.5) == pytest.approx(200, abs=0.2)


def test_changes_are_read_in_both_dialects() -> None:
    assert changes_in(b'{"username": "al", "is_logged_in": false}') == [("al", False)]
    assert changes_in(b'{"type": "changes", "online": {"al": 1}, "offline": {"bo": 2}}') == [
        ("al", True),
        ("bo", False),
    ]
    assert changes_in(b'{"type": "snapshot", "online": {"probe1": 1}}') == []


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, LARGE + 1, 3_000_000])
def test_swarm_reads_frames_of_every_size_however_cut(size: int) -> None:
    if size < 126:
        head = struct.pack("!BB", 0x81, size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x81, 126, size)
    else:
        head = struct.pack("!BBQ", 0x81, 127, size)
    sent = (head + b"x" * size) * 2 + b"\x81\x02ok"
    seen: list[bytes | None] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        swarm = Swarm(address, None, lambda number, payload, now: seen.append(payload))
        swarm.connect(0, "a=b")
        peer, _ = listener.accept()
        with peer:
            swarm.turn(1)
            assert b"Cookie: a=b\r\n" in peer.recv(4096)
            peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            peer.setblocking(False)
            while sent or len(seen) < 3:
                try:
                    sent = sent[peer.send(sent[:10_007]) :]
                except BlockingIOError:
                    pass
                swarm.turn(0.01)
        swarm.close(0)
    assert seen == [None if size > LARGE else b"x" * size] * 2 + [b"ok"]
