"""What administrators do with accounts, as they and the others see it."""

import asyncio
import logging
import re
import time
from functools import partial

import pytest
from aiohttp.test_utils import TestServer

from presence_server.accounts import audit, links, users
from presence_server.endings import Endings
from presence_server.keys import CONFIG, DATABASE, STORE
from presence_server.storage.database import Database, DatabaseUnavailable, Transaction
from presence_server.web.admin.gate import CONFIRMED_FOR
from testing.visitor import PASSWORD, Message, Page, Visitor, hidden_field
from tests.admin.conftest import Administrator
from tests.conftest import Serve, Visit

NEW = "another good one"
MANY = 100_000
ACTS = ("disable", "enable", "end", "delete", "promote", "demote", "reset")


async def number_of(server: TestServer, username: str) -> int:
    user = await users.find(server.app[DATABASE], username)
    assert user is not None
    return user.id


async def do(visitor: Visitor, server: TestServer, act: str, username: str) -> Page:
    page = f"/admin/accounts/{await number_of(server, username)}"
    return await visitor.submit(f"{page}/{act}", {}, form=page)


async def add(visitor: Visitor, username: str, **fields: str) -> Page:
    return await visitor.submit("/admin/accounts/", {"username": username, **fields})


def link_in(page: Page) -> str:
    found = re.search(r"http://[^/]+(/(?:reset|invite)/[\w-]{32})<", page.text)
    assert found, page.text
    return found[1]


async def log_of(server: TestServer) -> list[tuple[str | None, str, str]]:
    entries = await audit.page(server.app[DATABASE], None, None, 100)
    return [(entry.administrator, entry.act, entry.whom) for entry in reversed(entries)]


async def run(server: TestServer, sql: str, *values: int) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute(sql, *values)

    await server.app[DATABASE].write(work)


async def forget_password_was_entered(server: TestServer) -> None:
    await run(server, "UPDATE sessions SET confirmed_at = confirmed_at - $1", CONFIRMED_FOR)


async def test_a_password_that_is_yet_to_be_entered_opens_nothing(
    serve: Serve, administrator: Administrator
) -> None:
    # As a server wrote it whose clock was five days ahead for a moment.
    server = await serve()
    alice = await administrator(server)
    days = 5 * 24 * 60 * 60
    await run(server, "UPDATE sessions SET confirmed_at = confirmed_at + $1", days)
    fields = {"username": "bob"}
    assert (await alice.submit("/admin/accounts/", fields)).status == 401


async def choose_password(visitor: Visitor, link: str, password: str = NEW) -> Page:
    return await visitor.submit(link, {"password1": password, "password2": password})


def paths(server: TestServer) -> list[tuple[str, str]]:
    """Every address below /admin, with its method."""
    found = set()
    for route in server.app.router.routes():
        path = route.resource.canonical if route.resource else ""
        if path.startswith("/admin"):
            path = path.replace("{account}", "2").replace("{app}", "1").replace("{act}", "disable")
            found.add((route.method, re.sub(r"{\w+}", "x", path)))
    return sorted(found)


async def test_to_others_there_is_nothing(
    serve: Serve, visit: Visit, administrator: Administrator
) -> None:
    server = await serve()
    alice = await administrator(server)
    bob, stranger = await visit(server, "bob"), await visit(server)
    token = (await bob.get("/account/")).csrf_token
    asked = paths(server)
    assert len(asked) > 10
    for visitor in (bob, stranger):
        nothing = (await visitor.get("/nothing/at/all")).text
        for method, path in [*asked, ("GET", "/admin/nothing"), ("POST", "/admin/")]:
            fields = {"csrf_token": token, "username": "carol"}
            asking = visitor.get(path) if method in ("GET", "HEAD") else visitor.post(path, fields)
            answer = await asking
            assert answer.status in (404, 405 if path == "/admin/" else 404), (method, path)
            if method == "GET":
                assert re.sub(r'value="[^"]*"', "", answer.text) == re.sub(
                    r'value="[^"]*"', "", nothing
                )
    assert (await alice.get("/admin/")).status == 200
    lists = [path for method, path in asked if method == "GET" and path.endswith("/")]
    assert len(lists) == 8
    for path in lists:
        assert (await alice.get(path.removesuffix("/"))).status == 308, path
    assert ">Admin<" in (await alice.get("/")).text
    assert ">Admin<" not in (await bob.get("/")).text
    assert await log_of(server) == []


async def test_an_account_is_made_and_its_owner_chooses_the_password(
    serve: Serve, visit: Visit, administrator: Administrator
) -> None:
    server = await serve()
    alice, bob = await administrator(server), await visit(server)
    made = await add(alice, "bob")
    assert made.status == 200
    link = link_in(made)
    assert (await bob.log_in("bob", "")).status == 401
    assert (await bob.log_in("bob", NEW)).status == 401
    chosen = await choose_password(bob, link)
    assert (chosen.status, chosen.location) == (303, "/log_in/")
    assert "Your password is set." in (await bob.get("/log_in/")).text
    assert (await bob.log_in("bob", NEW)).status == 303
    # Once.
    again = await bob.get(link)
    assert (again.status, "This link no longer works" in again.text) == (404, True)
    assert await log_of(server) == [("alice", "added", "bob"), ("alice", "made a link for", "bob")]
    rows = await server.app[DATABASE].read("SELECT key FROM links")
    assert rows == []


@pytest.mark.both_databases
async def test_no_account_is_made_without_its_link(
    serve: Serve, administrator: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve()
    alice = await administrator(server)

    async def away(*_: object) -> None:
        raise DatabaseUnavailable("The database x is away.")

    with monkeypatch.context() as patch:
        patch.setattr(links, "insert_resets", away)
        assert (await add(alice, "bob")).status == 503
    assert await log_of(server) == []
    assert link_in(await add(alice, "bob"))


async def test_a_bad_name_is_told_at_its_field(
    serve: Serve, administrator: Administrator
) -> None:
    server = await serve()
    alice = await administrator(server)
    told = {"": "3 to 32", "<b>": "letters", "alice": "already", "ALICE": "already"}
    for username, words in told.items():
        answer = await add(alice, username)
        assert answer.status == 400
        assert 'id="username-error"' in answer.text and words in answer.text
    assert await users.count(server.app[DATABASE]) == 1
    assert await log_of(server) == []


@pytest.mark.both_databases
async def test_each_act_is_done_seen_by_its_person_and_logged(
    serve: Serve, visit: Visit, administrator: Administrator
) -> None:
    server = await serve()
    alice, bob = await administrator(server), await visit(server, "bob")
    for act in ("end", "disable"):
        async with bob.live() as socket:
            assert (await do(alice, server, act, "bob")).status == 303
            assert await socket.closed() == 4401
        assert (await bob.log_in("bob")).status == (303 if act == "end" else 401)
    assert "disabled" in (await alice.get("/admin/accounts/2")).text
    await do(alice, server, "enable", "bob")
    assert (await bob.log_in("bob")).status == 303
    # Off and on again: what is pressed again is meant again.
    for act, status in (("disable", 401), ("enable", 303)):
        await do(alice, server, act, "bob")
        assert (await bob.log_in("bob")).status == status
    await do(alice, server, "promote", "bob")
    assert (await bob.get("/admin/accounts/")).status == 200
    await do(alice, server, "demote", "bob")
    assert (await bob.get("/admin/accounts/")).status == 404
    answer = await do(alice, server, "delete", "bob")
    assert answer.location == "/admin/accounts/"
    assert "The account bob has been deleted." in (await alice.get("/admin/accounts/")).text
    assert (await bob.get("/")).location == "/log_in/"
    acts = [
        "ended the sessions of", "disabled", "enabled", "disabled", "enabled",
        "gave administrator rights to", "took administrator rights from", "deleted",
    ]
    assert await log_of(server) == [("alice", act, "bob") for act in acts]
    page = (await alice.get("/admin/log/?whom=bob")).text
    assert all(act in page for act in acts) and "from 127.0.0.1" in page


@pytest.mark.both_databases
async def test_a_reset_link_holds_once_for_a_day_and_is_kept_as_a_hash(
    serve: Serve, visit: Visit, administrator: Administrator
) -> None:
    server = await serve()
    alice, bob = await administrator(server), await visit(server, "bob")
    first, second = [link_in(await do(alice, server, "reset", "bob")) for _ in range(2)]
    stored = str(await server.app[DATABASE].read("SELECT * FROM links"))
    assert second.rpartition("/")[2] not in stored
    # A new link takes the place of the one before.
    assert (await bob.get(first)).status == 404
    forged = [f"{second[:-1]}{sign}" for sign in "Aa0_" if not second.endswith(sign)]
    for other in [*forged, second.upper(), f"{second}%00", "/reset/%ff", "/reset/x"]:
        assert (await bob.get(other)).status == 404
    # To look at it uses nothing up; nor does a password that is refused.
    for _ in range(2):
        assert (await bob.get(second)).status == 200
    assert (await choose_password(bob, second, "short")).status == 400
    # The old password works meanwhile, and all devices of before are out afterwards.
    stranger = await visit(server)
    assert (await stranger.log_in("bob")).status == 303
    shown = await bob.get(second)
    assert (await bob.post(second, {"password1": NEW, "password2": NEW})).status == 403
    fields = {"csrf_token": shown.csrf_token, "password1": NEW, "password2": NEW}
    answers = await asyncio.gather(*(bob.post(second, fields) for _ in range(3)))
    assert {answer.status for answer in answers} <= {303, 404}
    assert (await stranger.get("/")).location == "/log_in/"
    assert (await bob.post(second, {**fields, "password1": PASSWORD})).status == 404
    assert (await bob.log_in("bob", NEW)).status == 303
    # Too old.
    third = link_in(await do(alice, server, "reset", "bob"))
    await run(server, "UPDATE links SET expires_at = expires_at - $1", links.RESET_HOLDS)
    assert (await bob.get(third)).status == 404


async def test_a_link_is_worth_nothing_once_the_account_is_off_or_has_a_new_password(
    serve: Serve, visit: Visit, administrator: Administrator
) -> None:
    server = await serve()
    alice, bob = await administrator(server), await visit(server, "bob")
    link = link_in(await do(alice, server, "reset", "bob"))
    shown = await bob.get(link)
    await do(alice, server, "disable", "bob")
    fields = {"csrf_token": shown.csrf_token, "password1": NEW, "password2": NEW}
    assert (await bob.post(link, fields)).status in (403, 404)
    assert (await bob.get(link)).status == 404
    await do(alice, server, "enable", "bob")
    await bob.log_in("bob")
    old = {"old_password": PASSWORD, "password1": NEW, "password2": NEW}
    assert (await bob.submit("/account/password", old, form="/account/")).status == 303
    assert (await bob.get(link)).status == 404


@pytest.mark.parametrize("sign_up", ["open", "closed"])
async def test_an_invitation_lets_so_many_in(
    serve: Serve, visit: Visit, administrator: Administrator, sign_up: str
) -> None:
    server = await serve()
    alice = await administrator(server)
    # The site is closed once its administrator is in.
    object.__setattr__(server.app[CONFIG], "sign_up", sign_up)
    made = await alice.submit("/admin/invitations/", {"uses": "2", "days": "3"})
    link, visitor = link_in(made), await visit(server)
    fields = {"password1": PASSWORD, "password2": PASSWORD}
    # A name that cannot be had uses nothing up.
    for name in ("alice", "x", "admin"):
        assert (await visitor.submit(link, {"username": name, **fields})).status == 400
    for name in ("bob", "carol"):
        answer = await visitor.submit(link, {"username": name, **fields})
        assert (answer.status, answer.location) == (303, "/log_in/")
    assert (await visitor.get(link)).status == 404
    assert (await visitor.log_in("carol")).status == 303
    other = link_in(await alice.submit("/admin/invitations/", {"uses": "5", "days": "1"}))
    shown = await alice.get("/admin/invitations/")
    assert "0 of 5 used" in shown.text
    key = hidden_field(shown.text, "invitation")
    assert key not in other
    await alice.submit("/admin/invitations/end", {"invitation": key}, form="/admin/invitations/")
    assert (await visitor.get(other)).status == 404


async def test_who_presses_twice_has_made_one_invitation(
    serve: Serve, administrator: Administrator
) -> None:
    server = await serve()
    alice = await administrator(server)
    token = (await alice.get("/admin/invitations/")).csrf_token
    fields = {"csrf_token": token, "uses": "2", "days": "1"}
    pressed = [alice.post("/admin/invitations/", fields) for _ in range(2)]
    first, second = map(link_in, await asyncio.gather(*pressed))
    assert first == second
    assert len(await log_of(server)) == 1


@pytest.mark.both_databases
async def test_people_at_once_do_not_use_an_invitation_more_often_than_it_says(
    serve: Serve, visit: Visit, administrator: Administrator
) -> None:
    server = await serve()
    alice = await administrator(server)
    link = link_in(await alice.submit("/admin/invitations/", {"uses": "2", "days": "1"}))
    visitors = [await visit(server) for _ in range(5)]
    fields = {"password1": PASSWORD, "password2": PASSWORD}
    tokens = [(await visitor.get(link)).csrf_token for visitor in visitors]
    answers = await asyncio.gather(
        *(
            visitor.post(link, {"csrf_token": token, "username": f"guest{number}", **fields})
            for number, (visitor, token) in enumerate(zip(visitors, tokens, strict=True))
        )
    )
    assert sorted(answer.status for answer in answers) == [303, 303, 404, 404, 404]
    assert await users.count(server.app[DATABASE]) == 3


async def test_an_invitation_for_a_senseless_number(
    serve: Serve, administrator: Administrator
) -> None:
    alice = await administrator(await serve())
    for typed in ("", "0", "-1", "1001", "1e3", "²", "9" * 9):
        answer = await alice.submit("/admin/invitations/", {"uses": typed, "days": "1"})
        assert answer.status == 400
        assert 'id="uses-error"' in answer.text


async def test_an_act_asks_for_a_password_that_was_not_entered_lately(
    serve: Serve, visit: Visit, administrator: Administrator
) -> None:
    server = await serve()
    alice, bob = await administrator(server), await visit(server, "bob")
    await forget_password_was_entered(server)
    asked = await do(alice, server, "disable", "bob")
    assert asked.status == 401 and "Your password, please" in asked.text
    assert (await bob.get("/")).status == 200
    path = "/admin/accounts/2/disable"
    for wrong in ("", "wrong", "x" * 100):
        fields = {"csrf_token": asked.csrf_token, "confirm_password": wrong}
        assert (await alice.post(path, fields)).status == 401
    fields = {"csrf_token": asked.csrf_token, "confirm_password": PASSWORD}
    assert (await alice.post(path, fields)).location == "/admin/accounts/2"
    assert (await bob.get("/")).location == "/log_in/"
    # What was typed into a form is kept on the way, and now nothing is asked for.
    await forget_password_was_entered(server)
    asked = await add(alice, "carol", administrator="on")
    kept = {name: hidden_field(asked.text, name) for name in ("username", "administrator")}
    fields = {"csrf_token": asked.csrf_token, "confirm_password": PASSWORD, **kept}
    assert "The account carol is ready" in (await alice.post("/admin/accounts/", fields)).text
    assert (await add(alice, "dave")).status == 200
    # Guesses are counted.
    await forget_password_was_entered(server)
    fields = {"csrf_token": asked.csrf_token, "confirm_password": "a guess"}
    statuses = [(await alice.post(path, fields)).status for _ in range(11)]
    assert statuses[-1] == 429


async def test_no_act_without_the_token_of_a_page(
    serve: Serve, visit: Visit, administrator: Administrator
) -> None:
    server = await serve()
    alice = await administrator(server)
    await visit(server, "bob")
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    token = (await alice.get("/admin/accounts/")).csrf_token
    # The table of an import comes in a form of its own kind: test_import.py.
    tried = [p for method, p in paths(server) if method == "POST" and p != "/admin/import/"]
    tried += [f"/admin/accounts/2/{act}" for act in ACTS]
    for path in tried:
        fields = {"username": "carol", "uses": "1", "days": "1"}
        for bad in ({}, {"csrf_token": "x"}):
            assert (await alice.post(path, {**fields, **bad})).status == 403, path
        answer = await alice.post(path, {**fields, "csrf_token": token}, headers=foreign)
        assert answer.status == 403, path
        assert (await alice.get(path)).status in (200, 303), path
    assert await log_of(server) == []


async def test_an_administrator_who_is_one_no_more_does_nothing_with_an_open_page(
    serve: Serve, visit: Visit, administrator: Administrator
) -> None:
    server = await serve()
    alice, bob = await administrator(server), await administrator(server, "bob")
    await visit(server, "carol")
    token = (await bob.get("/admin/accounts/3")).csrf_token
    await do(alice, server, "demote", "bob")
    for act in ACTS:
        answer = await bob.post(f"/admin/accounts/3/{act}", {"csrf_token": token})
        assert answer.status == 404
    assert [whom for _, _, whom in await log_of(server)] == ["bob"]


@pytest.mark.both_databases
async def test_an_act_and_the_end_of_its_actor_come_one_after_the_other(db: Database) -> None:
    # What the page has checked may be over when the act is written.
    user = await users.create(db, "alice", "", 1)
    actor = audit.Actor(user.id, "alice", "")
    acting = audit.Audited(Endings(db), actor, "enabled", "bob", 1)
    with pytest.raises(audit.NoAdministrator):
        await users.create(acting, "bob", "", 1)
    assert await users.count(db) == 1
    assert await audit.page(db, None, None, 10) == []


@pytest.mark.both_databases
async def test_two_administrators_who_demote_each_other_leave_one(
    serve: Serve, administrator: Administrator
) -> None:
    server = await serve()
    both = [await administrator(server), await administrator(server, "bob")]
    answers = await asyncio.gather(
        do(both[0], server, "demote", "bob"), do(both[1], server, "demote", "alice")
    )
    assert sorted(answer.status for answer in answers) == [303, 404]
    (left,) = [who for who in both if (await who.get("/admin/accounts/")).status == 200]
    for act in ("demote", "disable", "delete"):
        await do(left, server, act, left.username)
        assert "You are the last administrator" in (await left.get("/admin/accounts/")).text


async def test_only_what_has_been_done_stands_in_the_log(
    serve: Serve, visit: Visit, administrator: Administrator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = await serve()
    alice = await administrator(server)
    await visit(server, "bob")
    # Refused in the very transaction: she is the last one, and the name is taken.
    await do(alice, server, "delete", "alice")
    assert (await add(alice, "Bob")).status == 400
    await do(alice, server, "delete", "bob")
    said = [record.message for record in caplog.records]
    acts = [message for message in said if message.startswith("administrator ")]
    assert acts == ["administrator deleted bob"]


def calls_bob(name: str, said: Message) -> bool:
    return bool(said.get("about", {}).get("bob", {}).get("name") == name)


async def test_a_name_is_given_and_everybody_reads_it(
    serve: Serve, visit: Visit, administrator: Administrator
) -> None:
    server = await serve()
    alice, bob = await administrator(server), await visit(server, "bob")
    page, markup = "/admin/accounts/2", "<img src=x onerror=alert(1)>"
    async with bob.live() as socket:
        for name in ("  Bob   Brown ", markup):
            answer = await alice.submit(f"{page}/name", {"name": name}, form=page)
            assert answer.location == page
            await socket.message(partial(calls_bob, " ".join(name.split())))
    text = (await alice.get(page)).text + (await alice.get("/admin/accounts/?q=onerror")).text
    assert markup not in text and text.count("&lt;img src=x") >= 2
    answer = await alice.submit(f"{page}/name", {"name": "x" * 65}, form=page)
    assert answer.status == 400 and 'id="name-error"' in answer.text


async def test_two_administrators_who_do_the_same(
    serve: Serve, visit: Visit, administrator: Administrator
) -> None:
    server = await serve()
    both = [await administrator(server), await administrator(server, "bob")]
    await visit(server, "carol")
    tokens = [(await who.get("/admin/accounts/3")).csrf_token for who in both]
    for who, token in zip(both, tokens, strict=True):
        answer = await who.post("/admin/accounts/3/delete", {"csrf_token": token})
        assert answer.location == "/admin/accounts/"
    assert "has been deleted in the meantime" in (await both[1].get("/admin/accounts/")).text
    assert (await both[0].get("/admin/accounts/3")).status == 404


async def test_markup_in_names_is_text(serve: Serve, administrator: Administrator) -> None:
    server = await serve()
    alice, name = await administrator(server), "<script>alert(1)</script>"
    await users.create(server.app[DATABASE], name, "", 1)
    for path in ("/admin/accounts/", "/admin/accounts/2", f"/admin/log/?whom={name}"):
        page = await alice.get(path)
        assert "<script>alert" not in page.text and "&lt;script&gt;alert" in page.text
    await do(alice, server, "disable", name)
    assert "<script>alert" not in (await alice.get("/admin/log/")).text


async def test_formulas_are_written_out_as_text(
    serve: Serve, administrator: Administrator
) -> None:
    server = await serve()
    alice = await administrator(server)
    names = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", 'a"b', "a,b"]
    named = {"name": "=HYPERLINK(1)"}
    await alice.submit("/admin/accounts/1/name", named, form="/admin/accounts/1")
    for name in names:
        await users.create(server.app[DATABASE], name, "", 1)
    answer = await alice.get("/admin/accounts.csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="accounts.csv"'
    columns = "username,name,joined,last_seen,disabled,administrator"
    assert answer.text.startswith(f"\ufeff{columns}\r\nalice")
    for line in ("'=1+1,", "'+1,", "'-1,", "'@SUM(1),", "'\t=1,", '"a""b",', '"a,b",'):
        assert f"\r\n{line}" in answer.text
    assert "alice,'=HYPERLINK(1)," in answer.text
    assert (await log_of(server))[1:] == [("alice", "exported all accounts", "")]


FOUND = {
    "": ["alice", "bob_1", "bobby"],
    "?q=OB": ["bob_1", "bobby"],
    "?q=b_": ["bob_1"],
    "?q=%25": [],
    "?q=%00&order=x&kind=x&page=x": ["alice", "bob_1", "bobby"],
    "?q=%ff%27;--": [],
    "?order=joined": ["bobby", "bob_1", "alice"],
    "?order=seen": ["alice", "bob_1", "bobby"],
    "?kind=administrators": ["alice"],
    "?kind=disabled": ["bobby"],
    "?page=0": ["alice", "bob_1", "bobby"],
    "?page=99999999999999999999": ["alice", "bob_1", "bobby"],
    "?page=3": ["alice", "bob_1", "bobby"],
}


@pytest.mark.both_databases
async def test_accounts_are_found(serve: Serve, administrator: Administrator) -> None:
    server = await serve()
    alice, database = await administrator(server), server.app[DATABASE]
    for name in ("bob_1", "bobby"):
        await users.create(database, name, "", 1)
    await users.record_last_seen(database, {"alice": 5}, 10)
    await users.disable(Endings(database), 3, 1)
    for query, found in FOUND.items():
        page = await alice.get(f"/admin/accounts/{query}")
        assert page.status == 200
        names = re.findall(r'href="/admin/accounts/\d+"><bdi[^>]*>([^<]*)<', page.text)
        assert names == found, query


async def test_a_hundred_thousand_accounts(serve: Serve, administrator: Administrator) -> None:
    server = await serve()
    alice = await administrator(server)

    async def fill(transaction: Transaction) -> None:
        await transaction.execute_many(
            "INSERT INTO users (username, lower_name, password_hash, created_at)"
            " VALUES ($1, $1, '', 1)",
            ((f"person{number:06}",) for number in range(MANY)),
        )

    await server.app[DATABASE].write(fill)
    pages = {
        "": "alice",
        "?q=9999": "person009999",
        "?order=joined&page=2000": "person000049",
        "?order=seen&page=2001": f"person{MANY - 1:06}",
        "?page=2000&kind=all": f"person{MANY - 51:06}",
    }
    for query, name in pages.items():
        page = await alice.get(f"/admin/accounts/{query}")
        assert name in page.text, query
        assert len(page.text) < 60_000
    began = asyncio.get_running_loop().time()
    table = (await alice.get("/admin/accounts.csv")).text
    assert table.count("\r\n") == MANY + 2
    # Seconds, on a machine that has much else to do.
    assert asyncio.get_running_loop().time() - began < 60


async def test_who_is_invisible_is_so_on_their_devices_too(
    serve: Serve, visit: Visit, administrator: Administrator
) -> None:
    server = await serve()
    alice, bob = await administrator(server), await visit(server, "bob")
    async with bob.live() as socket:
        await server.app[STORE].write()
        assert "here now" in (await alice.get("/admin/accounts/2")).text
        await socket.send({"type": "status", "status": "invisible", "scope": "user"})
        await socket.until(lambda: socket.choice.get("status") == "invisible")
        page = (await alice.get("/admin/accounts/2")).text
    assert "bob" in page and "here now" not in page


async def test_the_same_form_on_a_page_that_was_loaded_anew_is_another_one(
    serve: Serve, administrator: Administrator
) -> None:
    alice = await administrator(await serve())

    async def invite(page: Page) -> str:
        fields = {"uses": "1", "days": "7", "csrf_token": page.csrf_token}
        fields["form_id"] = hidden_field(page.text, "form_id")
        return link_in(await alice.post("/admin/invitations/", fields))

    page = await alice.get("/admin/invitations/")
    first = await invite(page)
    assert await invite(page) == first, "the button was pressed twice"
    assert await invite(await alice.get("/admin/invitations/")) != first
    for path in ("/admin/accounts/", "/admin/apps/"):
        shown = [hidden_field((await alice.get(path)).text, "form_id") for _ in range(2)]
        assert shown[0] != shown[1]


@pytest.mark.parametrize(
    ("act", "page"),
    [("demote", "/account/"), ("end", "/log_in/"), ("disable", "/log_in/"), ("delete", "/log_in/")],
)
async def test_who_does_it_to_themself_is_led_to_a_page_that_says_so(
    serve: Serve, administrator: Administrator, act: str, page: str
) -> None:
    server = await serve()
    alice = await administrator(server)
    await administrator(server, "bob")
    answer = await do(alice, server, act, "alice")
    assert (answer.status, answer.location) == (303, page)
    assert "alice" in (await alice.get(page)).text


async def test_whoever_cannot_log_in_yet_does_not_count_as_an_administrator(
    serve: Serve, administrator: Administrator
) -> None:
    server = await serve()
    alice = await administrator(server)
    assert (await add(alice, "eve", administrator="on")).status == 200
    await do(alice, server, "demote", "alice")
    assert "You are the last administrator" in (await alice.get("/admin/accounts/1")).text


async def test_below_admin_there_is_nothing_for_others_by_any_method(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    bob = await visit(server, "bob")
    url = bob.url
    for path in ("/admin", "/admin/", "/admin/accounts/", "/admin/nothing"):
        for method in ("PUT", "POST", "DELETE"):
            headers = {"Content-Type": "text/plain", "Origin": url}
            async with bob.http.request(method, f"{url}{path}", headers=headers) as answer:
                assert answer.status == 404, (method, path)


async def test_a_page_behind_the_last_shows_the_last(
    serve: Serve, administrator: Administrator
) -> None:
    alice = await administrator(await serve())
    assert "alice" in (await alice.get("/admin/accounts/?page=9")).text.partition("<main")[2]
    assert "No accounts match" not in (await alice.get("/admin/accounts/?page=9")).text


async def test_what_was_done_to_an_account_is_not_shown_of_the_next_of_that_name(
    serve: Serve, administrator: Administrator
) -> None:
    server = await serve()
    alice = await administrator(server)
    await add(alice, "bob")
    await run(server, "UPDATE audit SET done_at = done_at - $1", 10)
    page = f"/admin/accounts/{await number_of(server, 'bob')}"
    assert "No one" not in (await alice.get(page)).text
    await do(alice, server, "delete", "bob")
    # It says so, once.
    await alice.get("/admin/accounts/")
    await run(server, "UPDATE audit SET done_at = done_at - $1", 10)
    await users.create(server.app[DATABASE], "bob", "hash", int(time.time()))
    page = f"/admin/accounts/{await number_of(server, 'bob')}"
    assert "deleted" not in (await alice.get(page)).text.partition("<main")[2]


async def test_a_link_used_in_a_browser_that_is_logged_in_says_for_whom_it_was(
    serve: Serve, administrator: Administrator
) -> None:
    alice = await administrator(await serve())
    fields = {"uses": "1", "days": "7"}
    link = link_in(await alice.submit("/admin/invitations/", fields))
    typed = {"username": "bob", "password1": PASSWORD, "password2": PASSWORD}
    assert (await alice.submit(link, typed)).location == "/log_in/"
    assert "bob: Your account is ready." in (await alice.get("/log_in/")).text
    assert "Your account is ready" not in (await alice.get("/account/")).text
