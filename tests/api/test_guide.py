"""The guide's first ten minutes, in as many seconds: its commands, its backend, its page."""

import asyncio
import shlex
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from testing.guide import code
from testing.processes import launch
from testing.redis_server import free_port
from testing.waiting import listening
from tests.conftest import ServerProcesses

SECTION = "In ten minutes"


@pytest.mark.browser
async def test_from_nothing_to_a_live_page(
    server_process: ServerProcesses, browser: Browser, tmp_path: Path
) -> None:
    server = await server_process()
    ports = {
        "localhost:3000": f"localhost:{free_port()}",
        "localhost:8000": f"localhost:{server.port}",
    }
    site = f"http://{ports['localhost:3000']}/"

    def adapted(text: str) -> str:
        for usual, here in ports.items():
            text = text.replace(usual, here)
        return text.replace("3000", ports["localhost:3000"].partition(":")[2])

    line, _, target = adapted(code(SECTION, "sh")).strip().partition(" > ")
    program, *said = shlex.split(line)
    assert program == ".venv/bin/presence-server"
    assert target == "demo.json"
    process = await launch(*said, log_file=tmp_path / "app.log")
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    (tmp_path / target).write_bytes(out)
    (tmp_path / "page.html").write_text(adapted(code(SECTION, "html")), "utf-8")
    (tmp_path / "backend.py").write_text(adapted(code(SECTION, "python")), "utf-8")
    backend = await asyncio.create_subprocess_exec(
        sys.executable, "backend.py", cwd=tmp_path, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        await listening(int(ports["localhost:3000"].partition(":")[2]))
        pages = [await browser.new_page() for _ in range(2)]
        for page in pages:
            await page.goto(site)
        for page in pages:
            await expect(page.locator("li")).to_have_text(
                ["visitor 1online", "visitor 2online"], timeout=10_000
            )
        await pages[1].close()
        await expect(pages[0].locator("li")).to_have_text(["visitor 1online"], timeout=20_000)
    finally:
        backend.kill()
        await backend.wait()
