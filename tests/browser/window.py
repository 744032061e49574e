"""One person's browser window, used as people use it."""

import re
from typing import Self

from playwright.async_api import BrowserContext, ConsoleMessage, Locator, Page, expect

from testing.visitor import PASSWORD, Visitor

# Milliseconds, on a machine that others use, too; pages pause for up to ten seconds themselves.
WITHIN = 20_000


class Window:
    """`complaints` is what the browser's console has said, and the errors of scripts."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url.rstrip("/")
        self.username = ""
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    async def goto(self, path: str) -> Self:
        await self.page.goto(self.url + path)
        return self

    async def tab(self, path: str = "/") -> "Window":
        """Another tab of the same browser."""
        tab = Window(await self.context.new_page(), self.url)
        tab.complaints = self.complaints
        tab.username = self.username
        return await tab.goto(path)

    async def sign_up(self, username: str, password: str = PASSWORD, again: str = "") -> None:
        await self.goto("/sign_up/")
        await self.page.get_by_label("Username").fill(username)
        await self.page.get_by_label("Password", exact=True).fill(password)
        await self.page.get_by_label("Password again", exact=True).fill(again or password)
        await self.page.get_by_role("button", name="Sign up").click()

    async def log_in(self, username: str, password: str = PASSWORD) -> None:
        if not self.page.url.startswith(self.url + "/log_in/"):
            await self.goto("/log_in/")
        await self.page.get_by_label("Username").fill(username)
        await self.page.get_by_label("Password", exact=True).fill(password)
        await self.page.get_by_role("button", name="Log in").click()

    async def enter(self, username: str) -> Self:
        """See the list as somebody who has just signed up and logged in, without the forms."""
        async with Visitor.at(self.url) as visitor:
            await visitor.enter(username)
            cookies = [(cookie.key, cookie.value) for cookie in visitor.http.cookie_jar]
        for name, value in cookies:
            await self.context.add_cookies([{"name": name, "value": value, "url": self.url}])
        self.username = username
        return await self.goto("/")

    async def log_out(self) -> None:
        await self.page.get_by_role("button", name="Log out").click()
        await expect(self.page).to_have_url(self.url + "/log_in/")

    async def open_menu(self) -> Locator:
        """The menu at one's own name."""
        menu = self.page.locator("#me-menu")
        if not await menu.is_visible():
            await self.page.locator(".me-button").click()
        await expect(menu).to_be_visible()
        return menu

    async def choose(self, status: str) -> None:
        """Let all see oneself like this: "Automatic", "Busy", "Away" or "Invisible"."""
        choice = (await self.open_menu()).get_by_role("button", name=re.compile(f"^{status}"))
        await choice.click()
        await expect(choice).to_have_attribute("aria-pressed", "true")
        await self.page.keyboard.press("Escape")
        await expect(choice).to_be_hidden()

    def row(self, username: str) -> Locator:
        return self.page.locator(f'#people li[data-username="{username}"]')

    def button_of(self, username: str) -> Locator:
        """What opens the card of a person, and has the focus of a row."""
        return self.row(username).locator(".open")

    async def sees(self, username: str, status: str, within: int = WITHIN) -> None:
        words = f"{username}: {status}"
        await expect(self.row(username)).to_contain_text(words, timeout=within)

    async def is_live(self, within: int = WITHIN) -> None:
        await self.is_in_state("live", within)

    async def is_in_state(self, state: str, within: int = WITHIN) -> None:
        body = self.page.locator("body")
        await expect(body).to_have_attribute("data-state", re.compile(state), timeout=within)

    async def names(self) -> list[str]:
        """The names in the order of the rows, as far as they are drawn."""
        names: list[str] = await self.page.locator("#people li").evaluate_all(
            "rows => rows.map((row) => row.dataset.username)"
        )
        return names

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location.get('url')})")
