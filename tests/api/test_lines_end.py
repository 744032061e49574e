"""How lines of apps' users go on and end: renewal, narrowing, expiry, revocation, leaving."""

import time

import pytest
from aiohttp.test_utils import TestServer

from presence_server.apps import register
from presence_server.keys import APPS, DATABASE, KEYRING, PRESENCE, ROOMS, STORE
from presence_server.presence.client_messages import StatusMessage
from presence_server.presence.members import Who
from testing.app_client import AppClient
from testing.visitor import Message
from tests.api.conftest import AT_ONCE, AddApp


def reasons(messages: list[Message]) -> list[str]:
    return [message["reason"] for message in messages if message["type"] == "bye"]


async def test_a_new_token_keeps_the_line_open_without_a_gap(app: AppClient) -> None:
    ending = app.token("alice", exp=int(time.time()) + 20)
    async with app.line("watcher") as watcher, app.line("alice", token=ending) as alice:
        await alice.message(lambda m: m["type"] == "expiring" and m["in"] <= 20)
        await watcher.sees("alice", "online")
        before = len(watcher.received)
        renewed = app.token("alice", exp=int(time.time()) + 50)
        await alice.send({"type": "token", "token": renewed})
        # Longer than the first token held.
        await alice.message(lambda m: m["type"] == "expiring" and m["in"] > 20)
        async with app.line("bob"):
            await alice.sees("bob", "online")
        async with app.line("carol"):
            await watcher.sees("carol", "online")
        assert not any("alice" in str(message) for message in watcher.received[before:])
        assert alice.close_code is None


async def test_the_end_of_a_token_is_told_a_minute_before(app: AppClient) -> None:
    ending = app.token("alice", exp=int(time.time()) + 62)
    async with app.line("alice", token=ending) as alice:
        await alice.first()
        told = await alice.message(lambda m: m["type"] == "expiring")
        assert told in [{"type": "expiring", "in": seconds} for seconds in range(50, 61)]


async def test_an_expired_token_ends_the_line_and_its_user_has_a_grace(
    app: AppClient, add_app: AddApp, server: TestServer
) -> None:
    # As long as a busy machine may take to come back.
    app = await add_app(app.url, "patient", grace=3.0)
    await server.app[APPS].read()
    ending = app.token("alice", exp=int(time.time()) + 2)
    async with app.line("watcher") as watcher, app.line("alice", token=ending) as alice:
        first = await alice.first()
        assert first["type"] == "snapshot"
        await watcher.sees("alice", "online")
        assert await alice.closed() == 4401
        assert reasons(alice.received) == ["token_expired"]
        assert any(m["type"] == "expiring" for m in alice.received)
        before = len(watcher.received)
        async with app.line("alice"), app.line("bob"):
            await watcher.sees("bob", "online")
            assert not any("alice" in str(message) for message in watcher.received[before:])
        await watcher.sees("alice", "offline")


async def test_a_token_within_its_leeway_opens_a_line_until_that_is_over(app: AppClient) -> None:
    now = int(time.time())
    late = app.token("alice", iat=now - 60, exp=now - 28)
    async with app.line("alice", token=late) as alice:
        assert (await alice.first())["type"] == "snapshot"
        assert await alice.closed() == 4401
        assert reasons(alice.received) == ["token_expired"]


@pytest.mark.parametrize(
    ("claims", "code", "reason"),
    [
        ({"sub": "mallory"}, 4401, "token_invalid"),
        ({"exp": 1, "iat": 0}, 4401, "token_expired"),
        ({"aud": "x"}, 4401, "token_invalid"),
        ({"rooms": {"other": "join"}}, 4403, "not_allowed"),
    ],
)
async def test_a_new_token_that_does_not_do_ends_the_line(
    app: AppClient, claims: dict[str, object], code: int, reason: str
) -> None:
    async with app.line("alice") as alice:
        await alice.first()
        token = app.token("alice", **claims)  # type: ignore[arg-type]  # by name
        await alice.send({"type": "token", "token": token})
        assert await alice.closed() == code
        assert reasons(alice.received) == [reason]


async def test_a_token_of_another_app_does_not_renew(
    app: AppClient, add_app: AddApp, server: TestServer
) -> None:
    other = await add_app(app.url, "board")
    await server.app[APPS].read()
    async with app.line("alice") as alice:
        await alice.first()
        await alice.send({"type": "token", "token": other.token("alice")})
        assert await alice.closed() == 4401
        assert reasons(alice.received) == ["token_invalid"]


async def test_narrowing_takes_effect_at_once_as_a_leave(patient: AppClient) -> None:
    async with patient.line("watcher") as watcher, patient.line("alice") as alice:
        await watcher.sees("alice", "online")
        started = time.monotonic()
        await alice.send({"type": "token", "token": patient.token("alice", {"doc": "watch"})})
        await watcher.sees("alice", "offline")
        assert time.monotonic() - started < AT_ONCE
        # She still sees.
        async with patient.line("bob"):
            await alice.sees("bob", "online")
        await alice.send({"type": "token", "token": patient.token("alice", {"doc": "appear"})})
        await watcher.sees("alice", "online")
        await alice.until(lambda: alice.people == {})
        await alice.send({"type": "token", "token": patient.token("alice", {"doc": "join"})})
        await alice.sees("watcher", "online")


async def test_narrowing_to_nothing_is_gone_at_once(patient: AppClient) -> None:
    async with patient.line("watcher") as watcher, patient.line("alice") as alice:
        await watcher.sees("alice", "online")
        started = time.monotonic()
        await alice.send({"type": "token", "token": patient.token("alice", {"doc:*": "join"})})
        await watcher.sees("alice", "offline")
        assert time.monotonic() - started < AT_ONCE
        assert await alice.closed() == 4403


async def test_leaving_is_gone_at_once_unless_another_line_stays(patient: AppClient) -> None:
    async with patient.line("watcher") as watcher, patient.line("alice") as one:
        async with patient.line("alice") as two:
            await two.first()
            await watcher.sees("alice", "online")
            await two.send({"type": "leave"})
            assert await two.closed() == 1000
        async with patient.line("bob"):
            await watcher.sees("bob", "online")
        assert watcher.people["alice"] == "online"
        started = time.monotonic()
        await one.send({"type": "leave"})
        await watcher.sees("alice", "offline")
        assert time.monotonic() - started < AT_ONCE


async def test_a_revoked_user_is_gone_at_once_and_stays_out(app: AppClient) -> None:
    old = app.token("alice")
    watching = app.token("alice", {"doc": "watch"})
    async with (
        app.line("watcher") as watcher,
        app.line("alice", token=old) as alice,
        app.line("alice", "lobby", token=app.token("alice", "lobby")) as lobby,
        app.line("alice", token=watching) as also,
    ):
        await watcher.sees("alice", "online")
        await lobby.first()
        await also.first()
        started = time.monotonic()
        assert (await app.ask("DELETE", "/users/alice")).status == 204
        await watcher.sees("alice", "offline")
        for line in (alice, lobby, also):
            assert await line.closed() == 4401
            assert reasons(line.received) == ["revoked"]
        assert time.monotonic() - started < AT_ONCE
    async with app.line("alice", token=old) as alice:
        assert await alice.closed() == 4401
        assert reasons(alice.received) == ["revoked"]
    refused = await app.ask("GET", "/rooms/doc", bearer=old)
    assert refused.status == 401 and refused.json["code"] == "revoked"
    async with app.line("alice", token=app.token("alice", iat=int(time.time()) + 1)) as alice:
        assert (await alice.first())["type"] == "snapshot"


async def test_nobody_comes_by_a_key_that_ended_while_their_line_was_opened(
    app: AppClient, server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    presence, apps = server.app[PRESENCE], server.app[APPS]
    known = apps.named("wiki")
    assert known is not None

    async def end_the_key(room: str, who: Who) -> None:
        database, keyring, now = server.app[DATABASE], server.app[KEYRING], int(time.time())
        await register.rotate(database, keyring, known.id, now)
        await register.drop_previous(database, known.id)
        await apps.read()

    monkeypatch.setattr(presence, "hear_of", end_the_key)
    async with app.line("alice") as alice:
        assert await alice.closed() == 4401
        assert reasons(alice.received) == ["token_invalid"]


async def test_from_one_room_is_from_that_room_alone(app: AppClient) -> None:
    token = app.token("alice", {"doc": "join", "other": "join"})
    async with (
        app.line("watcher") as watcher,
        app.line("alice", token=token) as doc,
        app.line("alice", "other", token=token) as other,
    ):
        await watcher.sees("alice", "online")
        assert (await app.ask("DELETE", "/rooms/doc/users/alice")).status == 204
        await watcher.sees("alice", "offline")
        assert await doc.closed() == 4401
        assert list(await app.here("other")) == ["alice"]
        await other.send({"type": "status", "status": "away"})
        await other.sees("alice", "away")
    async with app.line("alice", token=token) as doc:
        assert await doc.closed() == 4401
    assert (await app.ask("GET", "/rooms/other", bearer=token)).status == 200


async def test_when_an_app_is_deleted_its_people_are_gone(
    app: AppClient, server: TestServer
) -> None:
    async with app.line("alice") as alice:
        await alice.first()
        found = await register.find(server.app[DATABASE], app.name)
        await register.delete(server.app[DATABASE], found.id)
        assert await alice.closed() == 4401
        assert reasons(alice.received) == ["revoked"]
    assert (await app.ask("GET", "/rooms")).status == 401


@pytest.mark.both_databases
async def test_nothing_remains_of_what_the_users_of_a_deleted_app_chose(
    app: AppClient, server: TestServer
) -> None:
    db, store = server.app[DATABASE], server.app[STORE]
    found = await register.find(db, app.name)
    assert (await app.say("alice", status="busy", text="lunch")).status == 204
    await store.write()
    assert await db.read("SELECT text FROM choices") == [("lunch",)]
    await register.delete(db, found.id)
    assert await db.read("SELECT text FROM choices") == []
    # As long as the server has not heard of it.
    words = StatusMessage("busy", whole_user=True, text="back at two")
    server.app[ROOMS].choose(found.id, "alice", words)
    await store.write()
    assert await db.read("SELECT text FROM choices") == []


async def test_a_key_that_no_longer_holds_ends_its_lines_but_not_their_users(
    app: AppClient, server: TestServer
) -> None:
    db, keyring = server.app[DATABASE], server.app[KEYRING]
    found = await register.find(db, app.name)
    made = await register.rotate(db, keyring, found.id, int(time.time()))
    await server.app[APPS].read()
    secrets = {"name": app.name, "key": made.key, "secret": made.secret}
    renewed = AppClient(app.url, app.http, secrets)
    async with renewed.line("watcher") as watcher, app.line("alice") as alice:
        await watcher.sees("alice", "online")
        await register.drop_previous(db, found.id)
        assert await alice.closed() == 4401
        assert reasons(alice.received) == ["token_invalid"]
        before = len(watcher.received)
        async with renewed.line("alice"), renewed.line("bob"):
            await watcher.sees("bob", "online")
            assert not any("alice" in str(message) for message in watcher.received[before:])
