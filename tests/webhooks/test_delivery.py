"""A server and the backend of an app, which takes what it is told or does not."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from pathlib import Path

import pytest
import standardwebhooks
from aiohttp import web
from aiohttp.test_utils import TestServer

from presence_server import cli
from presence_server.apps import register
from presence_server.apps.register import AppSettings
from presence_server.apps.webhooks import said, state
from presence_server.config import PostgresUrl
from presence_server.keys import APPS, DATABASE, KEYRING, SENDER
from presence_server.presence.told import Change, Told
from presence_server.webhooks import delivery, messages
from presence_server.webhooks.delivery import Delivery
from presence_server.webhooks.receiver import is_public
from testing.app_client import AppClient
from testing.processes import KEYS, arguments, on_database
from testing.receiver import Delivered, Receiver
from testing.waiting import STALL, first_answer, until
from tests.api.conftest import AddApp
from tests.conftest import Serve

Start = Callable[..., Awaitable[AppClient]]


@pytest.fixture
async def server(serve: Serve) -> TestServer:
    return await serve(grace=0.5, allow_private_webhooks=True)


@pytest.fixture
async def app(server: TestServer, add_app: AddApp, receiver: Receiver) -> AppClient:
    """An app whose backend is the receiver."""
    client = await add_app(str(server.make_url("")).rstrip("/"), webhook=receiver.url)
    await server.app[APPS].read()
    return client


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is waited for takes a tenth or less."""
    monkeypatch.setattr(delivery, "_COLLECT", 0.05)
    monkeypatch.setattr(delivery, "_SAME_AGAIN", (0.1, 0.1))
    monkeypatch.setattr(delivery, "_ANEW", (0.3,))


async def test_who_comes_and_goes_is_told(app: AppClient, receiver: Receiver) -> None:
    began = int(time.time())
    async with app.line("alice"), app.line("bob"), app.line("alice", "team"):
        for user in ("alice", "bob"):
            await receiver.hears("doc", user, "here")
        said = await receiver.hears("team", "alice", "here")
        assert said["count"] == 1 and began <= said["since"] <= time.time()
        await receiver.hears("lobby", "bob", "here")
    await receiver.hears("lobby", "alice", "gone")
    await receiver.until(lambda: not any(map(receiver.here, ("doc", "team", "lobby"))))
    occupied = [room for d in receiver.accepted for room in d.data["occupied"]]
    vacated = [room for d in receiver.accepted for room in d.data["vacated"]]
    assert sorted(occupied) == sorted(vacated) == ["doc", "lobby", "team"]
    message = json.loads(receiver.accepted[0].body)
    assert message["type"] == "presence.changed" and message["timestamp"].endswith("Z")


async def test_flaps_statuses_and_watchers_are_not_told(
    app: AppClient, server: TestServer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = app.token("watcher", {"doc": "watch"})
    async with app.line("watcher", token=watching) as watcher, app.line("alice") as alice:
        await receiver.hears("doc", "alice", "here")
        await alice.send({"type": "status", "status": "away"})
        await watcher.sees("alice", "away")
        with monkeypatch.context() as longer:
            longer.setattr(delivery, "_COLLECT", STALL)
            async with app.line("bob") as bob:
                await watcher.sees("bob", "online")
                await bob.send({"type": "leave"})
                await watcher.sees("bob", "offline")
            await until(lambda: not server.app[SENDER].states()["wiki"].due)
        async with app.line("carol"):
            await receiver.hears("doc", "carol", "here")
    told = {change["user"] for d in receiver.accepted for change in d.data["changes"]}
    assert told == {"alice", "carol"}


async def test_the_invisible_are_never_told(
    app: AppClient, receiver: Receiver, impatient: None
) -> None:
    hidden = app.token("alice", invisible=True)
    choose = {"type": "status", "scope": "user", "status": "invisible"}
    async with app.line("bob"), app.line("alice", token=hidden) as alice:
        await alice.first()
        await receiver.hears("doc", "alice", "here")
        await alice.send(choose)
        gone = await receiver.hears("doc", "alice", "gone")
        assert gone["count"] == 1
    async with app.line("alice", "team", token=app.token("alice", "team", invisible=True)):
        async with app.line("bob"):
            await receiver.hears("doc", "bob", "here")
    assert ("team", "alice") not in receiver.told
    assert not any("team" in d.data["occupied"] for d in receiver.accepted)


async def test_the_official_library_takes_it_and_nothing_that_was_changed(
    app: AppClient, server: TestServer, receiver: Receiver, impatient: None
) -> None:
    known = server.app[APPS].named("wiki")
    assert known is not None
    (before,) = server.app[APPS].webhook_secrets(known)
    made = await register.rotate(
        server.app[DATABASE], server.app[KEYRING], known.id, int(time.time())
    )
    await server.app[APPS].read()
    async with app.at(app.url).line("alice", token=_with(app, made)):
        await receiver.hears("doc", "alice", "here")
    delivered = receiver.delivered[0]
    for secret in (before, made.webhook_secret):
        webhook = standardwebhooks.Webhook(secret)
        assert webhook.verify(delivered.body, dict(delivered.headers))
        for place in (0, len(delivered.body) // 2, len(delivered.body) - 1):
            body = bytearray(delivered.body)
            body[place] ^= 1
            _refuses(webhook, bytes(body), delivered.headers)
        old = {**delivered.headers, "webhook-timestamp": str(int(time.time()) - 600)}
        _refuses(webhook, delivered.body, old)
    other = standardwebhooks.Webhook("whsec_" + "A" * 43 + "=")
    _refuses(other, delivered.body, delivered.headers)
    assert len(delivered.headers["webhook-signature"].split()) == 2


def _with(app: AppClient, made: register.Secrets) -> str:
    secrets = {"name": app.name, "key": made.key, "secret": made.secret}
    return AppClient(app.url, app.http, secrets).token("alice")


def _refuses(webhook: standardwebhooks.Webhook, body: bytes, headers: Mapping[str, str]) -> None:
    with pytest.raises((standardwebhooks.WebhookVerificationError, UnicodeDecodeError)):
        webhook.verify(body, dict(headers))


async def _hang(request: web.Request, delivered: Delivered) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def _close(request: web.Request, delivered: Delivered) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def _garbage(request: web.Request, delivered: Delivered) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"\x00\xff garbage\r\n\r\n" * 100)
    request.transport.close()
    return web.Response()


async def _half(request: web.Request, delivered: Delivered) -> web.StreamResponse:
    assert request.transport is not None
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    request.transport.write(answer)
    request.transport.close()
    return web.Response()


async def _without_end(request: web.Request, delivered: Delivered) -> web.StreamResponse:
    response = web.StreamResponse(status=503)
    await response.prepare(request)
    # Until whoever asked has heard enough.
    while True:
        await response.write(bytes(64 * 1024))


async def _soon(request: web.Request, delivered: Delivered) -> web.StreamResponse:
    """Says again and again that it will answer."""
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000)
    return web.Response()


def _status(status: int, **headers: str) -> Callable[..., Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request, delivered: Delivered) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    return answer


_BAD_ANSWERS = (
    (_status(500), "500"),
    (_status(302, Location="/elsewhere"), "302"),
    (_close, "closed without an answer"),
    (_garbage, "no answer that is HTTP"),
    (_half, "no answer that is HTTP"),
    (_soon, "no answer that is HTTP"),
    (_hang, "no answer in time"),
    (_without_end, "503"),
)


async def test_whatever_it_answers_in_the_end_it_knows(
    app: AppClient,
    server: TestServer,
    receiver: Receiver,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number, (answer, words) in enumerate(_BAD_ANSWERS):
        patience = 0.3 if answer is _hang else 10.0
        monkeypatch.setattr("presence_server.webhooks.receiver.PATIENCE", patience)
        room, before = f"room-{number}", len(receiver.delivered)
        receiver.instead = answer
        await app.put(room, "alice", ttl=60)
        await app.put(room, "bob", ttl=60)
        await receiver.until(lambda: len(receiver.delivered) >= before + 2)
        first, again = receiver.delivered[before : before + 2]
        assert (first.id, first.body) == (again.id, again.body)
        assert int(again.headers["webhook-timestamp"]) >= int(first.headers["webhook-timestamp"])
        # What has changed by then is in a new message.
        await app.ask("DELETE", f"/rooms/{room}/users/bob")
        await receiver.until(lambda: receiver.delivered[-1].id != first.id)
        told = server.app[SENDER].states()["wiki"]
        assert told.due and told.answers[0]["answer"].startswith(words)
        receiver.instead = None
        await receiver.hears(room, "alice", "here")
        await receiver.hears(room, "bob", "gone")


def answers(server: TestServer, app: str = "wiki") -> list[str]:
    """What its backend has answered, the first first."""
    states = server.app[SENDER].states()
    return [str(answer["answer"]) for answer in states[app].answers] if app in states else []


async def test_a_receiver_may_say_first_that_it_will_answer(
    app: AppClient, server: TestServer, receiver: Receiver
) -> None:
    async def early(request: web.Request, delivered: Delivered) -> web.StreamResponse:
        assert request.transport is not None
        link = b"HTTP/1.1 103 Early Hints\r\nLink: </>; rel=preload\r\n\r\n"
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n" + link)
        return web.Response(status=202)

    receiver.instead = early
    await app.put("doc", "alice", ttl=60)
    await until(lambda: answers(server))
    assert answers(server)[0] == "202"


@pytest.mark.alone
async def test_it_is_told_within_half_a_second(app: AppClient, receiver: Receiver) -> None:
    took = []
    for user in ("alice", "bob", "carol"):
        began = time.monotonic()
        await app.put("doc", user, ttl=60)
        await receiver.hears("doc", user, "here")
        took.append(time.monotonic() - began)
    assert delivery._COLLECT + delivery._LOOK < 0.5
    # Whatever else this machine is busy with.
    assert min(took) < 0.6 + STALL


async def test_it_is_told_again_ever_later_and_for_ever(
    app: AppClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [*delivery._SAME_AGAIN, delivery._ANEW[-1]] == [1, 3, 10, 30, 300]
    same = [wait / 100 for wait in delivery._SAME_AGAIN]
    anew = [wait / 600 for wait in delivery._ANEW]
    monkeypatch.setattr(delivery, "_COLLECT", 0.05)
    monkeypatch.setattr(delivery, "_SAME_AGAIN", same)
    monkeypatch.setattr(delivery, "_ANEW", anew)
    heard: list[float] = []

    async def fail(request: web.Request, delivered: Delivered) -> web.StreamResponse:
        heard.append(time.monotonic())
        return web.Response(status=500)

    receiver.instead = fail
    await app.put("doc", "alice", ttl=60)
    await receiver.until(lambda: len(heard) == 9)
    waits = [*same, *anew, anew[-1]]
    assert all(later - before >= wait for before, later, wait in zip(heard, heard[1:], waits))
    ids = [delivered.id for delivered in receiver.delivered]
    assert len(set(ids[:5])) == 1 and len(set(ids)) == 5


async def test_when_it_asks_to_be_left_alone_it_is(
    app: AppClient, receiver: Receiver, impatient: None
) -> None:
    receiver.instead = _status(429, **{"Retry-After": "1"})
    async with app.line("alice"):
        await receiver.until(lambda: len(receiver.delivered) == 1)
        receiver.instead, asked = None, time.monotonic()
        await receiver.hears("doc", "alice", "here")
        assert 0.9 < time.monotonic() - asked < 1 + STALL


async def test_a_turn_that_was_lost_for_a_moment_is_taken_up_again(
    app: AppClient, server: TestServer, receiver: Receiver
) -> None:
    async with app.line("alice"):
        await receiver.hears("doc", "alice", "here")
        ((telling, _, _),) = server.app[SENDER]._running.values()
        # The lease was over while the database stood still, and is renewed under the same number.
        telling._may_tell = lambda: False
        async with app.line("bob"):
            await receiver.hears("doc", "bob", "here")


async def test_who_has_gone_is_forgotten_though_something_is_always_due(
    app: AppClient, server: TestServer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_FORGET_EVERY", 0.1)
    monkeypatch.setattr(delivery, "_REMEMBERED", -60)
    numbers = count()

    async def busy(request: web.Request, delivered: Delivered) -> web.StreamResponse:
        await app.put("doc", f"user-{next(numbers)}", ttl=60)
        return web.Response(status=204)

    async with app.line("alice"):
        await receiver.hears("doc", "alice", "here")
        receiver.instead = busy
    db, known = server.app[DATABASE], server.app[APPS].named("wiki")
    assert known is not None
    await first_answer(
        lambda: said(db, known.id),
        lambda people: ("doc", "user-0") in people and ("doc", "alice") not in people,
    )


async def test_one_that_is_gone_is_told_nothing_until_it_is_said_to_be_back(
    app: AppClient, server: TestServer, receiver: Receiver, impatient: None
) -> None:
    receiver.instead = _status(410)
    db, known = server.app[DATABASE], server.app[APPS].named("wiki")
    assert known is not None
    async with app.line("alice"):
        await receiver.until(lambda: len(receiver.delivered) == 1)
        await until(lambda: not server.app[SENDER].states())
        assert (await state(db, known.id)).off_at == pytest.approx(time.time(), abs=30)
        receiver.instead = None
        async with app.line("bob"):
            # Time in which it would be told.
            await asyncio.sleep(0.5)
            assert len(receiver.delivered) == 1
            await register.resync(db, known.id)
            await receiver.hears("doc", "alice", "here")
            await receiver.hears("doc", "bob", "here")
    assert (await state(db, known.id)).off_at is None


async def test_to_begin_anew_tells_everybody_who_is_here(
    app: AppClient,
    server: TestServer,
    receiver: Receiver,
    impatient: None,
    place: Path | PostgresUrl,
    tmp_path: Path,
) -> None:
    known = server.app[APPS].named("wiki")
    assert known is not None
    async with app.line("alice"), app.line("bob"):
        await receiver.hears("doc", "bob", "here")
        await receiver.hears("doc", "alice", "here")
        # It has lost all that it knew.
        receiver.told.clear()
        flags = arguments({**on_database(place, tmp_path), "secret_key_file": tmp_path / KEYS})
        assert await asyncio.to_thread(cli.main, ["app", "resync", "wiki", *flags]) == 0
        await receiver.hears("doc", "bob", "here")
        await receiver.hears("doc", "alice", "here")
    await receiver.hears("doc", "alice", "gone")
    # Without a webhook nothing is kept of what was told.
    await register.change(server.app[DATABASE], known.id, lambda before: AppSettings())
    assert await server.app[DATABASE].read("SELECT * FROM told") == []


@pytest.mark.both_databases
@pytest.mark.parametrize("moves", [False, True])
async def test_to_begin_anew_also_tells_of_those_who_left_while_nobody_could_be_told(
    app: AppClient, server: TestServer, receiver: Receiver, impatient: None, moves: bool
) -> None:
    db, known = server.app[DATABASE], server.app[APPS].named("wiki")
    assert known is not None
    async with app.line("bob"):
        async with app.line("alice"):
            await receiver.hears("doc", "alice", "here")
            await receiver.hears("doc", "bob", "here")
            receiver.instead = _status(500)
        await until(lambda: answers(server)[:1] == ["500"])
        if moves:
            moved = AppSettings(webhook=f"{receiver.url}?new=1")
            await register.change(db, known.id, lambda before: moved)
        else:
            await register.resync(db, known.id)
        await until(lambda: any(s.round == 1 for s in server.app[SENDER].states().values()))
        receiver.instead = None
        await receiver.hears("doc", "alice", "gone")
        await receiver.hears("lobby", "alice", "gone")
        # All others are said again.
        assert receiver.here() == receiver.here("lobby") == {"bob"}


async def test_a_private_address_is_not_connected_to(
    serve: Serve, add_app: AddApp, receiver: Receiver, impatient: None
) -> None:
    server = await serve(grace=0.5)
    port = receiver.url.split(":")[2]
    urls = {f"{n}": url for n, url in enumerate((receiver.url, f"http://localhost:{port}"))}
    apps = [
        await add_app(str(server.make_url("")).rstrip("/"), name, webhook=url)
        for name, url in urls.items()
    ]
    await server.app[APPS].read()
    for app in apps:
        async with app.line("alice"):
            await until(lambda: answers(server, app.name))
            assert "--allow-private-webhooks" in answers(server, app.name)[0]
    assert receiver.delivered == []


@pytest.mark.parametrize(
    ("hosts", "public"),
    [
        ("8.8.8.8 2606:4700::1 64:ff9b::808:808", True),
        ("127.0.0.1 10.0.0.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255", False),
        (":: ::1 fe80::1%eth0 fd00::1 ff02::1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1::", False),
        ("fec0::1 64:ff9b:1::a00:1 3fff::1 5f00::1 ::10.0.0.1 2001:0:a00:1::f5ff:fffe", False),
    ],
)
def test_what_counts_as_private(hosts: str, public: bool) -> None:
    assert [is_public(host) for host in hosts.split()] == [public] * len(hosts.split())


async def test_a_message_has_its_limits(
    app: AppClient, receiver: Receiver, impatient: None
) -> None:
    users = [f"{n:03}" + "😀" * 125 for n in range(60)]
    # So that more is to be told at once than fits, however slowly they come.
    receiver.instead = _status(503)
    for user in users:
        assert (await app.put("r" * 128, user, ttl=60)).status == 204
    receiver.instead = None
    await receiver.until(lambda: receiver.here("r" * 128) == set(users))
    await receiver.until(lambda: receiver.here("lobby") == set(users))
    assert max(len(d.body) for d in receiver.delivered) <= 16 * 1024
    assert max(len(d.data["changes"]) for d in receiver.delivered) > 1


def test_a_message_has_as_many_changes_as_it_may() -> None:
    def changes(room: str, user: str, number: int) -> list[Change]:
        return [Change(room, f"{user}{n:03}", True, 1, 1) for n in range(number)]

    small, large = changes("doc", "u", 150), changes("r" * 128, "😀" * 125, 60)
    assert list(messages.fitting(small)) == small[:100]
    told = list(messages.fitting(large))
    assert told == large[: len(told)]
    each_in_its_room = [change._replace(room=f"{n:0>128}") for n, change in enumerate(told)]
    said = messages.body(Told({}).take(each_in_its_room), 0)
    assert 12 * 1024 < len(said) <= 16 * 1024
    assert list(messages.fitting(changes("r" * 20_000, "u", 2))) == changes("r" * 20_000, "u", 1)


async def test_telling_ends_also_while_a_delivery_is_just_ending(
    server: TestServer, add_app: AddApp, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = asyncio.Event()

    async def run(delivery: Delivery) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(Delivery, "run", run)
    await add_app(str(server.make_url("")).rstrip("/"), webhook=receiver.url)
    await server.app[APPS].read()
    await until(server.app[SENDER].states)
    # Told anew, at another address.
    elsewhere = AppSettings(webhook=f"{receiver.url}/elsewhere")
    await register.change(server.app[DATABASE], 1, lambda before: elsewhere)
    await server.app[APPS].read()
    await asyncio.wait_for(ending.wait(), 15)
    (telling,) = [task for task in asyncio.all_tasks() if task.get_name() == "webhooks"]
    telling.cancel()
    ended, _ = await asyncio.wait([telling], timeout=15)
    assert ended and telling.cancelled()
