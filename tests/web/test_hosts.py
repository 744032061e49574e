"""The Host header: a name of ours, or at least a name."""

import asyncio

import pytest
from aiohttp.test_utils import TestServer

from tests.conftest import Serve, Visit

PUBLIC = {"public_url": "https://presence.example"}


async def status(
    server: TestServer, *hosts: str, path: str = "/log_in/", version: str = "1.1"
) -> int:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    lines = [f"GET {path} HTTP/{version}", "Connection: close"]
    lines += [f"Host: {host}" for host in hosts]
    writer.write("\r\n".join([*lines, "\r\n"]).encode("latin-1"))
    async with asyncio.timeout(15):
        line = await reader.readline()
    writer.close()
    return int(line.split()[1])


GOOD = [
    "localhost",
    "localhost:8000",
    "127.0.0.1:8000",
    "[::1]",
    "[::1]:8000",
    "presence.example",
    "PRESENCE.example.:443",
    "under_score.example",
    "xn--bcher-kva.example",
]
BAD = [
    "",
    " ",
    "a b",
    "a/b",
    "a@b",
    "a,b",
    "a:b",
    "a:",
    ":80",
    "a:123456",
    "a:80:80",
    "<script>",
    '"',
    "a..b",
    "[::1",
    "::1",
    "[::1]x",
    "a?b",
    "a#b",
    "a\\b",
    "http://a",
    "ä",
    "%00",
    "x" * 300,
]


@pytest.mark.parametrize("host", GOOD)
async def test_t36_without_a_public_url_any_name_will_do(serve: Serve, host: str) -> None:
    assert await status(await serve(), host) == 200


@pytest.mark.parametrize("settings", [{}, PUBLIC])
async def test_t36_what_is_no_name_is_refused(serve: Serve, settings: dict[str, str]) -> None:
    server = await serve(**settings)
    assert {host: await status(server, host) for host in BAD} == dict.fromkeys(BAD, 400)
    assert await status(server) == 400
    assert await status(server, "localhost", "localhost") == 400
    # Old programs, and checks of health, send none.
    assert await status(server, version="1.0") == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("presence.example", 200),
        ("Presence.Example:443", 200),
        ("presence.example.", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("localhost:8000", 200),
        ("presence.example:80", 421),
        ("presence.example:8443", 421),
        ("evil.example", 421),
        ("presence.example.evil.example", 421),
        ("evil-presence.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("xpresence.example", 421),
    ],
)
async def test_t36_with_a_public_url_others_are_refused(
    serve: Serve, host: str, expected: int
) -> None:
    server = await serve(**PUBLIC)
    assert await status(server, host) == expected
    assert await status(server, host, path="/healthz") == expected


@pytest.mark.parametrize("written", ["BÜCHER.example", "xn--bcher-kva.example."])
async def test_an_internationalised_name_is_ours_in_either_spelling(
    serve: Serve, visit: Visit, written: str
) -> None:
    server = await serve(public_url=f"https://{written}")
    # What browsers send.
    for host in ("xn--bcher-kva.example", "XN--Bcher-KVA.example:443"):
        assert await status(server, host) == 200
    assert await status(server, "bcher-kva.example") == 421
    visitor = await visit(server)
    for origin, expected in {
        "https://xn--bcher-kva.example": 303,
        "https://xn--bcher-kva.example:443": 303,
        "https://xn--bcher.example": 403,
        "http://xn--bcher-kva.example": 403,
    }.items():
        answer = await visitor.post("/log_out/", {}, headers={"Origin": origin})
        assert (origin, answer.status) == (origin, expected)


async def test_t36_a_foreign_name_gets_no_socket_and_is_not_repeated(
    serve: Serve, visit: Visit
) -> None:
    stranger = await visit(await serve(**PUBLIC))
    headers = {"Host": "evil.example"}
    assert (await stranger.get("/users/", headers=headers)).status == 421
    answer = await stranger.get("/", headers=headers)
    assert answer.status == 421
    assert "evil" not in answer.text
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "referer",
    ["http://[::1", "http://[x]/", "http://x:99999/", "http://x:y/", "http://x\xff/", "//", "\xff"],
)
async def test_a_referer_that_is_no_address_leads_from_nowhere(
    serve: Serve, referer: str
) -> None:
    assert await status(await serve(), f"x\r\nReferer: {referer}") == 200
