"""A room asked once, and by whom."""

import asyncio
import json
import time
from io import BytesIO
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from presence_server.keys import APPS
from testing.app_client import AppClient, Answer
from testing.waiting import first_answer
from tests.api.conftest import ORIGIN, AddApp
from tests.conftest import Serve, Visit


def is_problem(answer: Answer, status: int, code: str | None = None) -> bool:
    body = answer.json
    return (
        answer.status == body["status"] == status
        and answer.headers["Content-Type"].startswith("application/problem+json")
        and bool(body["title"] and body["detail"])
        and code in (None, body["code"])
    )


async def test_an_empty_room_has_nobody(app: AppClient) -> None:
    room = await app.room("nobody-was-ever-here")
    assert isinstance(room.pop("cursor"), str)
    assert room == {
        "room": "nobody-was-ever-here",
        "count": 0,
        "degraded": False,
        "users": {},
        "next": None,
    }


async def test_what_is_known_of_everybody(app: AppClient) -> None:
    token = app.token("alice", info={"name": "Alice", "avatar": "https://x.example/a.png"})
    async with app.line("alice", token=token) as alice, app.line("bob") as bob:
        await alice.sees("bob", "online")
        until = int(time.time()) + 600
        choice = {"type": "status", "status": "busy", "scope": "user", "text": "lunch"}
        await alice.send({**choice, "until": until})
        await alice.send({"type": "data", "data": {"cursor": [1, 2]}})
        await bob.message(lambda message: "[1, 2]" in json.dumps(message))
        room = await app.room()
        assert room["users"]["alice"] == {
            "status": "busy",
            "since": pytest.approx(time.time(), abs=30),
            "info": {"name": "Alice", "avatar": "https://x.example/a.png"},
            "data": {"cursor": [1, 2]},
            "text": "lunch",
            "until": until,
        }
        assert room["users"]["bob"] == {
            "status": "online", "since": pytest.approx(time.time(), abs=30)
        }


async def test_pages_of_people_in_the_order_of_their_ids(app: AppClient) -> None:
    for number in (3, 1, 2, 10):
        await app.put("doc", f"u{number}", ttl=60)
    first = await app.room(query="?limit=2")
    assert (list(first["users"]), first["next"], first["count"]) == (["u1", "u10"], "u10", 4)
    second = await app.room(query="?limit=2&after=u10")
    assert (list(second["users"]), second["next"]) == (["u2", "u3"], None)
    assert (await app.room(query="?after=zzz"))["users"] == {}
    counted = await app.room(query="?count=1")
    assert counted["count"] == 4 and "users" not in counted


async def test_who_left_lately(app: AppClient) -> None:
    async with app.line("watcher") as watcher:
        async with app.line("alice") as alice:
            await alice.first()
            await alice.send({"type": "leave"})
            await alice.closed()
        await watcher.sees("watcher", "online")
        room = await app.room(query="?left=60")
        assert room["left"] == {"alice": pytest.approx(time.time(), abs=30)}
        assert "left" not in await app.room()
        assert (await app.room(query="?left=86400"))["left"] == room["left"]
        # Until it is a second since then.
        await asyncio.sleep(max(0, room["left"]["alice"] + 1 - time.time()))
        assert (await app.room(query="?left=0"))["left"] == {}


async def test_a_cursor_of_the_answer_goes_on_from_there(app: AppClient) -> None:
    async with app.line("alice") as alice:
        await alice.first()
        cursor = (await app.room())["cursor"]
        assert len(cursor.split(".")[-1]) == 32, "how much is said is covered"
        async with app.line("bob", query=f"?cursor={cursor}") as bob:
            first = await bob.first()
            assert first["type"] == "changes" and "alice" not in json.dumps(first)
        for unknown in ("x", "", "0.0.0", "\N{SNOWMAN}"):
            async with app.line("carol", query=f"?cursor={unknown}") as carol:
                assert (await carol.first())["type"] == "snapshot"


async def test_a_user_asks_with_a_token_for_what_it_opens(app: AppClient) -> None:
    for permission in ("join", "watch"):
        token = app.token("alice", {"doc": permission})
        answer = await app.ask("GET", "/rooms/doc", bearer=token)
        assert (answer.status, answer.json["count"]) == (200, 0)
    appear = await app.ask("GET", "/rooms/doc", bearer=app.token("alice", {"doc": "appear"}))
    assert is_problem(appear, 403, "not_allowed")
    other = await app.ask("GET", "/rooms/doc", bearer=app.token("alice", "other"))
    assert is_problem(other, 403, "not_allowed")


@pytest.mark.parametrize(
    ("bearer", "code"),
    [("", "token_invalid"), ("nonsense", "token_invalid"), ("key_0.secret", "token_invalid")],
)
async def test_nobody_else_is_told_anything(app: AppClient, bearer: str, code: str) -> None:
    for method, path in (
        ("GET", "/rooms/doc"), ("GET", "/rooms"), ("GET", "/users/u"), ("DELETE", "/users/u"),
        ("POST", "/rooms/doc/me"), ("PUT", "/rooms/doc/users/u"), ("POST", "/users/query"),
    ):
        answer = await app.ask(method, path, {} if method in ("POST", "PUT") else None, bearer)
        assert is_problem(answer, 401, code), (method, path)
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


async def test_cookies_mean_nothing_here(
    app: AppClient, server: TestServer, visit: Visit
) -> None:
    alice = await visit(server, "alice")
    assert (await alice.get("/api/users")).status == 200
    with_cookie = AppClient(app.url, alice.http, {"name": "", "key": "", "secret": ""})
    for path in ("/rooms/doc", "/rooms", "/users/alice"):
        assert is_problem(await with_cookie.ask("GET", path, bearer=""), 401, "token_invalid")
    async with with_cookie.line("alice", token="") as line:
        assert await line.closed() == 4401
    async with with_cookie.line("bob", token=app.token("bob")) as line:
        assert "bob" in (await line.first())["online"]
        assert list(await app.here()) == ["bob"]


async def test_a_token_is_not_a_key_and_a_key_no_token(app: AppClient) -> None:
    token = app.token("alice", "*")
    for method, path in (
        ("GET", "/rooms"), ("GET", "/users/u"), ("DELETE", "/users/u"),
        ("DELETE", "/rooms/doc/users/u"), ("PUT", "/rooms/doc/users/u"), ("POST", "/users/query"),
    ):
        answer = await app.ask(method, path, {} if method in ("POST", "PUT") else None, token)
        assert is_problem(answer, 403, "not_allowed"), (method, path)
    assert is_problem(await app.ask("POST", "/rooms/doc/me", {}), 403, "not_allowed")
    events = {"Accept": "text/event-stream"}
    assert is_problem(await app.ask("GET", "/rooms/doc", headers=events), 403, "not_allowed")


@pytest.mark.parametrize(
    "path",
    [
        "/rooms/a%20b", "/rooms/%00", "/rooms/%F0%9F%98%80", "/rooms/" + "x" * 129, "/rooms/a*",
        "/rooms/doc?limit=0", "/rooms/doc?limit=1001", "/rooms/doc?limit=x",
        "/rooms/doc?limit=1&limit=2", "/rooms/doc?count=2", "/rooms/doc?left=-1",
        "/rooms/doc?left=x",
        "/rooms?limit=0", "/users/" + "x" * 129, "/users/a%0Ab",
        "/users/%FF", "/users/a%C3", "/rooms/doc?after=%FF", "/rooms?after=%FF",
    ],
)
async def test_what_is_not_of_the_form_is_said_to_be_so(app: AppClient, path: str) -> None:
    assert is_problem(await app.ask("GET", path), 400, "bad_request")


async def test_other_errors_are_problems_too(app: AppClient) -> None:
    assert is_problem(await app.ask("GET", "/nothing"), 404)
    assert is_problem(await app.ask("PATCH", "/rooms/doc"), 405)
    allowed = await app.ask("POST", "/rooms")
    assert is_problem(allowed, 405) and "GET" in allowed.headers["Allow"]
    for method, path in (("GET", "/rooms/doc"), ("PUT", "/rooms/doc/users/u")):
        expecting = await app.ask(method, path, headers={"Expect": "nonsense"})
        assert is_problem(expecting, 417)
        assert expecting.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_body_may_wait_until_it_is_asked_for(app: AppClient) -> None:
    asked = await app.ask("POST", "/users/query", {"users": ["alice"]}, expect100=True)
    assert asked.json["users"]["alice"]["status"] == "offline"


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"data": b"{}"}, 415, "not_json"),
        ({"data": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "not_json"),
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "bad_request"),
        ({"data": b"[]", "headers": {"Content-Type": "application/json"}}, 400, "bad_request"),
        ({"data": b"\xff", "headers": {"Content-Type": "application/json"}}, 400, "bad_request"),
        ({"data": b'{"a":' * 3000, "headers": {"Content-Type": "application/json"}}, 400, None),
        (
            {"data": BytesIO(b" " * 2**21), "headers": {"Content-Type": "application/json"}},
            413,
            None,
        ),
        ({"json": {"users": "x"}}, 400, "bad_request"),
        ({"json": {"users": [""]}}, 400, "bad_request"),
        ({"json": {"users": ["\ud800"]}}, 400, "bad_request"),
        ({"json": {"users": ["u"] * 1001}}, 400, "bad_request"),
    ],
)
async def test_bodies_that_cannot_be(
    app: AppClient, options: dict[str, Any], status: int, code: str | None
) -> None:
    assert is_problem(await app.ask("POST", "/users/query", **options), status, code)


async def test_apps_know_nothing_of_each_other(
    app: AppClient, add_app: AddApp, server: TestServer
) -> None:
    other = await add_app(app.url, "board")
    await server.app[APPS].read()
    async with app.line("alice") as alice:
        await alice.first()
        assert await other.here() == {} and await other.here("lobby") == {}
        assert (await other.ask("GET", "/rooms")).json == []
        assert (await other.ask("GET", "/users/alice")).json["status"] == "offline"
        assert (await other.ask("DELETE", "/users/alice")).status == 204
        assert await app.here() == {"alice": "online"}


async def test_a_full_room_and_too_many_rooms(serve: Serve, add_app: AddApp) -> None:
    server = await serve(max_people_per_room=2)
    app = await add_app(str(server.make_url("")).rstrip("/"))
    await server.app[APPS].read()
    async with app.line("alice") as alice, app.line("bob") as bob:
        await alice.sees("bob", "online")
        await bob.first()
        async with app.line("carol") as carol:
            assert await carol.closed() == 4409
            assert carol.received == [{"type": "bye", "reason": "full"}]
        assert is_problem(await app.put("doc", "carol", ttl=10), 409, "full")
        # Those who are there may have further lines, and watching takes no place.
        async with app.line("alice") as again:
            assert (await again.first())["type"] == "snapshot"
        watching = app.token("carol", {"doc": "watch"})
        async with app.line("carol", token=watching) as watcher:
            assert (await watcher.first())["type"] == "snapshot"
            await watcher.send({"type": "token", "token": app.token("carol")})
            assert await watcher.closed() == 4409
    for number in range(50):
        assert (await app.put(f"room-{number}", "dave", ttl=3600)).status == 204
    assert is_problem(await app.put("room-50", "dave", ttl=3600), 409, "full")
    assert (await app.put("room-7", "dave", ttl=3600)).status == 204
    async with app.line("dave", "room-50") as dave:
        assert await dave.closed() == 4409


async def test_limits_hold_however_much_comes_at_once(serve: Serve, add_app: AddApp) -> None:
    server = await serve(max_people_per_room=3, max_people_placed=55)
    app = await add_app(str(server.make_url("")).rstrip("/"))
    await server.app[APPS].read()

    async def placed(*of_whom: tuple[str, str]) -> list[int]:
        said = (app.put(room, user, ttl=60) for room, user in of_whom)
        return sorted(answer.status for answer in await asyncio.gather(*said))

    assert await placed(*(("doc", f"u{n}") for n in range(8))) == [204] * 3 + [409] * 5
    assert await placed(*((f"room-{n}", "dave") for n in range(60))) == [204] * 50 + [409] * 10
    assert await placed(*((f"den-{n}", f"v{n}") for n in range(8))) == [204] * 2 + [429] * 6


async def test_an_app_places_only_so_many_people(serve: Serve, add_app: AddApp) -> None:
    server = await serve(max_people_placed=3)
    url = str(server.make_url("")).rstrip("/")
    app, other = await add_app(url), await add_app(url, "other")
    await server.app[APPS].read()
    for room, user in (("doc", "alice"), ("doc", "bob"), ("den", "alice")):
        assert (await app.put(room, user, ttl=10)).status == 204
    refused = await app.put("den", "bob", ttl=10)
    assert is_problem(refused, 429, "too_many") and refused.headers["Retry-After"] == "10"
    # Of those who are there more may be said, people with a line are no such people, and each
    # app has its own.
    assert (await app.put("doc", "bob", status="busy", ttl=20)).status == 204
    async with app.line("carol") as carol:
        await carol.sees("bob", "busy")
    assert (await other.put("den", "bob", ttl=10)).status == 204
    # Whoever is gone makes room.
    assert (await app.ask("DELETE", "/rooms/doc/users/alice")).status == 204
    await first_answer(lambda: app.put("den", "bob", ttl=10), lambda said: said.status == 204)
    assert is_problem(await app.put("doc", "alice", ttl=10), 429, "too_many")


async def test_the_description_is_served(app: AppClient) -> None:
    answer = await app.ask("GET", "/openapi.json", bearer="")
    assert answer.json["openapi"].startswith("3.1.")
    assert answer.json["servers"] == [{"url": "/api/v1"}]


async def test_pages_of_an_apps_origins_may_read_what_a_token_opens(app: AppClient) -> None:
    token = app.token("alice")
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example", None)):
        headers = {"Origin": origin}
        answer = await app.ask("GET", "/rooms/doc", bearer=token, headers=headers)
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        assert answer.headers["Vary"] == "Origin"
        refused = await app.ask("GET", "/rooms/doc", bearer="bad", headers=headers)
        assert refused.headers.get("Access-Control-Allow-Origin") == allowed
        preflight = await app.ask("OPTIONS", "/rooms/doc/me", bearer="", headers=headers)
        assert preflight.headers.get("Access-Control-Allow-Origin") == allowed
        methods = preflight.headers.get("Access-Control-Allow-Methods")
        assert methods == ("POST" if allowed else None)
    by_key = await app.ask("GET", "/rooms/doc", headers={"Origin": ORIGIN})
    assert by_key.status == 200 and "Access-Control-Allow-Origin" not in by_key.headers
    for path in ("/rooms", "/users/u", "/users/query", "/rooms/doc/users/u"):
        answer = await app.ask("OPTIONS", path, bearer="", headers={"Origin": ORIGIN})
        assert is_problem(answer, 405)
        assert "Access-Control-Allow-Origin" not in answer.headers
