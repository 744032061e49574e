"""Bodies of every kind: the answer is a 4xx, and the log has no traceback."""

import asyncio
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from presence_server.web import bodies
from tests.conftest import Serve, Visit
from testing.visitor import Visitor
from testing.waiting import STALL

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


async def post(visitor: Visitor, content_type: str | None, body: bytes, **headers: str) -> int:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type is not None:
        headers["Content-Type"] = content_type
    async with visitor.http.post(
        visitor.url + "/log_in/",
        data=body,
        headers=headers,
        skip_auto_headers=["Content-Type"],
        allow_redirects=False,
    ) as answer:
        await answer.read()
        return answer.status


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        # No token, or an empty form: the form comes back.
        (None, b"", 403),
        (URLENCODED, b"", 403),
        (URLENCODED, b"&&&", 403),
        (URLENCODED, b"=", 403),
        (URLENCODED, b"username", 403),
        (URLENCODED, b"username=a%00b", 403),
        (URLENCODED, b"username=%", 403),
        (URLENCODED, b"username=%zz", 403),
        (URLENCODED, "username=ä".encode(), 403),
        (URLENCODED + "; charset=utf-8", b"username=a", 403),
        (URLENCODED + '; charset="UTF-8"', b"username=a", 403),
        (URLENCODED + ";;;", b"username=a", 403),
        (URLENCODED.upper(), b"username=a", 403),
        # What cannot be read as a form.
        (URLENCODED, b"username=\xff", 400),
        (URLENCODED, b"username=%ff", 400),
        (URLENCODED, b"%c3=1", 400),
        (URLENCODED, b"username=%ed%a0%80", 400),
        (URLENCODED, b"username=%c0%af", 400),
        (URLENCODED, "username=ä".encode("latin-1"), 400),
        (URLENCODED, "username=a".encode("utf-16"), 400),
        (URLENCODED, b"username=a&username=b", 400),
        (URLENCODED, b"csrf_token=a&csrf_token=a", 400),
        (URLENCODED, b"username=a&%75sername=b", 400),
        (URLENCODED, b"&".join(b"f%d=1" % number for number in range(21)), 400),
        # What is no such form.
        (None, b"username=a", 415),
        ("", b"username=a", 415),
        ("text/plain", b"username=a", 415),
        ("application/json", b'{"username": "a"}', 415),
        ("application/x-www-form-urlencoded-not", b"username=a", 415),
        ("/", b"username=a", 415),
        ("x" * 4000, b"username=a", 415),
        (URLENCODED + "; charset=utf-7", b"username=+AGE-", 415),
        (URLENCODED + "; charset=latin-1", b"username=a", 415),
        (URLENCODED + "; charset=nonsense", b"username=a", 415),
        (URLENCODED + "; charset=rot13", b"username=a", 415),
        (MULTIPART, b"username=a", 415),
        (MULTIPART + "; boundary=x", b"--x--\r\n", 415),
        (MULTIPART + "; boundary=x", b"--x\r\nbroken", 415),
        (
            MULTIPART + "; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=username; filename=f\r\n\r\na\r\n--x--",
            415,
        ),
        # What is too large.
        (URLENCODED, b"username=" + b"a" * bodies.LARGEST, 413),
        (URLENCODED, b"a" * 1_000_000, 413),
        ("text/plain", b"a" * 1_000_000, 415),
    ],
)
async def test_t17_bodies(
    serve: Serve,
    visit: Visit,
    caplog: pytest.LogCaptureFixture,
    content_type: str | None,
    body: bytes,
    status: int,
) -> None:
    assert await post(await visit(await serve()), content_type, body) == status
    warned = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    # The machine may stall, of which there is a line.
    assert not [message for message in warned if " still " not in message]


async def test_t16_a_body_of_the_largest_size_is_read(serve: Serve, visit: Visit) -> None:
    body = b"username=".ljust(bodies.LARGEST, b"a")
    assert await post(await visit(await serve()), URLENCODED, body) == 403


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity", "nonsense"])
async def test_compressed_bodies_are_not_taken(serve: Serve, visit: Visit, encoding: str) -> None:
    visitor = await visit(await serve())
    assert await post(visitor, URLENCODED, b"a=1", Content_Encoding=encoding) in (400, 415)


@pytest.mark.parametrize("path", ["/sign_up/", "/log_in/", "/account/password"])
async def test_a_body_that_never_comes_is_not_waited_for(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT", 0.2)
    server = await serve()
    alice = await visit(server, "alice")
    cookie = "; ".join(f"{cookie.key}={cookie.value}" for cookie in alice.http.cookie_jar)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n"
        f"Content-Type: {URLENCODED}\r\nContent-Length: 10\r\n\r\na=1".encode()
    )
    async with asyncio.timeout(3 + STALL):
        assert b" 408 " in await reader.readline()
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Connection: close" in head
    writer.close()


async def test_t16_an_endless_body_is_cut(serve: Serve) -> None:
    server = await serve()
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(
        f"POST /sign_up/ HTTP/1.1\r\nHost: x\r\nContent-Type: {URLENCODED}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n".encode()
    )
    chunk = b"1000\r\n" + b"a" * 4096 + b"\r\n"
    for _ in range(5):
        writer.write(chunk)
    async with asyncio.timeout(3 + STALL):
        assert b" 413 " in await reader.readline()
    writer.close()


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=st.binary(max_size=300))
async def test_t17_any_bytes_get_a_4xx(serve: Serve, visit: Visit, body: bytes) -> None:
    visitor = await _shared(serve, visit)
    assert await post(visitor, URLENCODED, body) in (400, 403)


_visitors: dict[int, Visitor] = {}


async def _shared(serve: Serve, visit: Visit) -> Visitor:
    # One server for all examples of one test.
    key = id(serve)
    if key not in _visitors:
        _visitors[key] = await visit(await serve())
    return _visitors[key]
