"""The list of users as the server writes it, for those whose browser runs no script."""

import re
import time
from typing import Any

import aiohttp_jinja2
import pytest
from aiohttp.test_utils import TestServer

from presence_server.accounts import users
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.profiles import Profile
from presence_server.presence.records import OWN
from presence_server.storage.database import Database, Transaction
from presence_server.keys import DATABASE, PASSWORDS, PRESENCE
from tests.conftest import Serve, Visit
from testing.visitor import PASSWORD, Page, Visitor

pytestmark = pytest.mark.both_databases

FEW = 1_000


async def add(server: TestServer, count: int, prefix: str = "user", first: int = 0) -> None:
    """Some at a time: the database may be slow."""
    names = [(f"{prefix}{number:06}",) for number in range(first, first + count)]

    async def work(transaction: Transaction) -> None:
        await transaction.execute_many(
            "INSERT INTO users (username, lower_name, password_hash, created_at)"
            " VALUES ($1, $1, '', 1)",
            names[:5_000],
        )

    while names:
        await server.app[DATABASE].write(work)
        del names[:5_000]


def rows(page: Page) -> list[str]:
    shown = page.text.partition("<template")[0]
    return re.findall(r'<li class="person" data-username="([^"]+)"', shown)


@pytest.mark.parametrize(("sign_up", "advice"), [("open", "/sign_up/"), ("closed", "runs this")])
async def test_the_first_one_is_told_how_others_can_come(
    serve: Serve, visit: Visit, sign_up: str, advice: str
) -> None:
    server = await serve(sign_up=sign_up)
    password_hash = await server.app[PASSWORDS].hash(PASSWORD)
    await users.create(server.app[DATABASE], "alice", password_hash, 1)
    alice = await visit(server)
    await alice.log_in("alice")
    _, _, first = (await alice.get("/")).text.partition("You are the first one here")
    assert advice in first


async def walk(visitor: Visitor, path: str) -> list[list[str]]:
    screens = []
    while path:
        page = await visitor.get(path)
        assert page.status == 200
        screens.append(rows(page))
        found = re.search(r'<a id="next" href="(/[^"]*)"', page.text)
        path = found[1].replace("&amp;", "&") if found else ""
    return screens


async def test_oneself_first_then_people_here_then_others(serve: Serve, visit: Visit) -> None:
    server = await serve()
    await add(server, 3)
    for name in ("adam", "zoe"):
        await visit(server, name)
    me = await visit(server, "michael")
    page = await me.get("/")
    assert rows(page) == ["michael", "adam", "zoe", "user000000", "user000001", "user000002"]
    for name in ("michael", "adam", "zoe"):
        assert f"{name}: Online" in page.text
    assert "user000001: Offline" in page.text


async def test_the_list_ends_where_a_screen_ends(serve: Serve, visit: Visit) -> None:
    server = await serve()
    await add(server, 250)
    me = await visit(server, "michael")
    screens = await walk(me, "/")
    assert all(len(screen) <= 80 for screen in screens)
    assert screens[0][0] == "michael"
    shown = {name for screen in screens for name in screen}
    assert len(shown) == 251


async def test_a_list_that_fits_a_screen_exactly_leads_nowhere(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    await add(server, 79)
    # First of all by name, too.
    me = await visit(server, "aaron")
    page = await me.get("/")
    assert "user000078: Offline" in page.text and "/?after=" not in page.text


async def test_more_people_here_than_fit_lead_to_everybody(serve: Serve, visit: Visit) -> None:
    server = await serve()
    await add(server, 130)
    me = await visit(server, "zoe")
    for number in range(120):
        server.app[PRESENCE].claim(OWN, Who(f"key {number}", f"user{number:06}"))
    screens = await walk(me, "/")
    assert screens[0][0] == "zoe"
    assert len(screens[0]) == 80
    assert {name for screen in screens for name in screen} == {
        "zoe",
        *(f"user{number:06}" for number in range(130)),
    }
    here = await walk(me, "/?here=1")
    assert {name for screen in here for name in screen} == {
        "zoe",
        *(f"user{number:06}" for number in range(120)),
    }
    assert [len(screen) for screen in here][0] == 80


async def test_what_many_see_alike_is_made_once(serve: Serve, visit: Visit) -> None:
    server = await serve()
    await add(server, 50)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    await alice.get("/")
    row: Any = aiohttp_jinja2.get_env(server.app).globals["row"]
    before = row.cache_info()
    assert len(rows(await bob.get("/"))) == 52
    after = row.cache_info()
    # All but the two, one of whom each of them is.
    assert after.hits - before.hits >= 50
    assert after.misses - before.misses <= 2


async def test_search(serve: Serve, visit: Visit) -> None:
    server = await serve()
    await add(server, 120, "ann")
    await add(server, 3, "bob")
    me = await visit(server, "michael")
    found = [name for screen in await walk(me, "/?q=ANN") for name in screen]
    assert found == [f"ann{number:06}" for number in range(120)]
    assert rows(await me.get("/?q=bob000001")) == ["bob000001"]
    assert rows(await me.get("/?q=%20bob%20")) == ["bob000000", "bob000001", "bob000002"]
    assert rows(await me.get("/?q=mich&here=1")) == ["michael"]


@pytest.mark.parametrize(
    "query",
    [
        "q=%00",
        "q=%FF",
        "q=%25",
        "q=%C3%A4",
        "q=<script>alert(1)</script>",
        "q=%22%3E<img%20src=x%20onerror=alert(1)>",
        "q=" + "a" * 5000,
        "after=%00",
        "after=%C3%A4",
        "after=" + "a" * 5000,
        "here=2",
        "here=1&here=2&q=a&q=b",
        "q='%20OR%201=1%20--",
    ],
)
async def test_odd_questions_find_nobody_or_are_ignored(
    serve: Serve, visit: Visit, query: str
) -> None:
    page = await (await visit(await serve(), "michael")).get(f"/?{query}")
    assert page.status == 200
    assert rows(page) in ([], ["michael"])
    assert "<script>alert" not in page.text
    assert "<img" not in page.text


async def test_t24_a_name_that_is_html_stays_text(serve: Serve, visit: Visit) -> None:
    server = await serve()
    evil = "<img src=x onerror=alert(1)>\"'&"

    async def work(transaction: Transaction) -> None:
        await transaction.execute(
            "INSERT INTO users (username, lower_name, password_hash, created_at)"
            " VALUES ($1, $2, '', 1)",
            evil,
            evil.lower(),
        )

    await server.app[DATABASE].write(work)
    page = await (await visit(server, "michael")).get("/")
    assert "<img" not in page.text
    assert "&lt;img src=x onerror=alert(1)&gt;&#34;&#39;&amp;: Offline" in page.text


async def test_a_hundred_thousand_accounts_are_no_burden(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def count(db: Database) -> int:
        return FEW

    # Databases count row by row: fast, but not as fast as all the rest of a page.
    monkeypatch.setattr(users, "count", count)
    server = await serve(grace=600)
    me = await visit(server, "michael")
    await fill(server, 0, FEW)
    now, presence = Moment(time.monotonic(), int(time.time())), server.app[PRESENCE]
    for number in range(0, FEW, 10):
        name = f"user{number:06}"
        presence.introduce(name, Profile("Maximilian Brandstetter"))
        text, until = "writing; please leave a note", now.unix + 3600
        presence.carry_out(presence.node.choose(0, name, "busy", now, text=text, until=until))
    with_few = await cost_of_the_list(me)
    await fill(server, FEW, 100 * FEW)
    with_many = await cost_of_the_list(me)
    # What grows with the accounts has grown a hundredfold.
    assert with_many < 2.5 * with_few, (with_few, with_many)


async def fill(server: TestServer, first: int, end: int) -> None:
    """With accounts, of which every tenth is here."""
    await add(server, end - first, first=first)
    for number in range(first, end, 10):
        server.app[PRESENCE].claim(OWN, Who(f"key {number}", f"user{number:06}"))


async def cost_of_the_list(me: Visitor) -> float:
    """Of several times the shortest, in what this process needs of a processor: of a machine that
    has other work that is the same."""
    times = []
    for _ in range(9):
        began = time.process_time()
        page = await me.get("/")
        times.append(time.process_time() - began)
        assert len(page.text.encode()) < 80_000
        assert len(rows(page)) == 80 and page.text.count("leave a note") == 79
    return min(times)
