"""Forms that are sent twice, as by two clicks: the second time with the cookie of the first."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from itertools import product
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import TestServer

from presence_server.accounts import sessions, users
from presence_server.accounts.queues import PasswordsBusy
from presence_server.keys import DATABASE, PASSWORDS
from presence_server.storage.database import Database
from presence_server.web import cookies, once
from presence_server.web.turnstile import _IN_ONE_TURN
from testing.processes import ServerProcess
from testing.redis_server import RedisServer
from testing.visitor import PASSWORD, Page, Visitor
from testing.waiting import until
from tests.conftest import Serve, ServerProcesses, Visit

NEW = "another good one"
FORMS = {
    "/sign_up/": {"username": "carol", "password1": PASSWORD, "password2": PASSWORD},
    "/log_in/": {"username": "alice", "password": PASSWORD},
    "/log_out/": {},
    "/account/password": {"old_password": PASSWORD, "password1": NEW, "password2": NEW},
    "/account/end": {"device": "others"},
    "/account/delete": {"password": PASSWORD},
}


def cookie_of(visitor: Visitor) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{each.key}={each.value}" for each in visitor.http.cookie_jar)}


async def at_the_form(server: TestServer, visit: Visit, path: str) -> tuple[Visitor, str]:
    """Somebody who is about to send it, and its token."""
    await (await visit(server)).sign_up("alice")
    alice = await visit(server)
    if path in ("/sign_up/", "/log_in/"):
        return alice, (await alice.get(path)).csrf_token
    await alice.log_in("alice")
    return alice, (await alice.get("/account/")).csrf_token


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("path", FORMS)
async def test_a_form_that_is_sent_twice_has_one_answer(
    serve: Serve, visit: Visit, path: str, together: bool
) -> None:
    server = await serve()
    alice, token = await at_the_form(server, visit, path)
    headers = cookie_of(alice)
    fields = {**FORMS[path], "csrf_token": token}

    async def send() -> Page:
        async with Visitor.at(alice.url) as another:
            return await another.post(path, fields, headers=headers)

    answers = [*await asyncio.gather(send(), send())] if together else [await send(), await send()]
    assert {answer.status for answer in answers} == {303}
    assert len({answer.location for answer in answers}) == 1
    told = [await follow(alice.url, answer) for answer in answers]
    assert told[0] == told[1]


async def follow(url: str, answer: Page) -> str:
    """The page that an answer leads to, seen with the cookie that came with it."""
    assert answer.location is not None
    async with Visitor.at(url) as browser:
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        page = await browser.get(answer.location, headers={"Cookie": cookie})
    assert page.status == 200
    # But for what every page is given anew.
    return re.sub(r'data-now="\d+"', "", page.text.replace(page.csrf_token, ""))


async def test_a_log_in_that_is_sent_twice_begins_one_session(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice, token = await at_the_form(server, visit, "/log_in/")
    fields = {**FORMS["/log_in/"], "csrf_token": token}
    await asyncio.gather(*(alice.post("/log_in/", fields) for _ in range(5)))
    assert len(await sessions.of_user(server.app[DATABASE], 1)) == 1
    assert (await alice.get("/")).status == 200


async def test_what_was_refused_can_be_tried_again(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice = await visit(server)
    fields = {**FORMS["/log_in/"], "csrf_token": (await alice.get("/log_in/")).csrf_token}
    answers = await asyncio.gather(*(alice.post("/log_in/", fields) for _ in range(2)))
    assert [answer.status for answer in answers] == [401, 401]
    await (await visit(server)).sign_up("alice")
    assert (await alice.post("/log_in/", fields)).status == 303


async def test_what_is_changed_back_and_forth_is_changed_each_time(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    alice = await visit(server, "alice")
    for old, new in [(PASSWORD, NEW), (NEW, PASSWORD), (PASSWORD, NEW)]:
        fields = {"old_password": old, "password1": new, "password2": new}
        await alice.submit("/account/password", fields, form="/account/")
        assert (await (await visit(server)).log_in("alice", new)).status == 303
    for hides in (True, False, True):
        await alice.submit("/account/last-seen", {"hide": "1"} if hides else {}, form="/account/")
        found = await users.find(server.app[DATABASE], "alice")
        assert found is not None and found.hides_last_seen is hides


async def test_all_other_devices_are_logged_out_each_time_that_is_asked(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    alice = await visit(server, "alice")
    for _ in range(2):
        other = await visit(server)
        await other.log_in("alice")
        await alice.submit("/account/end", {"device": "others"}, form="/account/")
        assert (await other.get("/")).status == 303


async def test_the_second_click_has_the_answer_also_when_another_process_gets_it(
    server_process: ServerProcesses,
    visit: Visit,
    redis_server: RedisServer,
    db: Database,
) -> None:
    settings = {"redis_url": redis_server.url, "grace": 60}
    one, two = [await server_process(**settings) for _ in range(2)]
    for number, (path, together) in enumerate(product(FORMS, [True, False])):
        name = f"alice{number}"
        await (await visit(one)).sign_up(name)
        alice = await visit(one)
        if path not in ("/sign_up/", "/log_in/"):
            await alice.log_in(name)
        page = "/account/" if path not in ("/sign_up/", "/log_in/") else path
        fields = {**FORMS[path], "csrf_token": (await alice.get(page)).csrf_token}
        if "username" in fields:
            fields["username"] = name if path == "/log_in/" else f"carol{number}"
        headers = cookie_of(alice)

        async def send(to: ServerProcess) -> Page:
            async with Visitor.at(to.url) as another:
                return await another.post(path, fields, headers=headers)

        sent = [send(one), send(two)]
        answers = [*await asyncio.gather(*sent)] if together else [await each for each in sent]
        assert [answer.status for answer in answers] == [303, 303], path
        told = [await follow(one.url, answer) for answer in answers]
        assert told[0] == told[1], path
        if path == "/log_in/":
            user = await users.find(db, name)
            assert user is not None and len(await sessions.of_user(db, user.id)) == 1
        kept = str(await db.read("SELECT * FROM submissions"))
        secrets = [PASSWORD, NEW, fields["csrf_token"], headers["Cookie"].partition("=")[2]]
        assert not [secret for secret in secrets if secret in kept]


@pytest.mark.parametrize(
    "change", [{"username": "dave"}, {"password2": PASSWORD + "x"}, {"csrf_token": "stale"}]
)
async def test_another_form_has_another_answer(
    serve: Serve, visit: Visit, change: Mapping[str, str]
) -> None:
    server = await serve()
    alice, token = await at_the_form(server, visit, "/sign_up/")
    fields = {**FORMS["/sign_up/"], "csrf_token": token}
    assert (await alice.post("/sign_up/", fields)).status == 303
    await alice.post("/sign_up/", {**fields, **change})
    assert await users.count(server.app[DATABASE]) == (3 if "username" in change else 2)


async def test_nobody_else_has_the_answer(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice, token = await at_the_form(server, visit, "/log_in/")
    fields = {**FORMS["/log_in/"], "csrf_token": token}
    assert (await alice.post("/log_in/", fields)).status == 303
    mallory = await visit(server)
    assert (await mallory.post("/log_in/", fields)).status == 403
    await mallory.get("/log_in/")
    assert (await mallory.post("/log_in/", fields)).status == 403


async def test_answers_are_kept_in_bounds(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "_MOST", 1)
    server = await serve()
    alice, token = await at_the_form(server, visit, "/sign_up/")
    fields = {**FORMS["/sign_up/"], "csrf_token": token}
    assert (await alice.post("/sign_up/", fields)).status == 303
    assert (await alice.post("/sign_up/", {**fields, "username": "dave"})).status == 303
    # The first one's has had to go.
    assert (await alice.post("/sign_up/", fields)).status == 400


async def test_whoever_has_let_go_of_the_first_answer_gets_it_all_the_same(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    alice, token = await at_the_form(server, visit, "/log_in/")
    host, port = alice.url.removeprefix("http://").split(":")
    body = urlencode({**FORMS["/log_in/"], "csrf_token": token})
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /log_in/ HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie_of(alice)['Cookie']}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    await writer.drain()
    writer.close()
    answer = await alice.post("/log_in/", {**FORMS["/log_in/"], "csrf_token": token})
    assert (answer.status, answer.location) == (303, "/")
    assert (await alice.get("/")).status == 200
    assert len(await sessions.of_user(server.app[DATABASE], 1)) == 1


async def test_what_was_not_done_for_the_first_is_done_for_one_of_the_others(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve()
    alice, token = await at_the_form(server, visit, "/sign_up/")
    all_are_there = asyncio.Event()
    verdicts: list[str] = []

    async def busy_at_first(*_: object, **__: object) -> str:
        verdicts.append("busy" if not verdicts else "hashed")
        if verdicts == ["busy"]:
            await all_are_there.wait()
            raise PasswordsBusy
        return "a hash"

    monkeypatch.setattr(type(server.app[PASSWORDS]), "hash", busy_at_first)
    fields = {**FORMS["/sign_up/"], "csrf_token": token}
    tries = [asyncio.create_task(alice.post("/sign_up/", fields)) for _ in range(4)]
    while not verdicts:
        await asyncio.sleep(0)
    # Of those who came while the first one waited some may only just be there.
    await alice.get("/log_in/")
    all_are_there.set()
    statuses = sorted([(await each).status for each in tries])
    assert statuses == [303, 303, 303, 503]
    assert verdicts == ["busy", "hashed"]


async def test_those_who_wait_for_one_answer_have_it_by_turns(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(max_sockets_per_address=0)
    alice, token = await at_the_form(server, visit, "/log_in/")
    headers = cookie_of(alice)
    fields = {**FORMS["/log_in/"], "csrf_token": token}
    first = asyncio.Event()
    turn, waiting, answered_in = 0, 0, Counter[int]()
    answer, wait, replace = once._answered, once._wait_for, cookies.replace

    async def slow(*values: Any) -> Any:
        await first.wait()
        return await answer(*values)

    async def wait_too(*values: Any) -> Any:
        nonlocal waiting
        waiting += 1
        return await wait(*values)

    async def count(*values: Any) -> None:
        answered_in[turn] += 1
        await replace(*values)

    async def send() -> Page:
        async with Visitor.at(alice.url) as another:
            return await another.post("/log_in/", fields, headers=headers)

    monkeypatch.setattr(once, "_answered", slow)
    monkeypatch.setattr(once, "_wait_for", wait_too)
    monkeypatch.setattr(cookies, "replace", count)
    sent = [asyncio.ensure_future(send()) for _ in range(10 * _IN_ONE_TURN)]
    await until(lambda: waiting == len(sent) - 1)
    first.set()
    while not all(task.done() for task in sent):
        turn += 1
        await asyncio.sleep(0)
    assert {task.result().status for task in sent} == {303}
    assert max(answered_in.values()) <= _IN_ONE_TURN
