"""What is bounded: the last value that is good, the first that is not; a server that is full."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from aiohttp import WSServerHandshakeError
from aiohttp.test_utils import TestServer

from presence_server.keys import APPS, DATABASE, ROOMS
from presence_server.storage.database import DatabaseUnavailable
from testing.app_client import AppClient, Answer
from testing.waiting import first_answer
from tests.api.conftest import AddApp
from tests.api.test_rooms import is_problem

LARGEST = 16 * 1024  # bytes of a body, and of a message


async def test_a_page_has_200_people_and_1000_at_most(app: AppClient, server: TestServer) -> None:
    known = server.app[APPS].named(app.name)
    assert known is not None
    for number in range(1001):
        server.app[ROOMS].place(known.id, "doc", f"u{number:04}", "online", 60, {})
    usual = await app.room()
    assert (len(usual["users"]), usual["next"], usual["count"]) == (200, "u0199", 1001)
    most = await app.room(query="?limit=1000")
    assert (len(most["users"]), most["next"]) == (1000, "u0999")
    rest = await app.room(query="?limit=1000&after=u0999")
    assert (list(rest["users"]), rest["next"]) == (["u1000"], None)
    assert list((await app.room(query="?limit=1"))["users"]) == ["u0000"]


async def test_a_body_has_16_kib_at_most(app: AppClient) -> None:
    async def put(size: int) -> Answer:
        body = json.dumps({"ttl": 10}).ljust(size).encode()
        as_json = {"Content-Type": "application/json"}
        return await app.ask("PUT", "/rooms/doc/users/alice", data=body, headers=as_json)

    assert (await put(LARGEST)).status == 204
    assert is_problem(await put(LARGEST + 1), 413, "too_large")


async def test_a_message_has_16_kib_at_most_and_is_text(app: AppClient) -> None:
    async with app.line("alice") as alice, app.line("bob") as bob:
        await alice.raw.send_str('{"type":"status","status":"away"}'.ljust(LARGEST))
        await alice.sees("alice", "away")
        await alice.raw.send_str("{}".ljust(LARGEST + 1))
        assert await alice.closed() == 1009
        await bob.first()
        await bob.raw.send_bytes(b'{"type":"status","status":"away"}')
        assert await bob.closed() == 1003


async def _upgrade(app: AppClient, user: str = "alice") -> tuple[int, str | None]:
    """How the upgrade is answered, and when to come back."""
    with pytest.raises(WSServerHandshakeError) as refused:
        async with app.line(user):
            pass
    assert refused.value.headers is not None
    return refused.value.status, refused.value.headers.get("Retry-After")


async def test_a_process_that_is_full_says_so_before_the_upgrade(
    app: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("presence_server.live.seats.capacity", lambda: 0)
    assert await _upgrade(app) == (503, "10")
    events = {"Accept": "text/event-stream"}
    answer = await app.ask("GET", "/rooms/doc", bearer=app.token("alice"), headers=events)
    assert is_problem(answer, 503, "busy") and answer.headers["Retry-After"] == "10"
    # What needs no line is served.
    assert await app.here() == {}


@pytest.fixture
async def full_behind_alice(app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """She has just left, and there is no place for anybody."""
    async with app.line("alice") as alice:
        await alice.first()
    monkeypatch.setattr("presence_server.live.seats.capacity", lambda: 0)


@pytest.mark.usefixtures("full_behind_alice")
async def test_who_finds_no_place_again_is_not_taken_for_gone(app: AppClient) -> None:
    assert await _upgrade(app, "alice") == (503, "10")
    # Two graces.
    await asyncio.sleep(1.0)
    assert list(await app.here()) == ["alice"]


@pytest.mark.usefixtures("full_behind_alice")
async def test_nobody_stays_for_the_sake_of_strangers_who_find_no_place(app: AppClient) -> None:
    assert await _upgrade(app, "stranger") == (503, "10")
    await first_answer(app.here, lambda here: not here)


@pytest.fixture
def database_away(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    async def away(*_: object) -> None:
        raise DatabaseUnavailable("nobody answers")

    with monkeypatch.context() as patch:
        for method in ("read", "write"):
            patch.setattr(type(server.app[DATABASE]), method, away)
        yield


async def test_what_needs_the_database_waits_for_it(
    app: AppClient, add_app: AddApp, server: TestServer, request: pytest.FixtureRequest
) -> None:
    keeping = await add_app(app.url, "board", visits=1)
    await server.app[APPS].read()
    request.getfixturevalue("database_away")
    for method, path in (
        ("DELETE", "/users/alice"),
        ("DELETE", "/rooms/doc/users/alice"),
        ("GET", "/rooms/doc/visits"),
    ):
        answer = await keeping.ask(method, path)
        assert is_problem(answer, 503, "busy") and int(answer.headers["Retry-After"]) > 0, path
    # Who is here is known without it.
    async with keeping.line("alice") as alice:
        await alice.first()
        assert (await keeping.say("alice", status="away")).status == 204
        await alice.sees("alice", "away")
        assert (await keeping.ask("GET", "/users/alice")).json["rooms"] == ["doc"]
