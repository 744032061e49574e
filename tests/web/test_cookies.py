import asyncio
import re
from http.cookies import Morsel, SimpleCookie
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from cryptography.fernet import Fernet

from presence_server.accounts import sessions
from presence_server.keys import COOKIE_NAME, DATABASE, KEYRING
from tests.conftest import Serve, Visit
from testing.visitor import PASSWORD, Page, Visitor

NAME = re.compile(r"presence_[0-9a-f]{8}")
HTTPS = {"public_url": "https://presence.example"}
PUBLIC_HOST = b"presence.example"


def cookie_of(answer: Page) -> Morsel[str]:
    (header,) = answer.headers.getall("Set-Cookie")
    (morsel,) = SimpleCookie(header).values()
    return morsel


def attributes(morsel: Morsel[str]) -> dict[str, object]:
    names = ("path", "domain", "httponly", "secure", "samesite")
    return {name: morsel[name] for name in names}


async def test_t28_the_cookie_of_a_plain_http_site(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice = await visit(server)
    await alice.sign_up("a" * 32)
    cookie = cookie_of(await alice.log_in("a" * 32))
    assert cookie.key == server.app[COOKIE_NAME]
    assert NAME.fullmatch(cookie.key)
    assert attributes(cookie) == {
        "path": "/",
        "domain": "",
        "httponly": True,
        "secure": "",
        "samesite": "Lax",
    }
    assert len(cookie.OutputString()) < 500
    deletion = cookie_of(await alice.log_out())
    assert attributes(deletion) == attributes(cookie)
    assert (deletion.key, deletion.value, deletion["max-age"]) == (cookie.key, "", "0")


async def test_t28_the_cookie_of_an_https_site(serve: Serve, visit: Visit) -> None:
    server = await serve(**HTTPS)
    stranger = await visit(server)
    await (await visit(server)).get("/sign_up/")
    # Such a cookie is not sent over the plain http of this test by itself.
    first = cookie_of(page := await stranger.get("/sign_up/"))
    name = first.key.removeprefix("__Host-")
    assert NAME.fullmatch(name) and name != first.key
    assert attributes(first) == {
        "path": "/",
        "domain": "",
        "httponly": True,
        "secure": True,
        "samesite": "Lax",
    }
    headers = {"Cookie": f"{first.key}={first.value}"}
    fields = {"username": "alice", "password1": PASSWORD, "password2": PASSWORD}
    token = {"csrf_token": page.csrf_token}
    assert (await stranger.post("/sign_up/", {**token, **fields}, headers=headers)).status == 303
    fields = {**token, "username": "alice", "password": PASSWORD}
    cookie = cookie_of(await stranger.post("/log_in/", fields, headers=headers))
    headers = {"Cookie": f"{cookie.key}={cookie.value}"}
    page = await stranger.get("/", headers=headers)
    assert page.status == 200
    answer = await stranger.post("/log_out/", {"csrf_token": page.csrf_token}, headers=headers)
    deletion = cookie_of(answer)
    assert attributes(deletion) == attributes(cookie) == attributes(first)
    assert (deletion.key, deletion.value, deletion["max-age"]) == (first.key, "", "0")
    plain = {"Cookie": f"{name}={cookie.value}"}
    assert (await stranger.get("/", headers=plain)).status == 303


async def test_t4_a_planted_cookie_never_becomes_a_session(serve: Serve, visit: Visit) -> None:
    server = await serve()
    attacker = await visit(server)
    page = await attacker.get("/log_in/")
    planted = {"Cookie": f"{server.app[COOKIE_NAME]}={cookie_of(page).value}"}
    victim = await visit(server)
    await victim.sign_up("victim")
    fields = {"csrf_token": page.csrf_token, "username": "victim", "password": PASSWORD}
    victim.http.cookie_jar.clear()
    answer = await victim.post("/log_in/", fields, headers=planted)
    assert answer.status == 303
    assert cookie_of(answer).value != cookie_of(page).value
    assert (await attacker.get("/", headers=planted)).location == "/log_in/"


async def test_t5_a_copied_cookie_is_worthless_after_log_out(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve())
    await alice.sign_up("alice")
    cookie = cookie_of(await alice.log_in("alice"))
    copy = {"Cookie": f"{cookie.key}={cookie.value}"}
    assert (await alice.get("/api/users", headers=copy)).status == 200
    await alice.log_out()
    assert (await alice.get("/", headers=copy)).location == "/log_in/"
    assert (await alice.get("/api/users", headers=copy)).status == 401


async def test_the_database_holds_no_secret_id(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice = await visit(server)
    await alice.sign_up("alice")
    cookie = cookie_of(await alice.log_in("alice"))
    content = server.app[KEYRING].fernet.decrypt(cookie.value.encode())
    (session,) = await sessions.of_user(server.app[DATABASE], 1)
    assert session.key.encode() not in content


def named(server: TestServer, value: bytes) -> bytes:
    return server.app[COOKIE_NAME].encode() + b"=" + value


async def raw_get(visitor: Visitor, cookies: bytes, name: bytes = b"x") -> bytes:
    host, port = visitor.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = b"GET / HTTP/1.1\r\nHost: " + name + b"\r\nConnection: close\r\n"
    writer.write(head + cookies + b"\r\n")
    async with asyncio.timeout(15):
        status = await reader.readline()
    writer.close()
    return status.split()[1]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"x",
        b"\xff\xfe",
        b"gAAAAA\x80",
        "gäh".encode(),
        b'"unclosed',
        b"gAAAAABh" + b"A" * 3000,
        b"=;=;=;;;",
        b"\xed\xa0\x80",
        b"%00",
        b"a b c",
        b"{}",
        b"gAAAAA==",
        b"$Path=/; x=x",
    ],
)
async def test_a_cookie_of_any_bytes_is_no_session(
    serve: Serve, visit: Visit, caplog: pytest.LogCaptureFixture, value: bytes
) -> None:
    server = await serve()
    visitor = await visit(server)
    assert await raw_get(visitor, b"Cookie: " + named(server, value) + b"\r\n") == b"303"
    # Nor does it fill the log. The machine may stall, of which there is a line.
    told = [each.getMessage() for each in caplog.records if each.levelname != "INFO"]
    assert not [message for message in told if " still " not in message]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"1", b'{"id": 1}', b'{"id": null}', b"\xff", b"{"]
)
async def test_a_cookie_of_ours_with_odd_content_is_no_session(
    serve: Serve, visit: Visit, content: bytes
) -> None:
    server = await serve()
    value = server.app[KEYRING].fernet.encrypt(content)
    visitor = await visit(server)
    assert await raw_get(visitor, b"Cookie: " + named(server, value) + b"\r\n") == b"303"


async def test_of_two_cookies_none_counts(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice = await visit(server, "alice")
    (cookie,) = alice.http.cookie_jar
    good = named(server, cookie.value.encode())
    quoted = named(server, f'"{cookie.value}"'.encode())
    assert await raw_get(alice, b"Cookie: " + good + b"\r\n") == b"200"
    assert await raw_get(alice, b"Cookie: a=b; " + quoted + b";c=d\r\n") == b"200"
    assert await raw_get(alice, b"Cookie: a=b\r\nCookie: " + good + b"\r\n") == b"200"
    planted = named(server, b"planted")
    for cookies in (
        b"Cookie: " + good + b"; " + planted + b"\r\n",
        b"Cookie: " + planted + b"; " + good + b"\r\n",
        b"Cookie: " + good + b"\r\nCookie: " + planted + b"\r\n",
    ):
        assert await raw_get(alice, cookies) == b"303"


@pytest.mark.parametrize(
    "blank",
    ["\u2003", "\xa0", "\x85", "\u3000", "\ufeff", "\x0b", "\x0c", "\x1c", "\x1f"],
)
async def test_a_name_that_is_ours_but_for_odd_blanks_is_not_ours(
    serve: Serve, visit: Visit, blank: str
) -> None:
    server = await serve(**HTTPS)
    page = await (stranger := await visit(server)).get("/sign_up/")
    cookie = cookie_of(page)
    headers = {"Cookie": f"{cookie.key}={cookie.value}"}
    token = {"csrf_token": page.csrf_token}
    fields = {"username": "alice", "password1": PASSWORD, "password2": PASSWORD}
    await stranger.post("/sign_up/", {**token, **fields}, headers=headers)
    fields = {**token, "username": "alice", "password": PASSWORD}
    cookie = cookie_of(await stranger.post("/log_in/", fields, headers=headers))
    good = f"{cookie.key}={cookie.value}".encode()
    assert await raw_get(stranger, b"Cookie: \t" + good + b" \r\n", PUBLIC_HOST) == b"200"
    odd = blank.encode()
    for planted in (odd + good, good.replace(b"=", odd + b"=", 1), b"a=b;" + odd + good):
        assert await raw_get(stranger, b"Cookie: " + planted + b"\r\n", PUBLIC_HOST) != b"200"
    # Nor does it push out the real one.
    both = b"Cookie: " + good + b"; " + odd + good + b"\r\n"
    assert await raw_get(stranger, both, PUBLIC_HOST) in (b"200", b"400")


async def test_two_servers_of_one_host_do_not_share_a_cookie(
    serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    here, there = await serve(), await serve(database=tmp_path / "other.sqlite3")
    alice = await visit(here, "alice")
    # A browser sends the cookies of a host to all its ports.
    alice.url = str(there.make_url("")).rstrip("/")
    await alice.get("/log_in/")
    await alice.enter("alice")
    alice.url = str(here.make_url("")).rstrip("/")
    assert (await alice.get("/")).status == 200
    await alice.log_out()
    alice.url = str(there.make_url("")).rstrip("/")
    assert (await alice.get("/")).status == 200


async def test_t30_rotating_keys_logs_nobody_out(
    serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    key_file = tmp_path / "keys"

    async def served_with(*keys: str) -> str:
        key_file.write_text("\n".join(keys))
        key_file.chmod(0o600)
        return str((await serve(secret_key_file=key_file)).make_url("")).rstrip("/")

    alice = await visit(await served_with(old), "alice")
    token = (await alice.get("/")).csrf_token
    alice.url = await served_with(new, old)
    assert (await alice.get("/")).status == 200
    assert (await alice.post("/log_out/", {"csrf_token": token})).status == 303
    await alice.log_in("alice")
    alice.url = await served_with(new)
    assert (await alice.get("/")).status == 200
    # Of a key that is gone.
    alice.url = await served_with(old)
    assert (await alice.get("/")).location == "/log_in/"
    assert (await alice.get("/api/users")).status == 401
