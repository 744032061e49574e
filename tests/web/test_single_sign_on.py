"""Single sign-on: the proxy says who somebody is, and nobody else can."""

import asyncio
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from presence_server.accounts import users
from presence_server.endings import Endings
from presence_server.keys import DATABASE
from testing.visitor import PASSWORD, Visitor
from tests.conftest import Serve, Visit

PROXY = ip_network("127.0.0.1")
ELSEWHERE = ip_network("192.0.2.1")
LOG_OUT = "https://sso.example/sign_out"


async def behind(serve: Serve, **settings: Any) -> TestServer:
    given = {"trusted_user_header": "Remote-User", "trusted_proxies": (PROXY,), **settings}
    return await serve(**given)


async def accounts(server: TestServer) -> list[str]:
    return [user.username for user in await users.listed(server.app[DATABASE], 0, 100)]


async def test_who_is_named_has_an_account_at_first_sight(serve: Serve, visit: Visit) -> None:
    server = await behind(serve)
    alice, bob = await visit(server), await visit(server)
    alice.http.headers["Remote-User"] = "alice"
    bob.http.headers["remote-user"] = "Bob"
    page = await alice.get("/")
    assert page.status == 200 and "alice: Online" in page.text
    async with alice.live() as socket:
        await socket.sees("alice", "online")
        assert (await bob.get("/account/")).status == 200
        await socket.sees("Bob", "online")
    # The same person, with the same session, in any spelling.
    bob.http.headers["Remote-User"] = "BOB"
    assert (await bob.get("/")).status == 200
    assert await accounts(server) == ["alice", "Bob"]
    # Nobody has a password, and nobody is asked for one.
    for path in ("/sign_up/", "/invite/x", "/reset/x"):
        assert (await bob.get(path)).status == 404
    for path in ("/sign_up/", "/log_in/", "/account/password", "/account/delete"):
        fields = {"csrf_token": page.csrf_token, "username": "alice", "password": ""}
        assert (await alice.post(path, fields)).status == 404
    assert 'type="password"' not in (await alice.get("/account/")).text


async def test_a_cookie_is_worth_nothing_without_the_name_and_with_another_one(
    serve: Serve, visit: Visit
) -> None:
    server = await behind(serve)
    browser = await visit(server)
    named = {"Remote-User": "alice"}
    assert (await browser.get("/", headers=named)).status == 200
    assert (await browser.get("/")).location == "/log_in/"
    assert (await browser.get("/api/users")).status == 401
    assert (await browser.get("/api/users", headers=named)).status == 200
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with browser.live(headers={"Remote-User": "bob"}):
            pass
    assert refused.value.status == 401
    # Another one sits down at the browser: whoever was there is logged out.
    async with browser.live(headers=named) as socket:
        assert (await browser.get("/", headers={"Remote-User": "bob"})).status == 200
        assert await socket.closed() == 4401
    # Programs that keep no cookies leave no sessions behind.
    stranger = await visit(server)
    assert (await stranger.get("/api/users", headers=named)).status == 401
    rows = await server.app[DATABASE].read("SELECT count(*) FROM sessions")
    assert rows == [(1,)]


@pytest.mark.parametrize(
    "headers",
    [
        {"Remote-User": "alice"},
        {"REMOTE-USER": "alice", "X-Forwarded-For": "127.0.0.1"},
        {"Remote-User": "alice", "Forwarded": "for=127.0.0.1"},
    ],
)
async def test_from_anybody_else_the_name_is_nothing(
    serve: Serve, visit: Visit, headers: dict[str, str]
) -> None:
    server = await behind(serve, trusted_proxies=(ELSEWHERE,))
    visitor = await visit(server)
    for path in ("/", "/account/", "/admin/accounts/"):
        answer = await visitor.get(path, headers=headers)
        assert answer.status in (303, 404)
    assert (await visitor.get("/log_in/", headers=headers)).status == 200
    assert await accounts(server) == []


async def test_without_the_setting_the_name_is_nothing(serve: Serve, visit: Visit) -> None:
    server = await serve(trusted_proxies=(PROXY,))
    visitor = await visit(server)
    answer = await visitor.get("/", headers={"Remote-User": "alice"})
    assert answer.location == "/log_in/"
    assert await accounts(server) == []


SMUGGLED: list[tuple[list[tuple[str, str]], int]] = [
    # Twice: one of them is not the proxy's.
    ([("Remote-User", "bob"), ("Remote-User", "root")], 400),
    ([("Remote-User", "bob"), ("REMOTE-user", "bob")], 400),
    # Other names, which some servers take for the same.
    ([("Remote_User", "root")], 303),
    ([("Remote User", "root")], 400),
    ([("Remote-User ", "root")], 400),
    ([("X-Remote-User", "root")], 303),
    ([("HTTP_REMOTE_USER", "root")], 303),
    # Nobody, and what is no name.
    ([("Remote-User", "")], 303),
    ([("Remote-User", " \t ")], 303),
    ([("Remote-User", "bob,root")], 403),
    ([("Remote-User", "bob root")], 403),
    ([("Remote-User", "bob@example.com")], 403),
    ([("Remote-User", "<script>alert(1)</script>")], 403),
    ([("Remote-User", "bob\x00")], 400),
    ([("Remote-User", "b\xf6b")], 403),
    ([("Remote-User", "x" * 5000)], 403),
]


async def test_header_smuggling(serve: Serve) -> None:
    server = await behind(serve)
    for headers, status in SMUGGLED:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{lines}\r\n"
        writer.write(head.encode("latin-1"))
        answer = await asyncio.wait_for(reader.read(), 15)
        writer.close()
        assert answer.split()[1] == str(status).encode(), (headers, answer[:200])
        assert b"<script>alert" not in answer
    assert await accounts(server) == []


async def test_log_out_goes_where_the_operator_says(serve: Serve, visit: Visit) -> None:
    server = await behind(serve, log_out_url=LOG_OUT)
    alice = await visit(server)
    alice.http.headers["Remote-User"] = "alice"
    async with Visitor.at(alice.url) as other:
        other.http.headers["Remote-User"] = "other"
        await other.get("/")
        async with other.live() as socket:
            await alice.get("/")
            await socket.sees("alice", "online")
            answer = await alice.log_out()
            assert (answer.status, answer.location) == (303, "/log_in/")
            await socket.sees("alice", "offline")
            shown = await alice.get("/log_in/")
            assert f'content="0;url={LOG_OUT}"' in shown.text
            # Once; and to look at the page lets nobody in again.
            again = await alice.get("/log_in/")
            assert LOG_OUT not in again.text and "Log in again" in again.text
            assert "alice" not in socket.people


async def test_who_is_switched_off_here_stays_out(serve: Serve, visit: Visit) -> None:
    server = await behind(serve)
    alice = await visit(server)
    alice.http.headers["Remote-User"] = "alice"
    await alice.get("/")
    await users.disable(Endings(server.app[DATABASE]), 1, 1)
    answer = await alice.get("/")
    assert answer.status == 403 and "was disabled" in answer.text


async def test_administrators_act_without_a_password_that_nobody_has(
    serve: Serve, visit: Visit
) -> None:
    server = await behind(serve)
    alice, bob = await visit(server), await visit(server)
    alice.http.headers["Remote-User"], bob.http.headers["Remote-User"] = "alice", "bob"
    await alice.get("/")
    await bob.get("/")
    await users.set_administrator(server.app[DATABASE], 1, True)
    page = await alice.get("/admin/accounts/2")
    assert page.status == 200 and "new password" not in page.text
    token = {"csrf_token": page.csrf_token}
    assert (await alice.post("/admin/accounts/2/disable", token)).status == 303
    assert (await bob.get("/")).status == 403
    for path in ("/admin/accounts/2/reset", "/admin/invitations/", "/admin/import/"):
        assert (await alice.post(path, token)).status == 404
    assert (await bob.post("/admin/accounts/1/disable", token)).status in (403, 404)
    assert PASSWORD not in page.text
