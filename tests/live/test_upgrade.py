"""Upgrades that are none, below any WebSocket library."""

import asyncio

import pytest

from presence_server.live.dialects import BY_SUBPROTOCOL, Tutorial
from tests.conftest import Serve, Visit
from testing.visitor import Visitor

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    b"Upgrade": b"websocket",
    b"Connection": b"keep-alive, Upgrade",
    b"Sec-WebSocket-Version": b"13",
    b"Sec-WebSocket-Key": KEY,
}
HEAD = b"HEAD /users/ HTTP/1.1"
OLD = b"GET /users/ HTTP/1.0"


async def answer(
    visitor: Visitor, headers: dict[bytes, bytes], line: bytes = b"GET /users/ HTTP/1.1"
) -> tuple[int, bytes]:
    """The status and the head of the answer to a request of these bytes."""
    host, port = visitor.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    cookie = "; ".join(f"{c.key}={c.value}" for c in visitor.http.cookie_jar).encode()
    named = [b": ".join(pair) for pair in headers.items() if pair[1]]
    writer.write(b"\r\n".join([line, b"Host: x", b"Cookie: " + cookie, *named, b"", b""]))
    async with asyncio.timeout(15):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), head


@pytest.mark.parametrize(
    ("changed", "line", "status"),
    [
        ({}, None, 101),
        ({b"Sec-WebSocket-Protocol": b"presence.v1"}, None, 101),
        ({b"Sec-WebSocket-Protocol": b"presence.v9, presence.v1"}, None, 101),
        ({b"Connection": b"UPGRADE", b"Upgrade": b"WebSocket"}, None, 101),
        ({b"Sec-WebSocket-Protocol": b"presence.v2"}, None, 400),
        ({b"Sec-WebSocket-Protocol": b"presence.v2, x"}, None, 400),
        ({b"Sec-WebSocket-Protocol": "prés\u2003ence.v1".encode()}, None, 400),
        ({b"Sec-WebSocket-Protocol": b"\xff"}, None, 400),
        ({b"Sec-WebSocket-Protocol": b"x\r\nSec-WebSocket-Protocol: presence.v1"}, None, 400),
        ({b"Sec-WebSocket-Key": b""}, None, 400),
        ({b"Sec-WebSocket-Key": b"\xff" * 24}, None, 400),
        ({b"Sec-WebSocket-Key": "ключ".encode()}, None, 400),
        ({b"Sec-WebSocket-Key": b"c2hvcnQ="}, None, 400),
        ({b"Sec-WebSocket-Key": b"dGhlIHNhbXBs ZSBub25jZQ=="}, None, 400),
        ({b"Sec-WebSocket-Key": KEY + b"\r\nSec-WebSocket-Key: " + KEY}, None, 400),
        ({b"Content-Length": b"0"}, None, 101),
        ({b"Content-Length": b"5"}, None, 400),
        ({b"Transfer-Encoding": b"chunked"}, None, 400),
        ({b"Connection": b"close"}, None, 400),
        ({b"Connection": b"x-upgrade"}, None, 400),
        ({b"Sec-WebSocket-Version": b""}, None, 400),
        ({b"Sec-WebSocket-Version": b"8"}, None, 426),
        ({b"Sec-WebSocket-Version": b"7"}, None, 426),
        ({b"Sec-WebSocket-Version": b"14"}, None, 426),
        ({b"Sec-WebSocket-Version": b"13, 8"}, None, 426),
        ({}, HEAD, 400),
        ({}, OLD, 400),
    ],
)
async def test_an_upgrade_is_as_the_protocol_says_or_refused(
    serve: Serve,
    visit: Visit,
    caplog: pytest.LogCaptureFixture,
    changed: dict[bytes, bytes],
    line: bytes | None,
    status: int,
) -> None:
    alice = await visit(await serve(), "alice")
    given, head = await answer(alice, {**GOOD, **changed}, line or b"GET /users/ HTTP/1.1")
    assert given == status, head
    assert (b"Sec-WebSocket-Version: 13" in head) is (status == 426)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_without_a_session_no_form_of_an_upgrade_is_looked_at(
    serve: Serve, visit: Visit
) -> None:
    stranger = await visit(await serve())
    for changed in ({}, {b"Sec-WebSocket-Version": b"8"}, {b"Sec-WebSocket-Key": b"\xff"}):
        assert (await answer(stranger, {**GOOD, **changed}))[0] == 401


async def test_opened_in_a_browser_the_address_leads_to_the_list(
    serve: Serve, visit: Visit
) -> None:
    alice = await visit(await serve(), "alice")
    for headers in ({}, {"Upgrade": "h2c", "Connection": "Upgrade"}):
        page = await alice.get("/users/", headers=headers)
        assert (page.status, page.location) == (303, "/")


@pytest.mark.parametrize("version", [10**3, 10**14])
async def test_a_cursor_of_the_future_gives_a_beginning_in_both_dialects(
    serve: Serve, visit: Visit, version: int
) -> None:
    alice = await visit(await serve(), "alice")
    async with alice.live() as socket:
        node = str((await socket.first())["cursor"]).partition(".")[0]
        async with alice.live(cursor=f"{node}.{version}") as live:
            assert (await live.first())["type"] == "snapshot"
        async with alice.http.ws_connect(
            f"{alice.url}/users/?cursor={node}.{version}"
        ) as tutorial:
            async with asyncio.timeout(15):
                assert await tutorial.receive_json() == {"username": "alice", "is_logged_in": True}


async def test_a_dialect_more_needs_nothing_but_its_name(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BY_SUBPROTOCOL, "third.v1", Tutorial())
    alice = await visit(await serve(), "alice")
    async with alice.tutorial(protocols=("third.v1",)) as socket:
        await socket.sees("alice", True)
