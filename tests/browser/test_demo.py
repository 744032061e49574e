"""The demo: live in ten seconds, and nothing of it remains."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenWindow
from testing.processes import launch

pytestmark = pytest.mark.browser


async def test_the_demo_shows_people_who_come_and_go(tmp_path: Path, window: OpenWindow) -> None:
    process = await launch(
        "demo", "--port=0", log_file=tmp_path / "demo.log", TMPDIR=str(tmp_path)
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            listening = (await process.stdout.readline()).decode()
            invitation = (await process.stdout.readline()).decode()
        invited = re.match(r"Log in as (\S+) with the password (\S+),", invitation)
        assert invited is not None, invitation
        newcomer = await window(listening.removeprefix("Listening on ").strip())
        await newcomer.log_in(*invited.groups())
        await newcomer.is_live()
        count = newcomer.page.locator("#here-count")
        await expect(newcomer.page.locator("#total")).to_have_text("301")
        before = await count.text_content()
        assert before and int(before) > 100
        await expect(count).not_to_have_text(before, timeout=20_000)
        process.terminate()
        async with asyncio.timeout(10):
            assert await process.wait() == 0
        newcomer.complaints.clear()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    assert [path.name for path in tmp_path.iterdir()] == ["demo.log"]
