"""Sockets of apps' users: who sees whom, how lines begin, are refused, renewed and ended."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack

import pytest
from aiohttp import WSServerHandshakeError
from aiohttp.test_utils import TestServer

from presence_server.keys import APPS, APP_LINES, DATABASE, STORE
from testing.app_client import AppClient
from testing.visitor import LiveSocket
from testing.waiting import until
from tests.api.conftest import AddApp
from tests.conftest import Serve

GRACE = 0.5


async def refused(app: AppClient, **options: object) -> tuple[int | None, str | None]:
    """The close code of a line that is refused after its upgrade, and the reason of the bye."""
    async with app.line("alice", **options) as line:  # type: ignore[arg-type]  # by name
        code = await line.closed()
        byes = [message["reason"] for message in line.received if message["type"] == "bye"]
        assert all(message["type"] == "bye" for message in line.received)
        return code, byes[0] if byes else None


async def test_who_joins_sees_and_is_seen(app: AppClient) -> None:
    async with app.line("alice") as alice:
        first = await alice.first()
        assert first["type"] == "snapshot" and "alice" in first["online"]
        async with app.line("bob") as bob:
            await bob.sees("alice", "online")
            await alice.sees("bob", "online")
            assert await app.here() == {"alice": "online", "bob": "online"}
        await alice.sees("bob", "offline")


async def test_a_watcher_is_never_seen_counted_or_written_down(
    app: AppClient, server: TestServer
) -> None:
    watching = app.token("watcher", {"doc": "watch"})
    async with app.line("alice") as alice, app.line("watcher", token=watching) as watcher:
        await alice.first()
        await watcher.sees("alice", "online")
        room = await app.room()
        assert room["count"] == 1 and list(room["users"]) == ["alice"]
        assert (await app.room("lobby"))["count"] == 1
        assert (await app.ask("GET", "/users/watcher")).json["status"] == "offline"
        await server.app[STORE].write()
        assert await server.app[DATABASE].read("SELECT username FROM here") == [("alice",)]
    assert "watcher" not in alice.people


async def test_who_appears_is_seen_and_sees_nobody(app: AppClient) -> None:
    appearing = app.token("bot", {"doc": "appear"})
    async with app.line("alice") as alice, app.line("bot", token=appearing) as bot:
        first = await bot.first()
        assert first["type"] == "snapshot" and "online" not in first
        await alice.sees("bot", "online")
        async with app.line("bob"):
            await alice.sees("bob", "online")
        await bot.send({"type": "status", "status": "away"})
        await alice.sees("bot", "away")
        assert bot.people == {}


async def test_ten_lines_are_one_user(app: AppClient) -> None:
    async with app.line("watcher") as watcher:
        async with app.line("alice") as one, app.line("alice") as two:
            await one.first()
            await two.first()
            await watcher.sees("alice", "online")
            assert (await app.room())["count"] == 2
        await watcher.sees("alice", "offline")


async def test_back_within_the_grace_is_no_event(patient: AppClient) -> None:
    async with patient.line("watcher") as watcher:
        async with patient.line("alice") as alice:
            await alice.first()
            await watcher.sees("alice", "online")
        before = len(watcher.received)
        async with patient.line("alice") as alice, patient.line("bob"):
            await alice.first()
            await watcher.sees("bob", "online")
            assert not any("alice" in str(message) for message in watcher.received[before:])


@pytest.mark.parametrize(
    ("claims", "code", "reason"),
    [
        ({"exp": 1, "iat": 0}, 4401, "token_expired"),
        ({"aud": "other"}, 4401, "token_invalid"),
        ({"rooms": {"other": "join"}}, 4403, "not_allowed"),
        ({"rooms": {}}, 4403, "not_allowed"),
    ],
)
async def test_a_token_that_does_not_do_is_refused_with_its_reason(
    app: AppClient, claims: Mapping[str, object], code: int, reason: str
) -> None:
    token = app.token("alice", **claims)  # type: ignore[arg-type]  # by name
    assert await refused(app, token=token) == (code, reason)
    assert await app.here() == {}


async def test_no_token_a_key_or_a_bad_name_is_refused(app: AppClient) -> None:
    assert await refused(app, token="") == (4401, "token_invalid")
    assert await refused(app, token=f"{app.key}.{app.secret}") == (4403, "not_allowed")
    assert await refused(app, room="a%20b") == (1007, "bad_request")
    assert await refused(app, query="?status=dancing") == (1007, "bad_request")


async def test_a_token_comes_in_three_ways_and_one_at_a_time(app: AppClient) -> None:
    token, url = app.token("alice"), f"{app.url}/api/v1/rooms/doc"
    bearer = {"Authorization": f"Bearer {token}"}
    async with app.http.ws_connect(url, protocols=("presence.v1",), headers=bearer) as socket:
        assert "alice" in (await LiveSocket(socket).first())["online"]
    as_events = {**bearer, "Accept": "text/event-stream"}
    async with app.http.get(url, headers=as_events) as stream:
        assert await stream.content.readline() == b"event: snapshot\n"
    async with app.events("alice", token=token) as events:
        assert (await events.event())["type"] == "snapshot"
    # In the address it is for an EventSource only.
    assert await refused(app, token="", query=f"?token={token}") == (4401, "token_invalid")
    async with app.http.get(f"{url}?token={token}", headers=as_events) as stream:
        assert stream.status == 401


async def test_who_watches_some_is_told_of_them_and_counts_the_rest(app: AppClient) -> None:
    async with app.line("alice") as alice, app.line("bob") as bob:
        await alice.sees("bob", "online")
        async with app.line("carol", query="?watch=some") as carol:
            first = await carol.first()
            assert first["type"] == "snapshot" and "online" not in first
            await carol.send({"type": "watch", "users": ["bob", "nobody"]})
            await carol.sees("bob", "online")
            await carol.message(
                lambda m: m["type"] == "count" and m["online"] == 3 and m["busy"] == 0
            )
            await bob.send({"type": "status", "status": "away"})
            await carol.sees("bob", "away")
            await carol.message(lambda m: m["type"] == "count" and m["away"] == 1)
            assert "alice" not in carol.people
            await carol.send({"type": "watch", "users": None})
            await carol.sees("alice", "online")


async def test_above_so_many_a_line_begins_with_nobody(app: AppClient) -> None:
    async with app.line("alice") as alice, app.line("bob") as bob:
        await alice.sees("bob", "online")
        async with app.line("carol", query="?above=1") as carol:
            assert "online" not in await carol.first()
            await carol.message(lambda m: m["type"] == "count" and m["online"] == 3)
            await carol.send({"type": "watch", "users": None})
            await carol.sees("alice", "online")
            whole = await carol.message(lambda m: m["type"] == "snapshot" and "online" in m)
        async with app.line("carol", query="?above=3") as carol:
            assert set((await carol.first())["online"]) == {"alice", "bob", "carol"}
        # Who comes back knows them.
        async with app.line("carol", query=f"?above=1&cursor={whole['cursor']}") as carol:
            assert (await carol.first())["type"] == "changes"
            await bob.send({"type": "leave"})
            await carol.sees("bob", "offline")
    assert await refused(app, token=app.token("carol"), query="?above=x") == (1007, "bad_request")


async def test_counts_come_once_a_second_at_most(app: AppClient) -> None:
    async with app.line("carol", query="?watch=some") as carol:
        await carol.message(lambda m: m["type"] == "count")
        started, put = time.monotonic(), 0
        while time.monotonic() - started < 1.2 or put < 6:
            await app.put("doc", f"u{put}", ttl=60)
            put += 1
            # Within the requests that a backend may make, however quick the machine is.
            await asyncio.sleep(0.005)
        everybody = (await app.room())["count"]
        await carol.message(lambda m: m["type"] == "count" and m["online"] == everybody)
        counted = [m for m in carol.received if m["type"] == "count"]
        assert everybody == put + 1 and len(counted) <= 2 + time.monotonic() - started


async def test_the_lobby_alone_may_be_joined(app: AppClient) -> None:
    async with app.line("alice", "lobby") as alice, app.line("bob") as bob:
        await alice.sees("bob", "online")
        await bob.first()
        assert await app.here("lobby") == {"alice": "online", "bob": "online"}
        assert await app.here() == {"bob": "online"}


async def test_a_stream_may_watch_some_too(app: AppClient) -> None:
    async with app.line("bob") as bob, app.events("carol", query="?watch=some") as carol:
        await bob.sees("carol", "online")
        first = await carol.event()
        assert first["type"] == "snapshot" and "online" not in first


async def test_how_a_line_begins(app: AppClient) -> None:
    async with app.line("watcher") as watcher:
        for status in ("away", "busy", "online"):
            async with app.line(status, query=f"?status={status}"):
                await watcher.sees(status, status)
        said = [m.get("online", {}) for m in watcher.received if m["type"] == "changes"]
        assert not any("away" in users or "busy" in users for users in said)


async def test_a_choice_holds_in_all_rooms_and_for_those_to_come(app: AppClient) -> None:
    token = app.token("alice", {"*": "join"})
    async with app.line("watcher", "b") as watcher:
        async with app.line("alice", "a", token=token) as alice:
            await alice.send({"type": "status", "status": "busy", "scope": "user"})
            await alice.sees("alice", "busy")
            await alice.send({"type": "leave"})
            await alice.closed()
        async with app.line("alice", "b", token=token) as alice:
            await watcher.sees("alice", "busy")
            await alice.send({"type": "status", "status": "online"})
            await alice.send({"type": "status", "status": "online", "scope": "user"})
            await watcher.sees("alice", "online")


async def test_a_text_ends_by_itself(app: AppClient) -> None:
    async with app.line("alice") as alice, app.line("bob") as bob:
        until = int(time.time()) + 2
        words = {"scope": "user", "text": "tea", "until": until}
        await alice.send({"type": "status", "status": "busy", **words})
        await bob.sees("alice", "busy")
        assert (await app.room())["users"]["alice"]["text"] == "tea"
        await bob.sees("alice", "online")
        assert "text" not in (await app.room())["users"]["alice"]


async def test_who_is_invisible_is_nowhere(app: AppClient) -> None:
    token = app.token("alice", invisible=True)
    async with app.line("watcher") as watcher, app.line("alice", token=token) as alice:
        await watcher.sees("alice", "online")
        await alice.send({"type": "status", "status": "invisible", "scope": "user"})
        await watcher.sees("alice", "offline")
        assert list(await app.here()) == ["watcher"]
        assert list(await app.here("lobby")) == ["watcher"]
        assert (await app.ask("GET", "/rooms?prefix=doc")).json == [{"room": "doc", "count": 1}]
        gone = (await app.ask("GET", "/users/alice")).json
        assert (gone["status"], gone["rooms"]) == ("offline", [])
        # She still sees, and whatever her pages say tells nothing.
        before = len(watcher.received)
        await alice.send({"type": "data", "data": {"x": 1}})
        await alice.send({"type": "status", "status": "away"})
        async with app.line("alice", token=token) as again, app.line("bob"):
            await again.sees("bob", "online")
            await watcher.sees("bob", "online")
        assert not any("alice" in str(message) for message in watcher.received[before:])
        await alice.send({"type": "status", "status": "online", "scope": "user"})
        await watcher.until(lambda: "alice" in watcher.people)
    async with app.line("bob") as bob:
        await bob.first()
        await bob.send({"type": "status", "status": "invisible", "scope": "user"})
        assert await bob.closed() == 4403


@pytest.mark.parametrize(
    "message",
    [
        {"type": "data", "data": {"x": 1}},
        {"type": "status", "status": "away"},
        {"type": "status", "status": "busy", "scope": "user"},
    ],
)
async def test_a_watcher_says_nothing_of_itself(
    app: AppClient, message: dict[str, object]
) -> None:
    watching = app.token("watcher", {"doc": "watch"})
    async with app.line("watcher", token=watching) as watcher:
        await watcher.first()
        await watcher.send(message)
        assert await watcher.closed() == 4403
        assert watcher.received[-1] == {"type": "bye", "reason": "not_allowed"}


async def test_data_is_of_the_user_in_the_room_and_goes_with_them(app: AppClient) -> None:
    token = app.token("alice", {"*": "join"})
    async with app.line("bob") as bob, app.line("alice", "other", token=token) as elsewhere:
        await elsewhere.first()
        async with app.line("alice", token=token) as one, app.line("alice", token=token) as two:
            await two.first()
            await one.send({"type": "data", "data": {"n": 1}})
            await bob.message(lambda m: m.get("about") == {"alice": {"data": {"n": 1}}})
            # The newest wins, from whichever line.
            await two.send({"type": "data", "data": {"n": 2}})
            await bob.message(lambda m: m.get("about") == {"alice": {"data": {"n": 2}}})
            await one.send({"type": "data", "data": {}})
            await bob.message(lambda m: m.get("about") == {"alice": {}})
            await one.send({"type": "data", "data": {"n": 3}})
            await bob.message(lambda m: m.get("about") == {"alice": {"data": {"n": 3}}})
        assert "data" not in (await app.room("other"))["users"]["alice"]
        await bob.sees("alice", "offline")
        async with app.line("alice", token=token):
            await bob.sees("alice", "online")
            assert "data" not in (await app.room())["users"]["alice"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", 1007), ("[]", 1007), ('{"type": 7}', 1007),
        ('{"type": "data", "data": 1}', 1007),
        ('{"type": "data", "data": {"x": "' + "y" * 512 + '"}}', 1007),
        ('{"type": "status", "scope": "user", "status": "busy", "text": 7}', 1007),
        ('{"type": "watch", "users": 7}', 1007),
        ('{"type": "token", "token": "' + "x" * 17_000 + '"}', 1009),
    ],
)
async def test_what_is_no_message_ends_the_line(app: AppClient, text: str, code: int) -> None:
    async with app.line("alice") as alice:
        await alice.first()
        await alice.raw.send_str(text)
        assert await alice.closed() == code


async def test_unknown_types_and_statuses_are_passed_over(app: AppClient) -> None:
    async with app.line("alice") as alice:
        for message in ({"type": "dance"}, {"type": "status", "status": "dancing"}, {"x": 1}):
            await alice.send(message)
        await alice.send({"type": "status", "status": "away", "new": 1})
        await alice.sees("alice", "away")


async def test_the_newest_token_says_what_is_shown(app: AppClient) -> None:
    now = int(time.time())
    new = app.token("alice", iat=now, info={"name": "New"})
    old = app.token("alice", iat=now - 100, exp=now + 500, info={"name": "Old"})

    async def shown() -> object:
        return (await app.room())["users"]["alice"]["info"]

    async with app.line("alice", token=old) as one:
        await one.first()
        assert await shown() == {"name": "Old"}
        async with app.line("alice", token=new) as two:
            await two.first()
            assert await shown() == {"name": "New"}
            async with app.line("alice", token=old) as three:
                await three.first()
                assert await shown() == {"name": "New"}
            newest = app.token("alice", iat=now + 1, info={"name": "Newest"})
            await one.send({"type": "token", "token": newest})
            await one.message(lambda m: "Newest" in str(m.get("about")))


async def test_of_tokens_of_one_second_the_last_that_came_says_what_is_shown(
    app: AppClient,
) -> None:
    now = int(time.time())

    def token(name: str, issued_at: int = now) -> str:
        claims = {"iat": issued_at, "exp": now + 500, "info": {"name": name}}
        return app.token("alice", {"*": "join"}, **claims)

    async def shown(room: str = "doc") -> object:
        return (await app.room(room))["users"]["alice"]["info"]["name"]

    async def renewed(line: LiveSocket, name: str) -> None:
        await line.send({"type": "token", "token": token(name)})
        await line.until(lambda: name in str(line.received[-1]))

    async with AsyncExitStack() as lines:
        opened = []
        for name in ("a", "b", "c", "d", "e"):
            line = await lines.enter_async_context(app.line("alice", token=token(name)))
            await line.first()
            assert await shown() == name
            opened.append(line)
        for number, line in enumerate(opened):
            await renewed(line, f"new {number}")
        # An older one changes nothing, wherever it comes.
        await renewed(opened[1], "last")
        async with app.line("alice", "other", token=token("old", now - 100)) as line:
            await line.first()
            assert await shown() == await shown("other") == "last"


@pytest.mark.parametrize(
    "limit, other", [("max_sockets_per_user", 200), ("max_sockets_per_address", 429)]
)
async def test_a_user_and_an_address_have_only_so_many_lines(
    serve: Serve, add_app: AddApp, limit: str, other: int
) -> None:
    """Streams count with sockets; the refusal comes before the upgrade, and says when again."""
    server = await serve(**{limit: 2})
    app = await add_app(str(server.make_url("")).rstrip("/"))
    await server.app[APPS].read()
    async with app.line("alice") as line, app.events("alice", "other") as stream:
        await line.first()
        await stream.event()
        with pytest.raises(WSServerHandshakeError) as refused:
            async with app.line("alice"):
                pass
        assert refused.value.status == 429
        assert refused.value.headers is not None and refused.value.headers["Retry-After"] == "10"
        async with app.events("alice") as stream:
            assert stream.status == 429
        async with app.events("bob") as stream:
            assert stream.status == other
        assert (await app.ask("GET", "/rooms/doc?count=1")).status == 200
    await until(lambda: not server.app[APP_LINES].open())
    async with app.line("alice") as line:
        await line.first()
