"""The examples, each started by its one command: people of their own accounts see each other."""

import asyncio
import os
import shutil
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import jwt
import psutil  # type: ignore[import-untyped]  # it has no types
import pytest
from playwright.async_api import Locator, expect

from presence_server.presence.told import Change, Told
from presence_server.resources import ROOT
from presence_server.webhooks import messages
from testing.install_node_packages import FOLDER, MISSING, are_installed
from testing.redis_server import free_port
from testing.waiting import first_answer, listening
from tests.browser.conftest import OpenWindow
from tests.browser.test_accessibility import violations_in_both_schemes
from tests.browser.window import Window

FORGED = {
    "webhook-id": "msg_1",
    "webhook-timestamp": str(int(time.time())),
    "webhook-signature": "v1,AAAA not-even-one",
}

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@asynccontextmanager
async def example(name: str, folder: Path) -> AsyncIterator[tuple[str, str]]:
    """Its address, and the secret of its webhook; what it needs is here already."""
    folder.mkdir()
    if name == "document" and not are_installed():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "examples" / "document" / "node_modules").symlink_to(FOLDER / "node_modules")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PRESENCE_")}
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, folder / "examples" / "run.py", name, f"--port={port}"),
        env={**clean, "TMPDIR": str(folder), "PRESENCE_GRACE": "0.5", "PYTHONPATH": str(ROOT)},
        stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL,
    )
    url = f"http://localhost:{port}"
    try:
        await listening(port, within=60)
        (application,) = (
            child
            for child in psutil.Process(process.pid).children()
            if "PRESENCE_WEBHOOK_SECRET" in child.environ()
        )
        yield url, application.environ()["PRESENCE_WEBHOOK_SECRET"]
    finally:
        process.terminate()
        await process.wait()
    assert [path.name for path in folder.iterdir()] == ["examples"]


def in_avatars(window: Window, name: str) -> Locator:
    return window.page.locator("presence-avatars li").filter(has_text=f"{name}: online")


async def sign_up(window: Window, name: str) -> None:
    await window.goto("/sign-up")
    fields = window.page.locator("form[method=post] input:not([type=hidden]):not([type=radio])")
    await fields.first.fill(name)
    for password in (await fields.all())[1:]:
        await password.fill("quite a long password")
    await window.page.get_by_role("button", name="Sign up").click()
    await expect(window.page.get_by_role("button", name=f"Log out {name}")).to_be_visible()


async def has_heard(window: Window, *names: str) -> None:
    """The backend has been told of these, and of nobody else: on its page of who reads what."""
    readers = window.page.locator("td:nth-child(2)")

    async def read_again() -> set[str]:
        await window.page.reload()
        return set(await readers.all_text_contents())

    await first_answer(read_again, lambda read: read == {*names})


async def id_of(window: Window) -> str:
    """As the application's own tokens name whoever is logged in."""
    element = window.page.locator("presence-list")
    token = await element.evaluate(
        "async (list) => (await fetch(`${list.getAttribute('token-from')}?room=lobby`)).text()"
    )
    return str(jwt.decode(token, options={"verify_signature": False})["sub"])


def late(secret: str, *changes: tuple[str, bool]) -> tuple[bytes, Mapping[str, str]]:
    """A message of how it was in the lobby long ago, and its headers."""
    told = Told({}).take([Change("lobby", user, here, 1, 1) for user, here in changes])
    body = messages.body(told, time.time())
    return body, messages.headers("msg_late", body, int(time.time()), [secret])


@pytest.mark.timeout(150)
@pytest.mark.parametrize("name, page", [("wiki", "Welcome"), ("document", "The report")])
async def test_people_of_its_own_see_each_other(
    name: str, page: str, tmp_path: Path, window: OpenWindow
) -> None:
    async with example(name, tmp_path / "with blanks") as (url, secret):
        ann, bob = [await window(url) for _ in range(2)]
        for each, called in ((ann, "ann"), (bob, "bob")):
            await sign_up(each, called)
            await each.page.get_by_role("link", name=page).click()
        for each in (ann, bob):
            await expect(in_avatars(each, "ann")).to_be_attached()
            await expect(in_avatars(each, "bob")).to_be_attached()
        assert await violations_in_both_schemes(ann.page) == []
        await bob.goto("/")
        await expect(in_avatars(ann, "bob")).to_have_count(0)
        await expect(ann.page.locator("presence-list li")).to_have_text(["annonline", "bobonline"])
        await ann.page.get_by_role("link", name="Who reads what").click()
        await has_heard(ann, "ann", "bob")
        ids = await id_of(ann), await id_of(bob)
        await bob.page.get_by_role("button", name="Log out bob").click()
        await expect(bob.page.locator("presence-list")).to_have_count(0)
        await has_heard(ann, "ann")
        async with aiohttp.ClientSession() as http:
            forged = http.post(f"{url}/presence/webhook/", data="{}", headers=FORGED)
            assert (await forged).status == 401
            strangers = [(name, False) for name in ("a test", "²", "9" * 100)]
            body, headers = late(secret, *strangers, (ids[0], False), (ids[1], True))
            told = http.post(f"{url}/presence/webhook/", data=body, headers=headers)
            assert (await told).status == 204
        await has_heard(ann, "ann")
        for each in (ann, bob):
            await each.page.goto("about:blank")
