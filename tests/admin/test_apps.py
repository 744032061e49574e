"""Other applications and their rooms, as administrators see them."""

import asyncio
import re
import time
from html import unescape

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from presence_server.accounts import audit
from presence_server.apps import register, webhooks
from presence_server.apps.known import KnownApps
from presence_server.apps.webhooks import State
from presence_server.keys import DATABASE
from presence_server.storage.database import DatabaseUnavailable
from presence_server.webhooks import delivery
from testing.app_client import AppClient
from testing.receiver import Delivered, Receiver
from testing.visitor import PASSWORD, Page, Visitor
from testing.waiting import first_answer
from tests.admin.conftest import Administrator
from tests.conftest import Serve


def secrets_in(page: Page) -> list[str]:
    return [unescape(secret) for secret in re.findall(r'<code class="address">([^<]*)<', page.text)]


async def press(visitor: Visitor, act: str, **fields: str) -> Page:
    return await visitor.submit(f"/admin/apps/1/{act}", fields, form="/admin/apps/1")


async def shown(visitor: Visitor, path: str, words: str) -> str:
    """A page, as soon as it says this."""
    page = await first_answer(lambda: visitor.get(path), lambda page: words in page.text)
    return page.text


async def acts(server: TestServer) -> list[str]:
    entries = await audit.page(server.app[DATABASE], None, None, 100)
    return [f"{entry.act} {entry.whom}" for entry in reversed(entries)]


async def test_an_app_from_its_first_day_to_its_last(
    serve: Serve, administrator: Administrator
) -> None:
    server = await serve()
    alice = await administrator(server)
    said = {"name": "wiki", "origins": "https://wiki.example\nhttps://wiki.example", "visits": ""}
    made = await alice.submit("/admin/apps/", said)
    key, secret, webhook_secret = secrets_in(made)
    assert key.startswith("key_") and webhook_secret.startswith("whsec_")
    assert secret not in (await alice.get("/admin/apps/1")).text
    headers = {"Authorization": f"Bearer {key}.{secret}"}
    assert (await alice.get("/api/v1/rooms", headers=headers)).status == 200
    # A token for testing lets somebody into a room, which is alive now.
    (token,) = secrets_in(await press(alice, "token", user="u1", room="doc:*", permission="join"))
    assert "Nobody is here" in (await alice.get("/admin/rooms/?app=wiki&room=doc:1")).text
    wiki = AppClient(alice.url, alice.http, {"name": "wiki", "key": key, "secret": secret})
    async with wiki.line("u1", "doc:1", token=token):
        page = (await alice.get("/admin/rooms/")).text
        assert re.search(r'room=doc%3A1">doc:1</a></th><td>wiki</td><td class="number">1<', page)
        shown = (await alice.get("/admin/rooms/?app=wiki&room=doc:1")).text
        assert ">u1<" in shown and "Online" in shown
        assert "alice" in (await alice.get("/admin/rooms/?app=&room=")).text
        assert "1 here" in (await alice.get("/admin/apps/1")).text
    # Another key, beside which the first holds until it is dropped.
    other, other_secret, _ = secrets_in(await press(alice, "rotate", key=key))
    # A second press would let the first key hold no more, and what was shown be lost.
    assert secrets_in(await press(alice, "rotate", key=key))[:2] == [other, other_secret]
    async with Visitor.at(alice.url) as elsewhere:
        await elsewhere.log_in("alice")
        form = {"confirm_password": PASSWORD, "key": key}
        answer = await elsewhere.submit("/admin/apps/1/rotate", form, form="/admin/apps/1")
        assert answer.location == "/admin/apps/1"
    assert (await alice.get("/api/v1/rooms", headers=headers)).status == 200
    assert (await press(alice, "drop")).status == 303
    assert (await alice.get("/api/v1/rooms", headers=headers)).status == 401
    headers = {"Authorization": f"Bearer {other}.{other_secret}"}
    assert (await alice.get("/api/v1/rooms", headers=headers)).status == 200
    changed = {"origins": "", "webhook": "https://wiki.example/told", "grace": "2.5", "visits": "7"}
    assert (await press(alice, "set", **changed)).status == 303
    app = await register.find(server.app[DATABASE], "wiki")
    assert app.settings == register.AppSettings((), "https://wiki.example/told", 2.5, 7)
    assert "It is up to date" in (await alice.get("/admin/apps/1")).text
    assert (await press(alice, "resync")).status == 303
    assert (await press(alice, "delete")).location == "/admin/apps/"
    assert (await alice.get("/api/v1/rooms", headers=headers)).status == 401
    assert (await alice.get("/admin/apps/1")).status == 404
    assert await acts(server) == [
        "added the app wiki",
        "made a token for u1 of wiki",
        "made a new key for wiki",
        "dropped the previous key of wiki",
        "changed the app wiki",
        "sent again who is here to wiki",
        "deleted the app wiki",
    ]


async def test_who_presses_twice_is_shown_the_secrets_of_the_one_app(
    serve: Serve, administrator: Administrator
) -> None:
    server = await serve()
    alice = await administrator(server)
    fields = {"csrf_token": (await alice.get("/admin/apps/")).csrf_token, "name": "wiki"}
    pressed = [alice.post("/admin/apps/", fields) for _ in range(2)]
    first, second = map(secrets_in, await asyncio.gather(*pressed))
    assert len(first) == 3 and first == second
    assert secrets_in(await alice.post("/admin/apps/", fields)) == first
    assert await acts(server) == ["added the app wiki"]


async def test_what_was_written_is_done_though_it_cannot_be_read_just_now(
    serve: Serve, administrator: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve()
    alice = await administrator(server)

    async def away(self: object) -> None:
        raise DatabaseUnavailable("The database x is away.")

    monkeypatch.setattr(KnownApps, "read", away)
    key, *_ = secrets_in(await alice.submit("/admin/apps/", {"name": "wiki"}))
    assert len(secrets_in(await press(alice, "rotate", key=key))) == 3
    assert (await press(alice, "set", visits="7")).status == 303
    assert "are saved" in (await alice.get("/admin/apps/1")).text


async def test_how_a_backend_is_told(
    serve: Serve, administrator: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve()
    alice = await administrator(server)
    await alice.submit("/admin/apps/", {"name": "wiki", "webhook": "https://wiki.example/told"})
    now = int(time.time())
    answer = {"at": now, "answer": "<b>refused</b>", "seconds": 0.25}
    well = State(acknowledged_at=now, answers=(answer,))
    states = {
        "It is up to date": well,
        "Behind by 3 people since just now.": well._replace(due=3, due_since=now - 5),
        "Its last answers are below": well._replace(due=3, due_since=now - 300),
        "5 min ago that this address is gone": well._replace(off_at=now - 300),
    }
    for words, state in states.items():

        async def shown_state(db: object, app: int, state: State = state) -> State:
            return state

        monkeypatch.setattr(webhooks, "state", shown_state)
        page = (await alice.get("/admin/apps/1")).text
        assert words in re.sub(r"\s+", " ", re.sub(r"</?time[^>]*>", "", page))
        assert "&lt;b&gt;refused" in page and "after 0.250 s" in page


async def test_a_backend_fails_answers_again_and_is_told_anew(
    serve: Serve,
    administrator: Administrator,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "_COLLECT", 0.05)
    monkeypatch.setattr(delivery, "_SAME_AGAIN", (0.1,))
    monkeypatch.setattr(delivery, "_ANEW", (0.1,))
    server = await serve(grace=0.5, allow_private_webhooks=True)
    alice = await administrator(server)
    said = {"name": "wiki", "webhook": receiver.url, "visits": "7"}
    key, secret, _ = secrets_in(await alice.submit("/admin/apps/", said))
    wiki = AppClient(alice.url, alice.http, {"name": "wiki", "key": key, "secret": secret})

    async def fail(request: web.Request, delivered: Delivered) -> web.StreamResponse:
        return web.Response(status=503)

    async with wiki.line("u1"):
        await receiver.hears("doc", "u1", "here")
        # The port of the address is a number as well.
        assert ">503<" not in await shown(alice, "/admin/apps/1", ">204<")
        await shown(alice, "/admin/apps/1", "It is up to date")
        receiver.instead = fail
        async with wiki.line("u2"):
            await shown(alice, "/admin/apps/1", ">503<")
            await shown(alice, "/admin/apps/1", "Behind by 2 people")
            receiver.instead = None
            await receiver.hears("doc", "u2", "here")
            # The answers before stay to be seen.
            assert ">503<" in await shown(alice, "/admin/apps/1", "It is up to date")
            receiver.told.clear()
            assert (await press(alice, "resync")).status == 303
            await receiver.until(lambda: receiver.here() == {"u1", "u2"})
        # What was so is in the visits of the room as well.
        assert ">u1<" in await shown(alice, "/admin/visits/?app=wiki&room=doc", ">u2<")


BAD = [
    ("name", "", "1 to 64"),
    ("name", "<b>", "1 to 64"),
    ("name", "wiki", "already"),
    ("origins", "https://wiki.example/path", "without a path"),
    ("origins", "javascript:alert(1)", "an origin"),
    ("webhook", "ftp://wiki.example", "https://"),
    ("webhook", "https://u:p@wiki.example", "without a password"),
    ("grace", "-1", "0 to 86400"),
    ("grace", "nan", "0 to 86400"),
    ("grace", "1e300", "0 to 86400"),
    ("visits", "1.5", "whole number"),
    ("user", "\x01", "printable"),
    ("room", "a b", "a room"),
    ("permission", "all", "not a valid"),
]


async def test_what_an_app_cannot_be_is_told_at_its_field(
    serve: Serve, administrator: Administrator
) -> None:
    server = await serve()
    alice = await administrator(server)
    # Not the very form of below: that would be the same one, sent twice.
    await alice.submit("/admin/apps/", {"name": "wiki", "visits": "7"})
    before = await acts(server)
    for name, text, words in BAD:
        if name in ("user", "room", "permission"):
            usual = {"user": "u1", "room": "r", "permission": "join"}
            answer = await press(alice, "token", **{**usual, name: text})
        else:
            answer = await alice.submit("/admin/apps/", {"name": "other", name: text})
        assert answer.status == 400, (name, text)
        if name != "permission":
            assert f'id="{name}-error"' in answer.text and words in answer.text
    assert await acts(server) == before
    for query in ("app=x&room=y", "app=wiki&room=%3Cb%3E", "app=&room=y", "room="):
        status = 200 if query == "room=" else 404
        assert (await alice.get(f"/admin/rooms/?{query}")).status == status


@pytest.mark.both_databases
async def test_an_app_that_is_gone_meanwhile(serve: Serve, administrator: Administrator) -> None:
    server = await serve()
    alice = await administrator(server)
    await alice.submit("/admin/apps/", {"name": "wiki"})
    token = {"csrf_token": (await alice.get("/admin/apps/1")).csrf_token}
    await alice.post("/admin/apps/1/delete", token)
    for act in ("set", "rotate", "token", "resync"):
        assert (await alice.post(f"/admin/apps/1/{act}", token)).location == "/admin/apps/"
    assert "deleted in the meantime" in (await alice.get("/admin/apps/")).text
    assert (await alice.post("/admin/apps/1/nothing", token)).status == 404
