import asyncio
import logging
import re
from collections.abc import Mapping

import pytest
from aiohttp import ClientPayloadError, web

from presence_server.accounts import sessions, users
from presence_server.storage.database import DatabaseUnavailable
from presence_server.keys import DATABASE
from presence_server.visits import written
from presence_server.web.problems import Problem
from tests.conftest import Serve, ServerProcesses, Visit
from testing.visitor import Visitor

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def check(headers: Mapping[str, str], *, https: bool = False, static: bool = False) -> None:
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in headers["Content-Security-Policy"].split(";")
    )
    assert POLICY.items() <= policy.items()
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert ("Strict-Transport-Security" in headers) is https
    assert (headers["Cache-Control"] == "no-store") is not static
    assert "Server" not in headers


ROUTES = [
    ("GET", "/", 303, 200),
    ("HEAD", "/", 303, 200),
    ("POST", "/", 405, 405),
    ("GET", "/sign_up/", 200, 200),
    ("POST", "/sign_up/", 403, 403),
    ("DELETE", "/sign_up/", 405, 405),
    ("GET", "/log_in/", 200, 200),
    ("POST", "/log_in/", 403, 403),
    ("GET", "/log_out/", 405, 405),
    ("POST", "/log_out/", 303, 403),
    ("GET", "/account/", 303, 200),
    ("GET", "/account/password", 303, 303),
    ("PUT", "/account/password", 405, 405),
    ("POST", "/account/password", 303, 403),
    ("POST", "/account/end", 303, 403),
    ("POST", "/account/delete", 303, 403),
    ("GET", "/api/users", 401, 200),
    ("GET", "/api/users?limit=x", 401, 400),
    ("POST", "/api/users", 405, 405),
    ("GET", "/api/nothing", 404, 404),
    ("GET", "/users/", 303, 303),
    ("GET", "/users", 308, 308),
    ("GET", "/.well-known/change-password", 302, 302),
    ("GET", "/favicon.ico", 302, 302),
    ("GET", "/client/v1/nothing.js", 404, 404),
    ("GET", "/healthz", 200, 200),
    ("GET", "/readyz", 200, 200),
    ("GET", "/nothing", 404, 404),
    ("GET", "/sign_up", 308, 308),
    ("POST", "/log_in", 308, 308),
    ("GET", "/%00", 404, 404),
    ("GET", "/<script>alert(1)</script>", 404, 404),
    ("GET", "/static/", 404, 404),
    ("GET", "/static/x/nothing.js", 404, 404),
    ("GET", "/static/x/../../migrations.sql", 404, 404),
    ("GET", "/static/x/%2e%2e/%2e%2e/setup.cfg", 404, 404),
    ("PROPFIND", "/", 405, 405),
]


@pytest.mark.parametrize("https", [False, True])
async def test_t27_headers_of_every_route(serve: Serve, visit: Visit, https: bool) -> None:
    server = await serve(public_url="https://presence.example") if https else await serve()
    stranger, alice = await visit(server), await visit(server)
    if not https:
        await alice.enter("alice")
    for method, path, without_log_in, with_log_in in ROUTES:
        await _check(stranger, method, path, without_log_in, https)
        if not https:
            await _check(alice, method, path, with_log_in, https)


async def _check(visitor: Visitor, method: str, path: str, status: int, https: bool) -> None:
    async with visitor.http.request(
        method, visitor.url + path, allow_redirects=False
    ) as answer:
        assert answer.status == status, (method, path)
        check(answer.headers, https=https)
        text = await answer.text()
        assert "alert(1)" not in text
        if status >= 400 and method != "HEAD":
            json = path.startswith(("/api/", "/users/"))
            assert answer.content_type == ("application/json" if json else "text/html")


@pytest.mark.parametrize("headers", [{"Expect": "nonsense"}, {"Origin": "https://evil.example"}])
async def test_t27_headers_of_refusals(
    serve: Serve, visit: Visit, headers: dict[str, str]
) -> None:
    visitor = await visit(await serve())
    answer = await visitor.post("/log_in/", {"username": "x" * 100}, headers=headers)
    assert answer.status in (403, 417)
    check(answer.headers)


@pytest.mark.parametrize(("size", "status"), [(20_000, 413), (1, 415)])
async def test_t27_headers_of_refused_bodies(
    serve: Serve, visit: Visit, size: int, status: int
) -> None:
    visitor = await visit(await serve())
    kind = "application/x-www-form-urlencoded" if status == 413 else "text/plain"
    headers = {"Content-Type": kind}
    async with visitor.http.post(
        visitor.url + "/log_in/", data=b"x" * size, headers=headers
    ) as answer:
        assert answer.status == status
        check(answer.headers)


async def test_t27_headers_of_the_upgrade(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(), "alice")
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with asyncio.timeout(15):
        async with alice.http.get(alice.url + "/users/", headers=headers) as answer:
            assert answer.status == 101
            check(answer.headers)


async def test_t27_headers_of_what_is_not_http(server_process: ServerProcesses) -> None:
    server = await server_process()
    for data in (b"\0\1\2 nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nBad header\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(data)
        async with asyncio.timeout(15):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        status, *lines = head.decode().split("\r\n")
        assert " 400 " in status
        check(dict(line.split(": ", 1) for line in lines))
        assert body == b"This is not a request that can be understood.\n"


async def test_t35_an_error_of_ours_tells_nothing_but_a_number(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alice = await visit(await serve(), "alice")

    async def fail(*_: object, **__: object) -> int:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(users, "count", fail)
    monkeypatch.setattr(users, "page", fail)
    numbers = set()
    for path, content_type in (("/", "text/html"), ("/api/users", "application/json")):
        answer = await alice.get(path)
        assert answer.status == 500
        check(answer.headers)
        assert answer.headers["Content-Type"].startswith(content_type)
        assert "secret" not in answer.text and "Traceback" not in answer.text
        found = re.search("error ([0-9a-f]{8})", answer.text)
        assert found is not None
        numbers.add(found[1])
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert {record.getMessage() for record in errors} == {f"error {number}" for number in numbers}
    assert all(record.exc_info for record in errors)


async def test_a_database_that_cannot_serve_is_a_503_with_a_sentence(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve()
    alice = await visit(server, "alice")
    token = (await alice.get("/account/")).csrf_token

    async def full(*_: object) -> None:
        raise DatabaseUnavailable("The database x has no room left on its disk.")

    async def no_room(*_: object) -> str:
        return "The database x has no room left on its disk."

    with monkeypatch.context() as patch:
        patch.setattr(type(server.app[DATABASE]), "write", full)
        patch.setattr(type(server.app[DATABASE]), "why_not_writable", no_room)
        # Reading goes on for those who are logged in.
        assert (await alice.get("/")).status == 200
        assert (await alice.get("/readyz")).status == 503
        assert (await alice.get("/healthz")).status == 200
        password = {"old_password": "johnson123", "password1": "x9!kwmz2", "password2": "x9!kwmz2"}
        for path, fields in (
            ("/log_out/", {}),
            ("/account/password", password),
            ("/account/delete", {"password": "johnson123"}),
            ("/log_in/", {"username": "alice", "password": "johnson123"}),
            (
                "/sign_up/",
                {"username": "bob", "password1": "johnson123", "password2": "johnson123"},
            ),
        ):
            answer = await alice.post(path, {"csrf_token": token, **fields})
            assert answer.status == 503, path
            assert int(answer.headers["Retry-After"]) > 0
            assert "no room left" not in answer.text
            check(answer.headers)
    assert len(await sessions.of_user(server.app[DATABASE], 1)) == 1

    monkeypatch.setattr(type(server.app[DATABASE]), "read", full)
    for path in ("/", "/api/users", "/account/"):
        answer = await alice.get(path)
        # Nobody is taken for logged out, or would lose the cookie at the log-in page.
        assert answer.status == 503
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "error",
    [
        DatabaseUnavailable("The database x is away."),
        Problem(503, "busy", "Visits cannot be read just now."),
        web.HTTPNotFound(),
        RuntimeError("a secret of ours"),
    ],
)
@pytest.mark.parametrize("path", ["/admin/accounts.csv", "/admin/visits.csv"])
async def test_an_answer_that_fails_half_way_is_cut(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch, path: str, error: Exception
) -> None:
    server = await serve(visits=7)
    alice = await visit(server, "alice")
    await users.set_administrator(server.app[DATABASE], 1, True)

    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(users, "listed", fail)
    monkeypatch.setattr(written, "find", fail)
    answer = await asyncio.wait_for(_raw_answer(alice, path), 15)
    assert answer.startswith(b"HTTP/1.1 200 ")
    # No second answer in the midst of it, and not the end that tells readers that it is whole.
    assert answer.count(b"HTTP/1.1") == 1
    assert not answer.endswith(b"0\r\n\r\n")
    with pytest.raises(ClientPayloadError):
        await alice.get(path)


async def _raw_answer(visitor: Visitor, path: str) -> bytes:
    """All that comes, until the server closes."""
    host, port = visitor.url.removeprefix("http://").split(":")
    cookie = "; ".join(f"{each.key}={each.value}" for each in visitor.http.cookie_jar)
    reader, writer = await asyncio.open_connection(host, int(port))
    asked = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n"
    writer.write(asked.encode())
    try:
        return await reader.read()
    finally:
        writer.close()
