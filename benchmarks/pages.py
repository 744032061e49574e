"""Page requests beside the sockets, each over a connection that stays open, as a browser's does."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from testing.swarm import Address

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass(slots=True)
class Visits:
    """How long each answer took, in milliseconds, and what the answers were."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    largest: int = 0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def read_page(
    address: Address, cookie: str, seconds: float, each: float, path: str = "/"
) -> Visits:
    """Ask for a page every so often."""
    visits = Visits()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            started = time.monotonic()
            async with client.get(_url(address, path), headers={"Cookie": cookie}) as response:
                body = await response.read()
            visits.milliseconds.append((time.monotonic() - started) * 1000)
            visits.statuses[response.status] += 1
            visits.largest = max(visits.largest, len(body))
            await asyncio.sleep(each)
    return visits


async def flood_log_in(
    address: Address, names: Sequence[str], seconds: float, rate: float, sources: int
) -> Visits:
    """Wrong passwords at so many a second, for many names and from many addresses."""
    visits = Visits()
    async with AsyncExitStack() as stack:
        attackers = [
            await stack.enter_async_context(_attacker(address, f"127.0.200.{number + 1}"))
            for number in range(sources)
        ]
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        begun = time.monotonic()
        for number in range(int(seconds * rate)):
            await asyncio.sleep(begun + number / rate - time.monotonic())
            client, token = attackers[number % sources]
            name = names[number % len(names)]
            form = {"username": name, "password": "wrong", "csrf_token": token}
            tasks.create_task(_try(client, _url(address, "/log_in/"), form, visits))
    return visits


@asynccontextmanager
async def _attacker(
    address: Address, source: str
) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    jar = aiohttp.CookieJar(unsafe=True)  # the server is an address, not a name
    connector = aiohttp.TCPConnector(local_addr=(source, 0), limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as client:
        async with client.get(_url(address, "/log_in/")) as response:
            found = _TOKEN.search(await response.text())
        assert found is not None
        yield client, found[1]


async def _try(
    client: aiohttp.ClientSession, url: str, form: dict[str, str], visits: Visits
) -> None:
    started = time.monotonic()
    async with client.post(url, data=form, allow_redirects=False) as response:
        await response.read()
    visits.milliseconds.append((time.monotonic() - started) * 1000)
    visits.statuses[response.status] += 1


def _url(address: Address, path: str) -> str:
    return f"http://{address[0]}:{address[1]}{path}"
