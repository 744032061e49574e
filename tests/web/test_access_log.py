"""One line for every request, whatever bytes it carries, and no secret in it."""

import asyncio
import json
from typing import Any


from tests.conftest import ServerProcesses, Visit
from testing.processes import ServerProcess
from testing.visitor import PASSWORD, Visitor
from testing.waiting import until

ODD_REQUESTS = [
    b"GET /a HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff\xfe\x80\r\n\r\n",
    b"GET /b HTTP/1.1\r\nHost: x\r\nUser-Agent: caf\xc3\xa9 \xe2\x80\xa8 \xc2\x85\r\n\r\n",
    b"GET /c%0AINFO%20forged%1b[31m HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /d HTTP/1.1\r\nHost: x\r\nReferer: \xff\r\n\r\n",
    b'GET /e"\\ HTTP/1.1\r\nHost: x\r\nUser-Agent: "\\"\r\n\r\n',
    b"GET /f?csrf_token=hush&q=hush HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /" + b"g" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://hush@evil.example/h HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
]
MALFORMED = [
    b"\0\1\2\3\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: \x1b[31m\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n",
    b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n",
    b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"POST /log_in/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\nhello",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
]


async def exchange(server: ServerProcess, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n"))
    async with asyncio.timeout(15):
        answer = await reader.read()
    writer.close()
    return answer


def logged(server: ServerProcess) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in server.log.rpartition("\n")[0].splitlines()]
    return [line for line in lines if line["logger"] == "aiohttp.access"]


async def requests_logged(server: ServerProcess, count: int) -> list[dict[str, Any]]:
    await until(lambda: len(logged(server)) >= count)
    return logged(server)


async def test_t33_every_request_is_one_line(server_process: ServerProcesses) -> None:
    server = await server_process(log_format="json")
    for request in ODD_REQUESTS:
        assert b" 404 " in (await exchange(server, request)).split(b"\r\n")[0]
    logged = await requests_logged(server, len(ODD_REQUESTS))
    assert len(logged) == len(ODD_REQUESTS)
    assert [line["status"] for line in logged] == [404] * len(ODD_REQUESTS)
    assert [line["path"][:2] for line in logged[:7]] == [f"/{letter}" for letter in "abcdefg"]
    assert server.log.isascii()
    assert "hush&" not in server.log
    for line in server.log.splitlines():
        assert len(line) < 2000


async def test_raw_bytes_do_not_hide_a_request(server_process: ServerProcesses) -> None:
    server = await server_process()
    await exchange(server, ODD_REQUESTS[0])
    log = await server.logged("path=/a")
    (line,) = [line for line in log.splitlines() if "path=/a" in line]
    assert r"agent=\udcff\udcfe\udc80" in line


async def test_what_is_not_http_is_one_line_without_a_traceback(
    server_process: ServerProcesses,
) -> None:
    server = await server_process(log_format="json")
    for request in MALFORMED:
        answer = await exchange(server, request)
        assert answer.split(b" ")[1][:1] == b"4", (request, answer)
        assert b"aiohttp" not in answer
    logged = await requests_logged(server, len(MALFORMED))
    assert len(logged) == len(MALFORMED)
    assert "Traceback" not in server.log
    assert "exception" not in server.log
    assert {json.loads(line)["level"] for line in server.log.splitlines()} <= {"info", "warning"}


async def test_no_secret_is_logged(server_process: ServerProcesses, visit: Visit) -> None:
    server = await server_process()
    alice = await visit(server, "alice")
    page = await alice.get("/account/?csrf_token=hush")
    cookies = [cookie.value for cookie in alice.http.cookie_jar]
    async with alice.live() as socket:
        await socket.first()
        cursor = str(socket.cursor)
    async with alice.live(cursor=cursor) as socket:
        await socket.first()
    await alice.log_out()
    await alice.get("/reset/hush")
    await alice.get("/invite/hush/hush")
    assert await server.terminate() == 0
    key = (server.folder / "presence.sqlite3.key").read_text().strip()
    for secret in (PASSWORD, page.csrf_token, key, "hush", *cookies):
        assert secret not in server.log
    assert "path=/account/ " in server.log
    assert "path=/reset/... " in server.log and "path=/invite/... " in server.log


async def test_a_socket_is_logged_at_its_end_with_its_agent_and_address(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(log_format="json", trusted_proxies="127.0.0.1")
    alice = await visit(server, "alice")
    headers = {"User-Agent": "Watcher/7", "X-Forwarded-For": "192.0.2.7, 127.0.0.1"}
    async with alice.live(headers=headers) as socket:
        await socket.first()

    def lines() -> list[dict[str, Any]]:
        return [line for line in logged(server) if line["path"] == "/users/"]

    await until(lines)
    assert [(line["agent"], line["address"]) for line in lines()] == [("Watcher/7", "192.0.2.7")]


async def test_a_proxy_that_is_not_trusted_is_named_once(
    server_process: ServerProcesses
) -> None:
    server = await server_process(log_format="json")
    for _ in range(3):
        # A connection of its own for each.
        async with Visitor.at(server.url) as visitor:
            headers = {"X-Forwarded-For": "192.0.2.7"}
            async with visitor.http.get(server.url + "/log_in/", headers=headers) as response:
                assert response.status == 200
    await requests_logged(server, 3)
    assert server.log.count("is not among --trusted-proxies") == 1
