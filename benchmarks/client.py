"""What the client for pages costs a visitor, in a real browser: bytes, time, memory."""

import asyncio
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.async_api import Page, Route, WebSocketRoute

from benchmarks.servers import ROOT, address_in
from presence_server.resources import CLIENT
from testing.browsers import open_browser

PEOPLE = 1_000
_SAMPLES = 40
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


def first_person(loads: int = 10) -> float:
    """Milliseconds (the median of visits with an empty cache), on the demo's page of elements."""
    with _demo() as url:
        return asyncio.run(_first_person(url, loads))


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


async def _first_person(url: str, loads: int) -> float:
    times = []
    async with open_browser() as browser:
        for _ in range(loads):
            async with await browser.new_context() as context:
                page = await context.new_page()
                await page.add_init_script(_LOOK)
                await page.goto(url)
                await page.wait_for_function("() => window.shownAfter")
                times.append(float(await page.evaluate("() => window.shownAfter")))
    return statistics.median(times)


def heap_growth(seconds: float, each: float) -> float:
    """Bytes by which the memory of a page grows; see heap()."""
    samples = heap(1.25 * seconds, each)
    settled = next(size for elapsed, size in samples if elapsed >= seconds / 4)
    return samples[-1][1] - settled


def heap(seconds: float, each: float) -> list[tuple[float, int]]:
    """The memory of a page while people come and go in its room, one every so many seconds.

    After how many seconds it had how many bytes that could not be collected.
    """
    return asyncio.run(_heap(seconds, each))


async def _heap(seconds: float, each: float) -> list[tuple[float, int]]:
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
        samples = []
        began = time.monotonic()
        for number in range(_SAMPLES + 1):
            due = began + seconds * number / _SAMPLES
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            samples.append((time.monotonic() - began, await _in_use(page)))
        over.set()
    return samples


def _say(socket: WebSocketRoute, kind: str, **fields: object) -> None:
    socket.send(json.dumps({"type": kind, "cursor": "c", **fields}))


async def _in_use(page: Page) -> int:
    browser = await page.context.new_cdp_session(page)
    await browser.send("HeapProfiler.collectGarbage")
    used = await browser.send("Runtime.getHeapUsage")
    await browser.detach()
    return int(used["usedSize"])
