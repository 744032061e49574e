"""The way to production of docs/operations.md: nginx in front of two processes with one Redis."""

import asyncio
import os
import random
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.install_nginx import MISSING, nginx_binary
from tests.operations.nginx import NAME, Nginx
from tests.processes import ServerProcess
from tests.redis_server import RedisServer, free_port
from tests.visitor import LiveSocket, Visitor

WITHIN = 15.0
CROWD = 6

pytestmark = pytest.mark.skipif(
    nginx_binary() is None and "CI" not in os.environ, reason=MISSING
)


class Loopback(AbstractResolver):
    """Every name is this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


class Site:
    def __init__(self, nginx: Nginx, servers: tuple[ServerProcess, ServerProcess]) -> None:
        self.nginx = nginx
        self.servers = servers

    @asynccontextmanager
    async def visitor(self, address: str = "127.0.0.1") -> AsyncIterator[Visitor]:
        """A browser on a machine of its own."""
        connector = aiohttp.TCPConnector(
            resolver=Loopback(), ssl=self.nginx.client_tls(), local_addr=(address, 0)
        )
        async with aiohttp.ClientSession(connector=connector) as http:
            yield Visitor(self.nginx.url, http)

    def node_of(self, address: str) -> ServerProcess:
        """The process whose log names the address."""
        (found,) = [server for server in self.servers if f"address={address} " in server.log]
        return found


@pytest.fixture
async def site(tmp_path: Path, own_redis: RedisServer) -> AsyncIterator[Site]:
    ports = free_port(), free_port()
    nginx = Nginx(tmp_path, ports)
    flags = {"redis_url": own_redis.url, "public_url": nginx.url}
    first, second = (
        ServerProcess(tmp_path, f"server-{port}", port=port, **flags) for port in ports
    )
    try:
        await asyncio.gather(first.start(), second.start())
        yield Site(await nginx.start(), (first, second))
    finally:
        nginx.stop()
        await first.kill()
        await second.kill()


async def test_pages_and_sockets_come_through(site: Site) -> None:
    async with site.visitor("127.0.0.2") as alice, site.visitor("127.0.0.3") as bob:
        await alice.enter("alice")
        await bob.enter("bob")
        page = await alice.get("/")
        assert "alice: Online" in page.text and "bob: Online" in page.text
        assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
        for path in set(re.findall(r'"(/static/[^"]+)"', page.text)):
            assert (await alice.get(path)).status == 200, path
        async with alice.live() as of_alice, bob.tutorial() as of_bob:
            await of_alice.sees("bob", "online")
            await bob.log_out()
            await of_alice.sees("bob", "offline")
            assert await of_bob.closed() == 4401
    # And who comes by http is led to https.
    async with aiohttp.ClientSession() as http:
        answer = await http.get(
            f"http://127.0.0.1:{site.nginx.plain_port}/log_in/?next=/account/",
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
    logs = "".join(server.log for server in site.servers)
    assert "address=127.0.8.1 method=POST path=/log_in/ status=429" in logs
    assert "address=127.0.9.1 method=POST path=/log_in/ status=303" in logs
    assert "192.0.2.7" not in logs


async def test_an_address_stays_with_its_process_where_it_resumes(site: Site) -> None:
    addresses = [f"127.0.0.{number}" for number in range(10, 26)]
    for address in addresses:
        async with site.visitor(address) as visitor:
            for _ in range(3):
                assert (await visitor.get("/log_in/")).status == 200
    # One process each, and both have some.
    assert {site.node_of(address) for address in addresses} == set(site.servers)
    async with site.visitor(addresses[0]) as alice:
        await alice.enter("alice")
        async with alice.live() as socket:
            await socket.sees("alice", "online")
            cursor = socket.cursor
        async with alice.live(cursor) as socket:
            assert (await socket.first())["type"] == "changes"


class Page:
    """A page that stays open: it comes back as the script of the real page does, and notes
    everybody whom it showed as offline."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.shown_offline: list[str] = []
        self.sockets = 0
        self.live: LiveSocket | None = None
        self._here: set[str] = set()

    async def stay(self) -> None:
        cursor, failures = None, 0
        while True:
            pause = random.uniform(0, min(30, 0.5 * 2**failures))
            try:
                async with self.visitor.live(cursor) as live:
                    self.sockets += 1
                    failures = 0
                    self.live = live
                    live.people.update(dict.fromkeys(self._here, "online"))
                    pause = max(pause, await self._watch(live))
                    cursor = live.cursor
            except (aiohttp.ClientError, OSError):
                failures += 1
            self.live = None
            await asyncio.sleep(pause)

    async def _watch(self, live: LiveSocket) -> float:
        retry_after = 0.0
        async for frame in live.raw:
            message = frame.json()
            live._apply(message)
            self.shown_offline += self._here - live.people.keys()
            self._here = set(live.people)
            retry_after = message.get("retry_after", retry_after)
        return retry_after

    def shows(self, names: set[str]) -> bool:
        return self.live is not None and self._here == names


@asynccontextmanager
async def staying(page: Page) -> AsyncIterator[Page]:
    task = asyncio.create_task(page.stay())
    try:
        yield page
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()


async def until(true: Callable[[], bool], what: Callable[[], object]) -> None:
    try:
        async with asyncio.timeout(WITHIN):
            while not true():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(what()) from None


@pytest.mark.slow
async def test_a_rolling_restart_shows_nobody_offline(site: Site) -> None:
    """One process after the other, as `systemctl restart` does it: each when the one before it
    says that it listens."""
    async with AsyncExitStack() as stack:
        pages = []
        names = {f"user{number}" for number in range(CROWD)}
        for number, name in enumerate(sorted(names)):
            visitor = await stack.enter_async_context(site.visitor(f"127.0.0.{10 + number}"))
            await visitor.enter(name)
            pages.append(await stack.enter_async_context(staying(Page(visitor))))
        await until(lambda: all(page.shows(names) for page in pages), lambda: vars(pages[0]))
        for server in site.servers:
            assert await server.terminate() == 0
            await server.start()
        await until(
            lambda: all(page.shows(names) and page.sockets > 1 for page in pages),
            lambda: [(page.sockets, page._here) for page in pages],
        )
        assert [page.shown_offline for page in pages] == [[]] * CROWD
