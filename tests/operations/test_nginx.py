"""The way to production of docs/operations.md: nginx in front of processes on one port."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from testing.app_client import AppClient
from testing.install_nginx import MISSING, nginx_binary
from tests.operations.nginx import NAME, SITE, Nginx, make_certificate, replaced
from tests.operations.people import WITHIN, Page, Place, staying
from testing.processes import ServerProcess, launch
from testing.redis_server import lasting_port
from testing.visitor import Visitor
from testing.waiting import until

CROWD = 6

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(nginx_binary() is None and "CI" not in os.environ, reason=MISSING),
]


two_processes = pytest.mark.parametrize("site", [2], indirect=True)


class Site(Place):
    def __init__(
        self, nginx: Nginx, certificate: Path, server: ServerProcess
    ) -> None:
        super().__init__(nginx.url, certificate)
        self.nginx = nginx
        self.plain_port = nginx.plain_port
        self.server = server


@pytest.fixture
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """Of one process; of as many as the test says where that matters."""
    port = lasting_port()
    nginx = Nginx(tmp_path)
    certificate, key = make_certificate(tmp_path)
    changes = {
        "/etc/ssl/certs/presence-server.pem": str(certificate),
        "/etc/ssl/private/presence-server.key": str(key),
        "127.0.0.1:8000": f"127.0.0.1:{port}",
    }
    assert nginx.configure(replaced(SITE, changes)) is None
    # A grace for machines that have other work to do.
    processes = getattr(request, "param", 1)
    server = ServerProcess(
        tmp_path, port=port, processes=processes, public_url=nginx.url, grace=15
    )
    try:
        await server.start()
        await nginx.start()
        yield Site(nginx, certificate, server)
    finally:
        nginx.stop()
        await server.kill()


async def test_pages_and_sockets_come_through(site: Site) -> None:
    async with site.visitor("127.0.0.2") as alice, site.visitor("127.0.0.3") as bob:
        await alice.enter("alice")
        await bob.enter("bob")
        page = await alice.get("/")
        assert "alice: Online" in page.text
        assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
        for path in set(re.findall(r'"(/static/[^"]+)"', page.text)):
            assert (await alice.get(path)).status == 200, path
        async with alice.live() as of_alice, bob.tutorial() as of_bob:
            await of_alice.sees("bob", "online", WITHIN)
            await bob.log_out()
            await of_alice.sees("bob", "offline", WITHIN)
            assert await of_bob.closed() == 4401
    # And who comes by http is led to https.
    async with aiohttp.ClientSession() as http:
        answer = await http.get(
            f"http://127.0.0.1:{site.plain_port}/log_in/?next=/account/",
            headers={"Host": NAME},
            allow_redirects=False,
        )
    assert answer.status == 301
    assert answer.headers["Location"] == f"https://{NAME}/log_in/?next=/account/"


async def test_other_sites_get_neither_a_form_nor_a_socket_through(site: Site) -> None:
    async with site.visitor() as alice:
        await alice.enter("alice")
        foreign = {"Origin": "https://example.org"}
        assert (await alice.post("/log_out/", {}, headers=foreign)).status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with alice.live(headers=foreign):
                pass
        assert refused.value.status == 403
        async with alice.live() as socket:
            await socket.sees("alice", "online")


async def test_the_clients_own_address_is_counted_and_logged(site: Site) -> None:
    forged = {"X-Forwarded-For": "192.0.2.7"}
    async with site.visitor("127.0.8.1") as guesser, site.visitor("127.0.9.1") as owner:
        await owner.enter("alice")
        token = (await guesser.get("/log_in/")).csrf_token
        guess = {"csrf_token": token, "username": "alice", "password": "a wrong guess"}
        statuses = [
            (await guesser.post("/log_in/", guess, headers=forged)).status for _ in range(11)
        ]
        assert statuses == [401] * 10 + [429]
        # Nobody else on this machine is thought to be the guesser.
        assert (await owner.log_in("alice")).status == 303
    await site.server.logged("address=127.0.8.1 method=POST path=/log_in/ status=429")
    await site.server.logged("address=127.0.9.1 method=POST path=/log_in/ status=303")
    assert "192.0.2.7" not in site.server.log


@two_processes
async def test_whoever_comes_back_resumes_at_any_process(site: Site) -> None:
    async with site.visitor() as alice:
        await alice.enter("alice")
        async with alice.live() as socket:
            await socket.sees("alice", "online")
            cursor = socket.cursor
        await come_back(alice, cursor, 12)
    for process in (1, 2):
        await site.server.logged(f"request process={process} address=127.0.0.1 method=GET")


async def come_back(visitor: Visitor, cursor: str | None, times: int) -> None:
    """Until it has often been told only what it missed; at first the processes know too little."""
    async with asyncio.timeout(WITHIN):
        while times:
            async with visitor.live(cursor) as socket:
                times -= (await socket.first(WITHIN))["type"] == "changes"
                cursor = socket.cursor
            await asyncio.sleep(0.1)


async def test_no_name_of_others_is_led_to_and_nothing_told_of_nginx(site: Site) -> None:
    async with aiohttp.ClientSession() as http:
        answer = await http.get(
            f"http://127.0.0.1:{site.plain_port}/log_in/",
            headers={"Host": "evil.example"},
            allow_redirects=False,
        )
    assert answer.headers["Location"] == f"https://{NAME}/log_in/"
    assert answer.headers["Server"] == "nginx"


async def test_the_access_log_of_nginx_holds_no_secrets(site: Site) -> None:
    paths = (
        "/reset/a-secret", "/invite/a-secret?a-secret", "/presence/reset/a-secret",
        "/api/v1/rooms/doc?token=a-secret", "//reset/a-secret", "/?a-secret=/reset/a-secret",
    )
    async with site.visitor() as visitor, aiohttp.ClientSession() as http:
        for path in paths:
            headers = {"Host": NAME, "Referer": f"{site.url}/reset/a-secret"}
            await visitor.get(path, headers=headers)
            async with http.get(
                f"http://127.0.0.1:{site.plain_port}{path}", headers=headers, allow_redirects=False
            ) as led:
                assert led.status == 301
        # And what nginx answers by itself.
        await visitor.post("/reset/a-secret", {"password": "x" * 20_000})
    # Written once it has read the rest of what it refused.
    await until(lambda: '"POST /reset/... HTTP/1.1" 413 ' in site.nginx.access_log)
    log = site.nginx.access_log
    assert "a-secret" not in log and '"GET /reset/... HTTP/1.1" 404 ' in log
    assert '"GET /invite/... HTTP/1.1" 301 ' in log and '"GET /api/v1/rooms/doc HTTP/1.1" ' in log


async def test_what_nginx_answers_by_itself_is_guarded_too(site: Site) -> None:
    async with site.visitor() as visitor:
        too_large = await visitor.post("/log_in/", {"username": "x" * 20_000})
        too_long = await visitor.get("/" + "x" * 40_000)
        await site.server.kill()
        unreachable = await visitor.get("/log_in/")
    for answer, status in ((too_large, 413), (too_long, 414), (unreachable, 502)):
        assert answer.status == status
        assert answer.text == "This did not work. Please try again in a moment.\n"
        assert answer.headers["Server"] == "nginx"
        for name in (
            "Content-Security-Policy",
            "X-Content-Type-Options",
            "Referrer-Policy",
            "Strict-Transport-Security",
            "Cache-Control",
        ):
            # Once: what the server answers has them already.
            assert len(answer.headers.getall(name)) == 1, name


@pytest.mark.slow
@two_processes
async def test_a_rolling_restart_shows_nobody_offline(site: Site) -> None:
    """One process after the other, as `systemctl reload` does it."""
    async with AsyncExitStack() as stack:
        pages = []
        names = {f"user{number}" for number in range(CROWD)}
        for number, name in enumerate(sorted(names)):
            visitor = await stack.enter_async_context(site.visitor(f"127.0.0.{10 + number}"))
            await visitor.enter(name)
            pages.append(await stack.enter_async_context(staying(Page(visitor))))
        await until(
            lambda: all(page.shows(names) for page in pages), WITHIN, lambda: vars(pages[0])
        )
        os.kill(site.server.pid, signal.SIGHUP)
        await until(
            lambda: all(page.shows(names) and page.sockets > 1 for page in pages),
            WITHIN,
            lambda: [(page.sockets, page._here) for page in pages],
        )
        assert [page.shown_offline for page in pages] == [[]] * CROWD


async def test_lines_of_an_application_come_through_at_once(site: Site) -> None:
    server = site.server
    said = ("app", "add", "wiki", "--json", f"--database={server.flags['database']}")
    process = await launch(*said, log_file=server.folder / "app.log")
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    async with site.visitor() as visitor:
        app = AppClient(site.url, visitor.http, json.loads(out))
        await app.until_known()
        async with app.events("alice") as alice, app.line("bob") as bob:
            async with asyncio.timeout(WITHIN):
                assert (await alice.event())["type"] == "snapshot"
                await bob.sees("alice", "online")
                # Nothing gathers what goes over a stream.
                await alice.sees("bob", "online")
                assert (await app.say("alice", status="away")).status == 204
                await bob.sees("alice", "away")
                assert (await app.put("doc", "a/b", ttl=10)).status == 204
                await bob.sees("a/b", "online")
        async with app.line("bob", token="bad") as refused:
            assert await refused.closed() == 4401
