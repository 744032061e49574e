import asyncio
from http.cookies import Morsel, SimpleCookie
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from presence_server.accounts import sessions
from presence_server.keys import DATABASE, KEYRING
from tests.conftest import Serve, Visit
from testing.visitor import PASSWORD, Page, Visitor

pytestmark = pytest.mark.both_databases

NAME = "presence_session"
HTTPS = {"public_url": "https://presence.example"}


def cookie_of(answer: Page) -> Morsel[str]:
    (header,) = answer.headers.getall("Set-Cookie")
    (morsel,) = SimpleCookie(header).values()
    return morsel


def attributes(morsel: Morsel[str]) -> dict[str, object]:
    names = ("path", "domain", "httponly", "secure", "samesite")
    return {name: morsel[name] for name in names}


async def test_t28_the_cookie_of_a_plain_http_site(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve())
    await alice.sign_up("a" * 32)
    cookie = cookie_of(await alice.log_in("a" * 32))
    assert cookie.key == NAME
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
    assert (deletion.key, deletion.value, deletion["max-age"]) == (NAME, "", "0")


async def test_t28_the_cookie_of_an_https_site(serve: Serve, visit: Visit) -> None:
    server = await serve(**HTTPS)
    stranger = await visit(server)
    await (await visit(server)).get("/sign_up/")
    # Such a cookie is not sent over the plain http of this test by itself.
    first = cookie_of(page := await stranger.get("/sign_up/"))
    assert first.key == "__Host-" + NAME
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
    plain = {"Cookie": f"{NAME}={cookie.value}"}
    assert (await stranger.get("/", headers=plain)).status == 303


async def test_t4_a_planted_cookie_never_becomes_a_session(serve: Serve, visit: Visit) -> None:
    server = await serve()
    attacker = await visit(server)
    page = await attacker.get("/log_in/")
    planted = {"Cookie": f"{NAME}={cookie_of(page).value}"}
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
    copy = {"Cookie": f"{NAME}={cookie_of(await alice.log_in('alice')).value}"}
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


async def raw_get(visitor: Visitor, cookies: bytes) -> bytes:
    host, port = visitor.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + cookies + b"\r\n")
    async with asyncio.timeout(5):
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
        b"$Path=/; presence_session=x",
    ],
)
async def test_s4_a_cookie_of_any_bytes_is_no_session(
    serve: Serve, visit: Visit, caplog: pytest.LogCaptureFixture, value: bytes
) -> None:
    visitor = await visit(await serve())
    assert await raw_get(visitor, b"Cookie: presence_session=" + value + b"\r\n") == b"303"
    # Nor does it fill the log.
    assert not [record for record in caplog.records if record.levelname != "INFO"]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"1", b'{"id": 1}', b'{"id": null}', b"\xff", b"{"]
)
async def test_a_cookie_of_ours_with_odd_content_is_no_session(
    serve: Serve, visit: Visit, content: bytes
) -> None:
    server = await serve()
    value = server.app[KEYRING].fernet.encrypt(content)
    visitor = await visit(server)
    assert await raw_get(visitor, b"Cookie: presence_session=" + value + b"\r\n") == b"303"


async def test_d20_of_two_cookies_none_counts(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(), "alice")
    (cookie,) = alice.http.cookie_jar
    good = f"presence_session={cookie.value}".encode()
    quoted = f'presence_session="{cookie.value}"'.encode()
    assert await raw_get(alice, b"Cookie: " + good + b"\r\n") == b"200"
    assert await raw_get(alice, b"Cookie: a=b; " + quoted + b";c=d\r\n") == b"200"
    assert await raw_get(alice, b"Cookie: a=b\r\nCookie: " + good + b"\r\n") == b"200"
    planted = b"presence_session=planted"
    for cookies in (
        b"Cookie: " + good + b"; " + planted + b"\r\n",
        b"Cookie: " + planted + b"; " + good + b"\r\n",
        b"Cookie: " + good + b"\r\nCookie: " + planted + b"\r\n",
    ):
        assert await raw_get(alice, cookies) == b"303"


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
