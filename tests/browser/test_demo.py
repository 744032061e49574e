"""The demo: live in ten seconds, and nothing of it remains."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import expect

from presence_server.commands.demo_site import GUEST, PASSWORD
from tests.browser.conftest import OpenWindow
from tests.browser.test_accessibility import violations_in_both_schemes
from testing.processes import launch

pytestmark = pytest.mark.browser


@asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """Its address, and what it says first; it ends as by Ctrl-C."""
    process = await launch("demo", "--port=0", log_file=folder / "demo.log", TMPDIR=str(folder))
    try:
        assert process.stdout is not None
        async with asyncio.timeout(50):
            listening, *invitation = [
                (await process.stdout.readline()).decode() for _ in range(3)
            ]
        yield listening.removeprefix("Listening on ").strip(), "".join(invitation)
        process.terminate()
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    assert [path.name for path in folder.iterdir()] == ["demo.log"]


async def test_the_demo_shows_people_who_come_and_go(tmp_path: Path, window: OpenWindow) -> None:
    async with demo(tmp_path) as (url, invitation):
        invited = re.match(r"Log in as (\S+) with the password (\S+),", invitation)
        assert invited is not None, invitation
        newcomer = await window(url)
        await newcomer.log_in(*invited.groups())
        await newcomer.is_live()
        count = newcomer.page.locator("#here-count")
        await expect(newcomer.page.locator("#total")).to_have_text("301")
        before = await count.text_content()
        assert before and int(before) > 100
        await expect(count).not_to_have_text(before, timeout=20_000)
        # The server ends, and nobody shall look for it.
        await newcomer.page.goto("about:blank")


async def test_its_page_of_elements_is_live(tmp_path: Path, window: OpenWindow) -> None:
    async with demo(tmp_path) as (url, invitation):
        ann = await (await window(url)).goto("/log_in/")
        await ann.page.get_by_role("link", name="your own pages").click()
        assert ann.page.url.removeprefix(url) in invitation.split()
        name = await ann.page.locator(".say strong").text_content()
        bob = await window(url)
        await bob.log_in(GUEST, PASSWORD)
        await bob.goto("/elements/")
        in_list = bob.page.locator("presence-list li").filter(has_text=name)
        await expect(in_list).to_contain_text("online")
        await expect(bob.page.locator("presence-avatars li").first).to_be_visible()
        await expect(bob.page.locator("presence-dot").first).to_contain_text(": ")
        await ann.page.get_by_role("button", name="Busy").click()
        await expect(in_list).to_contain_text("busyon the phone")
        assert await violations_in_both_schemes(bob.page) == []
        await ann.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await ann.page.get_by_role("button", name="Copy").first.click()
        await expect(ann.page.get_by_role("button", name="Copied")).to_be_visible()
        copied = await ann.page.evaluate("() => navigator.clipboard.readText()")
        assert copied.startswith('<presence-avatars room="page" token-from="/presence-token"')
        answer = await ann.page.request.get(f"{url}/elements/token?room=other")
        assert answer.status == 403
        # The server ends, and nobody shall look for it.
        for each in (ann, bob):
            await each.page.goto("about:blank")
