"""Peers that read slowly or never, beside others who must not notice."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp.test_utils import TestServer

from presence_server.keys import PRESENCE
from presence_server.live import lagging
from presence_server.presence.members import Who
from presence_server.presence.records import OWN
from presence_server.web import sockets
from tests.conftest import Serve, Visit
from testing.raw_peer import RawPeer
from testing.visitor import Visitor
from testing.waiting import until

CROWD = 20_000


def bring_in_a_crowd(server: TestServer) -> None:
    """So many people that a snapshot is more than the kernel keeps for one who does not read."""
    assert server.app is not None
    for number in range(CROWD):
        server.app[PRESENCE].claim(OWN, Who(f"session-{number}", f"somebody-{number}"))


@asynccontextmanager
async def stuck(visitor: Visitor) -> AsyncIterator[RawPeer]:
    """A peer that asked for the list and reads nothing of it."""
    async with RawPeer.of(visitor, receive_buffer=4096) as peer:
        yield peer


async def test_one_who_never_reads_is_cut_and_nobody_else_notices(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lagging, "_TOO_LONG", 1.5)
    server = await serve(grace=60)
    alice, bob, mallory = [await visit(server, name) for name in ("alice", "bob", "mallory")]
    bring_in_a_crowd(server)
    async with alice.live() as of_alice, stuck(mallory) as peer:
        await of_alice.sees("somebody-7", "online")
        async with bob.live():
            await of_alice.sees("bob", "online")
        await bob.log_out()
        await of_alice.sees("bob", "offline")
        await is_cut(peer, server)


async def test_one_who_never_reads_is_cut_though_nothing_happens_any_more(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lagging, "_TOO_LONG", 1.5)
    server = await serve(grace=60)
    mallory = await visit(server, "mallory")
    bring_in_a_crowd(server)
    async with stuck(mallory) as peer:
        await is_cut(peer, server)


async def is_cut(peer: RawPeer, server: TestServer) -> None:
    await until(lambda: server_has_cut(server, 1013))
    async with asyncio.timeout(15):
        # Whether it still sees a code depends on what it reads; the line is gone in any case.
        assert await peer.close_code() in (None, 1013)


async def test_one_who_says_goodbye_and_reads_nothing_leaves_no_connection_behind(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_GOES_OUT_WITHIN", 0.3)
    server = await serve(grace=60)
    mallory = await visit(server, "mallory")
    bring_in_a_crowd(server)

    def unsent() -> list[int]:
        assert server.runner is not None and server.runner.server is not None
        transports = [peer.transport for peer in server.runner.server.connections]
        sizes = [each.get_write_buffer_size() for each in transports if each is not None]
        return [size for size in sizes if size]

    async with stuck(mallory) as peer:
        await until(unsent)
        peer.write(CLOSE)
        await until(lambda: not unsent())


CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"
PONG = b"\x8a\x80\0\0\0\0"


async def test_one_who_answers_every_ping_and_reads_nothing_is_cut(
    serve: Serve, visit: Visit
) -> None:
    server = await serve(heartbeat=1)
    alice, mallory = await visit(server, "alice"), await visit(server, "mallory")
    async with alice.live() as reads, stuck(mallory) as peer:
        reading = asyncio.create_task(reads.until(lambda: server_has_cut(server, 1006), within=20))
        while not reading.done():
            peer.write(PONG)
            await asyncio.sleep(0.05)
        await reading
        assert server.app is not None
        assert len(server.app[PRESENCE].hub) == 1
        await reads.message(lambda message: message["type"] == "alive")


def server_has_cut(server: TestServer, code: int) -> bool:
    assert server.app is not None
    return server.app[PRESENCE].hub.dismissed[code] > 0


async def test_one_who_reads_late_gets_all_that_was_missed(serve: Serve, visit: Visit) -> None:
    server = await serve(grace=60)
    alice, bob, carol = [await visit(server, name) for name in ("alice", "bob", "carol")]
    bring_in_a_crowd(server)
    async with alice.live() as of_alice, stuck(carol) as slow:
        await of_alice.sees("somebody-7", "online")
        async with bob.live() as of_bob:
            for status in ("away", "online", "away"):
                await of_bob.send({"type": "status", "status": status})
                await of_alice.sees("bob", status)
        await bob.log_out()
        await of_alice.sees("bob", "offline")
        async with asyncio.timeout(20):
            _, payload = await slow.frame()
            snapshot = json.loads(payload)
            assert snapshot["type"] == "snapshot" and len(snapshot["online"]) > CROWD
            _, payload = await slow.frame()
    # What happened meanwhile comes as one message with the newest state only.
    changes = json.loads(payload)
    assert changes["type"] == "changes" and changes["offline"].keys() == {"bob"}
    assert "away" not in changes and "online" not in changes
