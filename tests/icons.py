"""Draws the icons of other kinds from static/icon.svg: `make icons`."""

import asyncio
import struct

from playwright.async_api import Browser

from presence_server.resources import STATIC
from testing.browsers import open_browser

SIZES = (180, 192, 512)
OLDEST = 48  # of favicon.ico


async def main() -> None:
    async with open_browser() as browser:
        for size in SIZES:
            (STATIC / f"icon-{size}.png").write_bytes(await draw(browser, size))
        (STATIC / "favicon.ico").write_bytes(icon(await draw(browser, OLDEST), OLDEST))


async def draw(browser: Browser, size: int) -> bytes:
    svg = (STATIC / "icon.svg").read_text("utf-8")
    async with await browser.new_context(viewport={"width": size, "height": size}) as context:
        page = await context.new_page()
        await page.set_content(f"<style>body {{ margin: 0 }} svg {{ display: block }}</style>{svg}")
        return await page.screenshot()


def icon(png: bytes, size: int) -> bytes:
    """A file of type ICO with one picture, which may be a PNG."""
    header = struct.pack("<HHH", 0, 1, 1)
    entry = struct.pack("<BBBBHHII", size, size, 0, 0, 1, 32, len(png), len(header) + 16)
    return header + entry + png


if __name__ == "__main__":
    asyncio.run(main())
