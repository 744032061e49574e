"""Server-Sent Events beside WebSockets: another wire, the same hub, audience and rules."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from presence_server.app import create_app
from presence_server.config import Config
from presence_server.keys import IDENTITY, PRESENCE
from presence_server.live import wire as wires
from presence_server.live.dialects import PRESENCE_V1, TUTORIAL
from presence_server.live.observer import Observer
from presence_server.presence.members import Who
from presence_server.presence.records import OWN
from presence_server.web import connection as connections
from presence_server.web.event_stream import open_event_stream
from presence_server.web.connection import Connection
from testing.visitor import Visitor
from tests.conftest import ServeApp, Visit


async def events(request: web.Request) -> web.StreamResponse:
    """The smallest route for a stream."""
    presence, identity = request.app[PRESENCE], request[IDENTITY]
    cursor = request.headers.get("Last-Event-ID")
    response, wire = await open_event_stream(request)
    observer = Observer(
        session=identity.session,
        user=identity.user,
        room=presence.room,
        dialect=TUTORIAL if "tutorial" in request.query else PRESENCE_V1,
        wire=wire,
    )
    presence.connect(observer, identity.who, cursor)
    try:
        await cast(Connection, request.protocol).gone
    finally:
        presence.disconnect(observer)
    return response


class Event(NamedTuple):
    """One event, or a comment, by its fields."""

    fields: dict[str, str]

    @property
    def message(self) -> Any:
        return json.loads(self.fields["data"])

    @property
    def kind(self) -> str | None:
        return self.fields.get("event")


class EventSource:
    """Reads a stream as a browser does."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def event(self) -> Event:
        fields = {}
        async with asyncio.timeout(15):
            while line := (await self._answer.content.readuntil(b"\n")).decode().rstrip("\n"):
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
        return Event(fields)

    async def until(self, fits: Callable[[Any], bool]) -> Event:
        """The first event with a message that fits."""
        while True:
            event = await self.event()
            if "data" in event.fields and fits(event.message):
                return event

    async def ends(self) -> bytes:
        """The rest, to an end of the answer that is one."""
        async with asyncio.timeout(15):
            return await self._answer.content.read()


@asynccontextmanager
async def stream(
    visitor: Visitor, query: str = "", **headers: str
) -> AsyncIterator[EventSource]:
    async with visitor.http.get(f"{visitor.url}/events{query}", headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        yield EventSource(answer)


ServeStreams = Callable[..., Any]


@pytest.fixture
def serve_streams(config: Callable[..., Config], serve_app: ServeApp) -> ServeStreams:
    async def start(**settings: Any) -> TestServer:
        app = create_app(config(**settings))
        app.router.add_get("/events", events)
        return await serve_app(app)

    return start


async def test_a_stream_and_a_socket_are_told_the_same(
    serve_streams: ServeStreams, visit: Visit
) -> None:
    server = await serve_streams(grace=0)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with alice.live() as beside, stream(alice) as source:
        first = await source.event()
        assert first.kind == "snapshot" and "alice" in first.message["online"]
        assert first.fields["id"] == first.message["cursor"]
        async with bob.live():
            came = await source.until(lambda message: "bob" in message.get("online", {}))
            assert came.kind == "changes"
            await beside.sees("bob", "online")
            assert came.message == beside.received[-1]
        await source.until(lambda message: "bob" in message.get("offline", {}))


async def test_a_stream_makes_its_user_seen_as_long_as_it_is_open(
    serve_streams: ServeStreams, visit: Visit
) -> None:
    server = await serve_streams(grace=0)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with bob.live() as watching:
        async with stream(alice) as source:
            await source.event()
            await watching.sees("alice", "online")
        await watching.sees("alice", "offline")


async def test_a_stream_goes_on_where_it_broke_off(
    serve_streams: ServeStreams, visit: Visit
) -> None:
    server = await serve_streams(grace=0)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with alice.live(), stream(alice) as source:
        cursor = (await source.event()).fields["id"]
    async with bob.live() as there:
        await there.first()
        async with stream(alice, **{"Last-Event-ID": cursor}) as source:
            missed = await source.event()
            assert missed.kind == "changes" and "bob" in missed.message["online"]
        async with stream(alice, **{"Last-Event-ID": "of another node"}) as source:
            assert (await source.event()).kind == "snapshot"


async def test_a_quiet_stream_gets_comments(
    serve_streams: ServeStreams, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "_QUIET", 0.2)
    alice = await visit(await serve_streams(heartbeat=1), "alice")
    async with stream(alice, "?tutorial") as source:
        assert (await source.event()).message == {"username": "alice", "is_logged_in": True}
        assert await source.event() == Event({"": ""})


async def test_a_stream_ends_with_its_session_and_with_the_server(
    serve_streams: ServeStreams, visit: Visit
) -> None:
    server = await serve_streams()
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with stream(alice) as source:
        await source.event()
        assert (await alice.log_out()).status == 303
        bye = await source.until(lambda message: message["type"] == "bye")
        assert bye.kind == "bye" and bye.message == {"type": "bye", "reason": "session_ended"}
        assert await source.ends() == b""
    async with stream(bob) as source:
        await source.event()
        stopping = asyncio.create_task(server.app[PRESENCE].stop())
        while "retry" not in (event := await source.event()).fields:
            assert event.kind != "bye"
        bye = await source.event()
        assert bye.message["reason"] == "restarting"
        assert abs(int(event.fields["retry"]) - 1000 * bye.message["retry_after"]) <= 50
        assert await source.ends() == b""
        await stopping


async def test_whoever_reads_a_stream_slowly_is_for_the_hub_to_judge(
    serve_streams: ServeStreams, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_READ_WITHIN", 0.2)
    server = await serve_streams(grace=60)
    alice = await visit(server, "alice")
    for number in range(15_000):
        server.app[PRESENCE].claim(OWN, Who(f"session-{number}", f"somebody-{number}"))
    async with raw(server, alice, "HTTP/1.1", receive_buffer=4096) as (reader, _):
        # Longer than a reader of an ordinary answer may take.
        await asyncio.sleep(1)
        async with asyncio.timeout(20):
            read = b""
            while b"\n\n\r\n" not in read[-100:]:
                read += await reader.read(65536)
                assert read and not reader.at_eof()
        assert len(read) > 15_000 * 20


@pytest.mark.parametrize("at_once", [True, False])
async def test_whoever_goes_on_talking_over_a_stream_is_cut_off(
    serve_streams: ServeStreams, visit: Visit, at_once: bool
) -> None:
    server = await serve_streams(grace=0)
    alice = await visit(server, "alice")
    async with raw(server, alice, "HTTP/1.1", receive_buffer=4096) as (reader, writer):
        if not at_once:
            await reader.readuntil(b"\r\n\r\n")
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 30_000)
        async with asyncio.timeout(15):
            with suppress(ConnectionError):
                await reader.read(-1)


@asynccontextmanager
async def raw(
    server: TestServer, visitor: Visitor, version: str, receive_buffer: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (server.host, server.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    cookie = "; ".join(f"{c.key}={c.value}" for c in visitor.http.cookie_jar)
    writer.write(f"GET /events {version}\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_an_old_client_is_refused(serve_streams: ServeStreams, visit: Visit) -> None:
    server = await serve_streams()
    alice = await visit(server, "alice")
    async with raw(server, alice, "HTTP/1.0", receive_buffer=4096) as (reader, _):
        async with asyncio.timeout(15):
            assert b" 505 " in await reader.readline()
