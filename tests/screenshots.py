"""Takes the pictures of the README, of the demo: `make screenshots`."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import Browser, expect

from presence_server.commands.demo_site import GUEST, PASSWORD
from presence_server.resources import ROOT
from tests.browser.window import Window
from testing.browsers import open_browser
from testing.processes import launch

PICTURES = ROOT / "docs" / "pictures"
WIDE = {"viewport": {"width": 960, "height": 680}, "device_scale_factor": 1.5}
PHONE = {
    "viewport": {"width": 390, "height": 760},
    "device_scale_factor": 1.5,
    "is_mobile": True,
    "has_touch": True,
}
SHOTS: dict[str, dict[str, Any]] = {
    "light": {**WIDE, "color_scheme": "light"},
    "dark": {**WIDE, "color_scheme": "dark"},
    "phone-light": {**PHONE, "color_scheme": "light"},
    "phone-dark": {**PHONE, "color_scheme": "dark"},
}


async def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        server = await launch("demo", "--port=0", log_file=Path(folder) / "demo.log")
        try:
            assert server.stdout is not None
            url = (await server.stdout.readline()).decode().removeprefix("Listening on ").strip()
            async with open_browser() as browser:
                for name, options in SHOTS.items():
                    await take(browser, url, PICTURES / f"{name}.png", options)
        finally:
            server.terminate()
            await server.communicate()


async def take(browser: Browser, url: str, file: Path, options: dict[str, Any]) -> None:
    where: dict[str, Any] = {"locale": "en-GB", "timezone_id": afternoon()}
    async with await browser.new_context(**options, **where) as context:
        window = Window(await context.new_page(), url)
        await window.log_in(GUEST, PASSWORD)
        await window.is_live()
        await (show_the_menu if "is_mobile" in options else add_favourites)(window)
        await window.page.screenshot(path=file, animations="disabled")


def afternoon() -> str:
    """A time zone where it is about three, so that few times are of yesterday."""
    return f"Etc/GMT{datetime.now(UTC).hour - 15:+}" if datetime.now(UTC).hour > 3 else "Etc/GMT-12"


async def show_the_menu(window: Window) -> None:
    await window.open_menu()


async def add_favourites(window: Window) -> None:
    for group, number in (("online", 3), ("offline", 2)):
        if group == "offline":
            # Whoever is not here is read as one scrolls.
            await window.page.evaluate("scrollTo(0, document.body.scrollHeight)")
        await window.page.locator(f'[data-group="{group}"] li').nth(number).click()
        await window.page.get_by_role("button", name="Favourite").click()
        await window.page.keyboard.press("Escape")
        await expect(window.page.get_by_role("dialog")).to_be_hidden()
    await window.page.mouse.move(1, 1)
    await window.page.evaluate("scrollTo(0, 0)")
    await expect(window.page.get_by_role("heading", name="Favourites 2")).to_be_visible()


if __name__ == "__main__":
    asyncio.run(main())
