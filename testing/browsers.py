"""A real Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Error, async_playwright

# The first is the same browser without windows of a desktop: it starts in half the time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
MISSING = (
    "No browser: install Chromium (Debian: apt-get install chromium-headless-shell; elsewhere: "
    "playwright install chromium), or name one with CHROMIUM=/path/to/chromium."
)


def chromium() -> str | None:
    """From $CHROMIUM or the PATH; None leaves the choice to Playwright."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """A browser for this test alone: Playwright's objects belong to one event loop."""
    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(
                executable_path=chromium(), args=["--disable-dev-shm-usage"]
            )
        except Error as error:
            if chromium() or os.environ.get("CI") or "Executable doesn't exist" not in str(error):
                raise
            # Whoever has none can still run all other tests.
            pytest.skip(MISSING)
        async with browser:
            yield browser
