"""What the client for pages costs a visitor, in a real browser: bytes, time, memory."""

import asyncio
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.async_api import Page, Route, WebSocketRoute

from benchmarks.servers import ROOT, address_in
from presence_server.resources import CLIENT
from testing.browsers import open_browser

PEOPLE = 1_000
_LOADS = 10
_SINCE = 1_800_000_000

# From the request for the page to the first person that it shows.
_LOOK = """
const look = () => {
    if (document.querySelector("presence-list")?.shadowRoot?.querySelector("li")) {
        window.shownAfter = performance.now();
    } else requestAnimationFrame(look);
};
look();
"""
_PAGE = """<!doctype html><html lang="en"><title>Churn</title>
<script type="module" src="/client/v1/presence.js"></script>
<presence-list room="doc" token-from="/token"></presence-list>
<presence-avatars room="doc" token-from="/token"></presence-avatars>"""
_SITE = "http://presence.test"


def size() -> int:
    """Bytes of the module as a server may send it."""
    return len(gzip.compress(CLIENT.read_bytes(), 9, mtime=0))


def first_person() -> float:
    """Milliseconds (the median of visits with an empty cache), on the demo's page of elements."""
    with _demo() as url:
        return asyncio.run(_first_person(url))


@contextmanager
def _demo() -> Iterator[str]:
    command = [sys.executable, "-m", "presence_server", "demo", "--port=0", "--bcrypt-cost=4"]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process:
            try:
                assert process.stdout is not None
                address = address_in(process.stdout)
                assert address is not None
                yield f"http://{address[0]}:{address[1]}/elements/"
            finally:
                process.terminate()


async def _first_person(url: str) -> float:
    times = []
    async with open_browser() as browser:
        for _ in range(_LOADS):
            async with await browser.new_context() as context:
                page = await context.new_page()
                await page.add_init_script(_LOOK)
                await page.goto(url)
                await page.locator("presence-list li").first.wait_for()
                times.append(float(await page.evaluate("() => window.shownAfter")))
    return statistics.median(times)


def heap_growth(seconds: float, each: float) -> float:
    """Bytes by which the memory of a page grows while people come and go in its room, one every so
    many seconds; what would be collected is."""
    return asyncio.run(_heap_growth(seconds, each))


async def _heap_growth(seconds: float, each: float) -> float:
    over = asyncio.Event()

    async def churn(socket: WebSocketRoute) -> None:
        here = {f"user{number}": _SINCE for number in range(PEOPLE)}
        _say(socket, "snapshot", heartbeat=20, online=here)
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        while not over.is_set():
            number += 1
            user = f"user{number * 7 % (2 * PEOPLE)}"
            status = "online" if user not in here else ("offline" if number % 3 else "away")
            here.pop(user, None) if status == "offline" else here.setdefault(user, _SINCE)
            _say(socket, "changes", **{status: {user: _SINCE + number}})
            await asyncio.sleep(max(0.0, began + number * each - loop.time()))

    served = {"": (_PAGE, "text/html"), "token": ("a.b.c", "text/plain")}
    served["client/v1/presence.js"] = CLIENT.read_text("utf-8"), "text/javascript"

    async def answer(route: Route) -> None:
        path = route.request.url.removeprefix(f"{_SITE}/").partition("?")[0]
        body, kind = served.get(path, ("", "text/plain"))
        await route.fulfill(body=body, content_type=kind)

    async with open_browser() as browser:
        page = await browser.new_page()
        await page.route(f"{_SITE}/**", answer)
        await page.route_web_socket("**/rooms/**", churn)
        await page.goto(f"{_SITE}/")
        await page.locator("presence-list li").first.wait_for()
        # Until all is there that is kept once.
        await asyncio.sleep(seconds / 4)
        before = await _heap(page)
        await asyncio.sleep(seconds)
        grown = await _heap(page) - before
        over.set()
    return grown


def _say(socket: WebSocketRoute, kind: str, **fields: object) -> None:
    socket.send(json.dumps({"type": kind, "cursor": "c", **fields}))


async def _heap(page: Page) -> float:
    browser = await page.context.new_cdp_session(page)
    await browser.send("HeapProfiler.collectGarbage")
    used = await browser.send("Runtime.getHeapUsage")
    return float(used["usedSize"])
