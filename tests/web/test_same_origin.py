"""What other sites make a browser send changes nothing here."""

import asyncio

import pytest
from aiohttp import ClientSession, CookieJar
from aiohttp.test_utils import TestServer

from presence_server.accounts import sessions, users
from presence_server.keys import DATABASE, KEYRING
from tests.conftest import Serve, Visit
from testing.visitor import PASSWORD, Visitor
from testing.waiting import STALL

FOREIGN: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "Same-Origin"},
    {"Sec-Fetch-Site": "same-origin, cross-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "{ours}"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "{ours}.evil.example"},
    {"Origin": "{ours}/"},
    {"Origin": "https://127.0.0.1:{port}"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://localhost:{port}"},
    {"Origin": "HTTP://127.0.0.1:{port}"},
    {"Origin": "http://evil@127.0.0.1:{port}"},
    {"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"},
]
OURS: list[dict[str, str]] = [
    {},
    {"Origin": "{ours}"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
]
NEW = "another good one"
FORMS: dict[str, dict[str, str]] = {
    "/sign_up/": {"username": "newcomer", "password1": PASSWORD, "password2": PASSWORD},
    "/log_in/": {"username": "alice", "password": PASSWORD},
    "/log_out/": {},
    "/account/password": {"old_password": PASSWORD, "password1": NEW, "password2": NEW},
    "/account/end": {"device": "others"},
    "/account/delete": {"password": PASSWORD},
}


def filled_in(headers: dict[str, str], visitor: Visitor) -> dict[str, str]:
    port = visitor.url.rpartition(":")[2]
    return {name: text.format(ours=visitor.url, port=port) for name, text in headers.items()}


async def state(server: TestServer) -> object:
    """All that a form could change."""
    database = server.app[DATABASE]
    return [
        await users.count(database),
        await users.password_hash(database, "alice"),
        [session.key for session in await sessions.of_user(database, 1)],
    ]


async def two_devices(server: TestServer, visit: Visit) -> Visitor:
    alice = await visit(server, "alice")
    await (await visit(server)).log_in("alice")
    return alice


@pytest.mark.parametrize("path", FORMS)
async def test_t1_a_post_from_another_site_is_refused(
    serve: Serve, visit: Visit, path: str
) -> None:
    server = await serve()
    alice = await two_devices(server, visit)
    token = (await alice.get("/account/")).csrf_token
    before = await state(server)
    for headers in FOREIGN:
        fields = {"csrf_token": token, **FORMS[path]}
        answer = await alice.post(path, fields, headers=filled_in(headers, alice))
        assert answer.status == 403, headers
        assert "Request refused." in answer.text
        assert "Set-Cookie" not in answer.headers
        assert await state(server) == before


@pytest.mark.parametrize("headers", OURS)
@pytest.mark.parametrize("path", FORMS)
async def test_t1_a_post_from_our_own_pages_is_taken(
    serve: Serve, visit: Visit, path: str, headers: dict[str, str]
) -> None:
    server = await serve()
    alice = await two_devices(server, visit)
    token = (await alice.get("/account/")).csrf_token
    before = await state(server)
    fields = {"csrf_token": token, **FORMS[path]}
    answer = await alice.post(path, fields, headers=filled_in(headers, alice))
    assert answer.status == 303
    assert await state(server) != before


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", FORMS)
async def test_t1_nothing_but_a_post_changes_anything(
    serve: Serve, visit: Visit, path: str, method: str
) -> None:
    server = await serve()
    alice = await two_devices(server, visit)
    fields = {"csrf_token": (await alice.get("/account/")).csrf_token, **FORMS[path]}
    before = await state(server)
    async with alice.http.request(method, alice.url + path, data=fields) as answer:
        assert answer.status in (200, 405)
    async with alice.http.request(method, alice.url + path, params=fields) as answer:
        assert answer.status in (200, 405)
    assert await state(server) == before


async def test_t2_another_site_cannot_log_a_visitor_in(serve: Serve, visit: Visit) -> None:
    server = await serve()
    victim = await visit(server)
    await victim.sign_up("mallory")
    page = await victim.get("/log_in/")
    fields = {"csrf_token": page.csrf_token, "username": "mallory", "password": PASSWORD}
    answer = await victim.post("/log_in/", fields, headers={"Origin": "https://evil.example"})
    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers
    assert not await sessions.of_user(server.app[DATABASE], 1)


async def test_another_site_is_refused_before_its_body_is_read(serve: Serve) -> None:
    server = await serve()
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(
        b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\n"
        b"Content-Length: 1000000000\r\n\r\n"
    )
    async with asyncio.timeout(2 + STALL):
        assert b" 403 " in await reader.readline()
    writer.close()


async def test_with_a_public_url_that_is_our_origin(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(public_url="http://presence.example"))
    for origin, status in (("http://presence.example", 400), (alice.url, 403)):
        page = await alice.get("/sign_up/")
        fields = {"csrf_token": page.csrf_token}
        assert (await alice.post("/sign_up/", fields, headers={"Origin": origin})).status == status


@pytest.mark.parametrize("path", ["/sign_up/", "/log_in/"])
async def test_without_a_cookie_the_form_comes_back_with_a_token_that_works(
    serve: Serve, visit: Visit, path: str
) -> None:
    server = await serve()
    await (await visit(server)).sign_up("alice")
    stranger = await visit(server)
    fields = FORMS[path]
    answer = await stranger.post(path, fields)
    assert answer.status == 403
    assert f'value="{fields["username"]}"' in answer.text
    assert PASSWORD not in answer.text
    answer = await stranger.post(path, {**fields, "csrf_token": answer.csrf_token})
    assert answer.status == 303


@pytest.mark.parametrize("path", ["/account/password", "/account/end", "/account/delete"])
async def test_a_stale_token_brings_the_account_page_with_a_fresh_one(
    serve: Serve, visit: Visit, path: str
) -> None:
    server = await serve()
    alice = await two_devices(server, visit)
    before = await state(server)
    answer = await alice.post(path, {**FORMS[path], "csrf_token": "stale"})
    assert answer.status == 403
    assert await state(server) == before
    answer = await alice.post(path, {**FORMS[path], "csrf_token": answer.csrf_token})
    assert answer.status == 303


async def test_a_token_is_good_for_one_visitor_and_one_session(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    of_alice = (await alice.get("/account/")).csrf_token
    of_bob = (await bob.get("/account/")).csrf_token
    before_log_in = (await (await visit(server)).get("/log_in/")).csrf_token
    keyring = server.app[KEYRING]
    for token in (
        "",
        "x",
        of_bob,
        before_log_in,
        of_alice + "x",
        of_alice[:-1],
        of_alice.swapcase(),
        "é",
        "\0",
        keyring.token("csrf", ""),
        keyring.token("csrf", "alice"),
        keyring.token("log out", "alice"),
    ):
        answer = await alice.post("/log_out/", {"csrf_token": token})
        assert answer.status == 403, token
    assert (await alice.post("/log_out/", {"csrf_token": of_alice})).status == 303
    await alice.log_in("alice")
    # Of the session before.
    assert (await alice.post("/log_out/", {"csrf_token": of_alice})).status == 403


async def test_asking_for_forms_stores_nothing(serve: Serve) -> None:
    server = await serve()
    before = await server.app[DATABASE].read("SELECT count(*) FROM sessions")
    for _ in range(5):
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as http:
            async with http.get(server.make_url("/log_in/")) as answer:
                assert answer.status == 200
    assert await server.app[DATABASE].read("SELECT count(*) FROM sessions") == before
