"""The live socket: who gets one, and what happens to peers that misbehave."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from presence_server.keys import PRESENCE
from tests.conftest import Serve, ServerProcesses, Visit
from testing.raw_peer import RawPeer
from testing.visitor import Visitor


async def refusal(visitor: Visitor, **options: Any) -> int:
    """The status with which an upgrade is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with visitor.live(**options):
            pass
    return refused.value.status


async def test_it_takes_a_log_in(server_process: ServerProcesses, visit: Visit) -> None:
    server = await server_process()
    stranger = await visit(server)
    assert await refusal(stranger) == 401


async def test_a_copied_cookie_is_worthless_after_the_log_out(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process()
    alice = await visit(server, "alice")
    thief = await visit(server)
    thief.http.cookie_jar.update_cookies({c.key: c.value for c in alice.http.cookie_jar})
    async with thief.live() as socket:
        await socket.first()
    await alice.log_out()
    assert await refusal(thief) == 401


async def test_who_finds_no_place_again_is_not_taken_for_gone(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(grace=0.5)
    alice = await visit(server, "alice")
    async with alice.live() as socket:
        await socket.first()
    monkeypatch.setattr("presence_server.live.seats.capacity", lambda: 0)
    assert await refusal(alice) == 503
    # Two graces.
    await asyncio.sleep(1.0)
    assert "alice" in server.app[PRESENCE].here


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "https://{host}",
        "http://{host}.evil.example",
        "http://evil.example/{host}",
        "http://127.0.0.1:1",
        "http://127.0.0.1",
        "HTTP://{host}",
        "http://user@{host}",
        "file://",
        "http://{host}/",
        " http://{host} , http://evil.example",
    ],
)
async def test_pages_of_other_sites_get_none(
    server_process: ServerProcesses, visit: Visit, origin: str
) -> None:
    server = await server_process()
    alice = await visit(server, "alice")
    stranger = await visit(server)
    foreign = {"Origin": origin.format(host=f"127.0.0.1:{server.port}")}
    assert await refusal(alice, headers=foreign) == 403
    # Whether somebody is logged in is not told to other sites.
    assert await refusal(stranger, headers=foreign) == 403


async def test_programs_need_no_origin(server_process: ServerProcesses, visit: Visit) -> None:
    server = await server_process()
    alice = await visit(server, "alice")
    async with alice.http.ws_connect(f"{alice.url}/users/") as socket:
        assert json.loads((await socket.receive()).data) == {
            "username": "alice",
            "is_logged_in": True,
        }


async def test_sockets_are_limited_per_user(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(max_sockets_per_user=2)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with alice.live() as first, alice.live():
        assert await refusal(alice) == 429
        async with bob.live() as of_bob:
            await of_bob.first()
        await first.sees("alice", "online")
    async with alice.live() as again:
        await again.first()


async def test_sockets_are_limited_per_address(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(max_sockets_per_address=2)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with alice.live(), bob.live():
        assert await refusal(alice) == 429
        # Nobody of no consequence says otherwise.
        assert await refusal(bob, headers={"X-Forwarded-For": "192.0.2.7"}) == 429


async def test_many_at_once_do_not_get_past_a_limit(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(max_sockets_per_user=3)
    alice = await visit(server, "alice")
    opened, let_go = [], asyncio.Event()

    async def hold() -> int:
        try:
            async with alice.live() as socket:
                opened.append(await socket.first())
                await let_go.wait()
                return 101
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status

    holding = [asyncio.create_task(hold()) for _ in range(12)]
    async with asyncio.timeout(15):
        while sum(task.done() for task in holding) < 9:
            await asyncio.wait(holding, return_when=asyncio.FIRST_COMPLETED, timeout=0.1)
    let_go.set()
    statuses = sorted(await asyncio.gather(*holding))
    assert statuses == [101] * 3 + [429] * 9


@pytest.mark.parametrize("status", ["away", "busy"])
async def test_a_connection_begins_as_it_says(serve: Serve, visit: Visit, status: str) -> None:
    server = await serve(grace=0)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with bob.live() as watching:
        await watching.first()
        before = len(watching.received)
        async with alice.live(query=f"status={status}"):
            await watching.sees("alice", status)
        told = [m for m in watching.received[before:] if "alice" in m.get("online", {})]
        assert told == []
    async with alice.live(query="status=invisible"), bob.live() as watching:
        await watching.sees("alice", "online")


async def test_who_comes_back_goes_on_as_they_were_unless_they_say_otherwise(
    serve: Serve, visit: Visit
) -> None:
    server = await serve(grace=60)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with bob.live() as watching:
        async with alice.live(query="status=away"):
            await watching.sees("alice", "away")
        for query, status in ("", "away"), ("status=online", "online"):
            async with alice.live(query=query) as page:
                await page.first()
                assert page.people["alice"] == status
        await watching.sees("alice", "online")


DEEP = "[" * 2000 + "]" * 2000
BAD_MESSAGES = [
    ("not json", 1007),
    ("", 1007),
    ("[]", 1007),
    ('"online"', 1007),
    ("5", 1007),
    ("null", 1007),
    ("NaN", 1007),
    ('{"type":NaN}', 1007),
    ('{"type":"status","status":Infinity}', 1007),
    ('{"type":"status","type":"status"}', 1007),
    ('{"type":5}', 1007),
    ('{"type":"status","status":["away"]}', 1007),
    ('{"type":"status","status":"away","scope":1}', 1007),
    ('{"type":"status","status":"away"', 1007),
    (DEEP, 1007),
    ('{"n":' + "9" * 4000 + "}", None),
    ('{"type":"status"}', None),
    ('{"type":"status","status":"busy"}', None),
    ('{"type":"dance","status":"away"}', None),
    ('{"type":"status","status":"online","colour":{"deep":[1]}}', None),
    ("{}", None),
    ('{"more":"' + "x" * 16_373 + '"}', None),
    ('{"more":"' + "x" * 16_374 + '"}', 1009),
    ("x" * 100_000, 1009),
    ('{"type":"status","status":"busy","scope":"user","text":["lunch"]}', 1007),
    ('{"type":"watch","users":[1]}', 1007),
    ('{"type":"watch","users":["bob"],"more":"' + "x" * 16_000 + '"}', None),
]


@pytest.mark.parametrize("dialect", ["presence.v1", "tutorial"])
@pytest.mark.parametrize(
    ("text", "code"), BAD_MESSAGES, ids=[text[:30] or "empty" for text, _ in BAD_MESSAGES]
)
async def test_what_is_no_message_closes_that_socket_alone(
    serve: Serve, visit: Visit, text: str, code: int | None, dialect: str
) -> None:
    server = await serve(grace=0)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    opened = alice.live() if dialect == "presence.v1" else alice.tutorial()
    async with opened as socket, alice.live() as beside:
        await socket.receive()
        await socket.raw.send_str(text)
        if code is not None:
            assert await socket.closed() == code
        async with bob.live():
            await beside.sees("bob", "online")
            if code is None:
                await socket.until(lambda: '"bob"' in json.dumps(socket.received[1:]))


async def test_binary_messages_are_refused(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(), "alice")
    async with alice.live() as socket:
        await socket.raw.send_bytes(b"{}")
        assert await socket.closed() == 1003


async def test_a_flood_of_messages_is_cut(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(), "alice")
    async with alice.live() as socket, alice.live() as beside:
        for _ in range(21):
            await socket.send({"type": "status", "status": "online"})
        assert await socket.closed() == 1008
        await beside.send({"type": "status", "status": "away"})
        await beside.sees("alice", "away")


async def test_twenty_messages_are_no_flood(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(), "alice")
    async with alice.live() as socket:
        for _ in range(10):
            await socket.send({"type": "status", "status": "away"})
            await socket.send({"type": "status", "status": "online"})
        await socket.raw.ping()
        assert await socket.first()
        await socket.sees("alice", "online")
        assert not socket.raw.closed


PING, PONG = b"\x89\x80\0\0\0\0", b"\x8a\x80\0\0\0\0"


async def test_t20_a_hundred_pings_are_answered(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(), "alice")
    async with RawPeer.of(alice) as peer:
        peer.write((PING + PONG) * 50)
        answers = 0
        async with asyncio.timeout(15):
            while answers < 50:
                first, _ = await peer.frame()
                answers += first == 0x8A
        peer.write(b"\x88\x82\0\0\0\0\x03\xe8")
        async with asyncio.timeout(15):
            assert await peer.close_code() == 1000


@pytest.mark.parametrize("frame", [PING, PONG])
async def test_t20_a_flood_of_control_frames_is_cut(
    serve: Serve, visit: Visit, frame: bytes
) -> None:
    alice = await visit(await serve(), "alice")
    async with alice.live() as beside, RawPeer.of(alice) as peer:
        peer.write(frame * 101)
        async with asyncio.timeout(15):
            assert await peer.close_code() == 1008
        await beside.send({"type": "status", "status": "away"})
        await beside.sees("alice", "away")


TEXT, CONTINUATION, PING_OF_ONE = b"\x01\x81\0\0\0\0{", b"\0\x80\0\0\0\0", b"\x89\x81\0\0\0\0x"


@pytest.mark.parametrize("frame", [CONTINUATION, b"\0\x81\0\0\0\0 "], ids=["empty", "a byte"])
async def test_a_message_without_end_is_cut(serve: Serve, visit: Visit, frame: bytes) -> None:
    alice = await visit(await serve(), "alice")
    async with alice.live() as beside, RawPeer.of(alice) as peer:
        peer.write(TEXT)
        closed = asyncio.create_task(peer.close_code())
        async with asyncio.timeout(15):
            while not closed.done():
                peer.write(frame * 1000)
                await peer.drain()
        assert await closed in (1008, 1009, None)
        await beside.send({"type": "status", "status": "away"})
        await beside.sees("alice", "away")


async def test_one_who_sends_byte_by_byte_is_cut(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(), "alice")
    async with RawPeer.of(alice) as peer:
        closed = asyncio.create_task(peer.close_code())
        async with asyncio.timeout(20):
            while not closed.done():
                for byte in TEXT + CONTINUATION:
                    peer.write(bytes([byte]))
                    await peer.drain()
                    await asyncio.sleep(0)
        assert await closed in (1002, 1008, None)


BAD_FRAMES = {
    "reserved bit": (b"\xc1\x80\0\0\0\0", 1002),
    "reserved opcode": (b"\x83\x80\0\0\0\0", 1002),
    "reserved control": (b"\x8b\x80\0\0\0\0", 1002),
    "long ping": (b"\x89\xfe\x00\x80\0\0\0\0" + b"x" * 128, 1002),
    "split ping": (b"\x09\x80\0\0\0\0", 1002),
    "continuation of nothing": (b"\x80\x80\0\0\0\0", 1002),
    "not UTF-8": (b"\x81\x82\0\0\0\0\xff\xfe", 1007),
    "close with one byte": (b"\x88\x81\0\0\0\0x", 1002),
    "close with a bad code": (b"\x88\x82\0\0\0\0\x00\x01", 1002),
    "close with a code that means none": (b"\x88\x82\0\0\0\0\x03\xed", 1002),
    "close with a code that means a break": (b"\x88\x82\0\0\0\0\x03\xee", None),
    "a ping whose length is too long": (b"\x89\xfe\x00\x03\0\0\0\0abc", 1002),
    "a huge frame": (b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
    "text within text": (b"\x01\x81\0\0\0\0a\x81\x81\0\0\0\0b", 1002),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
async def test_what_is_no_websocket_is_closed(serve: Serve, visit: Visit, name: str) -> None:
    frame, code = BAD_FRAMES[name]
    alice = await visit(await serve(), "alice")
    async with alice.live() as beside, RawPeer.of(alice) as peer:
        peer.write(frame)
        async with asyncio.timeout(15):
            assert await peer.close_code() == code
        await beside.send({"type": "status", "status": "away", "scope": "user"})
        await beside.sees("alice", "away")


async def test_compression_is_not_offered(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(), "alice")
    async with alice.live(compress=15) as socket:
        assert not socket.raw.compress
        await socket.first()
