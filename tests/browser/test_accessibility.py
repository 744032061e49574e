"""WCAG 2.2 AA as axe-core judges it, and what it cannot judge: keyboard, narrow screens, order."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from presence_server.app import create_app
from presence_server.accounts import users
from presence_server.config import Config
from presence_server.keys import DATABASE
from tests.browser.conftest import OpenWindow
from tests.browser.window import Window
from tests.conftest import Serve, ServeApp, Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ERRORS: dict[type[Exception], str] = {
    web.HTTPForbidden: "Request refused.",
    web.HTTPNotFound: "There is nothing at this address.",
    web.HTTPTooManyRequests: "Too many requests. Please wait a moment.",
    web.HTTPServiceUnavailable: "The site is busy. Please try again in a moment.",
    ZeroDivisionError: "Something went wrong on our side.",
}
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# All others see the same in every scheme.
OF_COLOURS = ["color-contrast", "link-in-text-block"]


async def violations_in_both_schemes(page: Page) -> list[str]:
    """Without motion, for no colour shall be on its way to another."""
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    found = await violations(page)
    await page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    return found + await _violations(page, {"type": "rule", "values": OF_COLOURS})


async def violations(page: Page) -> list[str]:
    return await _violations(page, {"type": "tag", "values": TAGS})


async def _violations(page: Page, rules: dict[str, Any]) -> list[str]:
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    results: Any = await Axe().run(page, options=options)
    return [
        f"{found['id']}: {node['html']} {node['failureSummary']}"
        for found in results.response["violations"]
        for node in found["nodes"]
    ]


async def test_axe_finds_nothing_before_log_in(serve: Serve, window: OpenWindow) -> None:
    alice = await window(await serve())
    for path in ("/log_in/", "/sign_up/", "/nothing"):
        await alice.goto(path)
        assert await violations_in_both_schemes(alice.page) == [], path
    await alice.sign_up("a b", "short", again="other")
    await expect(alice.page.locator("[aria-invalid]")).to_have_count(3)
    assert await violations_in_both_schemes(alice.page) == []
    await alice.sign_up("alice")
    await expect(alice.page.get_by_role("status")).to_be_visible()
    assert await violations_in_both_schemes(alice.page) == []
    await alice.log_in("alice", "wrong-password")
    await expect(alice.page.get_by_role("alert")).to_be_visible()
    assert await violations_in_both_schemes(alice.page) == []
    alice.complaints.clear()


@pytest.mark.parametrize("width", [320, 1280])
async def test_axe_finds_nothing_on_the_list_and_the_account_page(
    serve: Serve, window: OpenWindow, width: int
) -> None:
    server = await serve()
    size = {"width": width, "height": 800}
    alice = await window(server, "alice", viewport=size)
    bob, carol = await window(server, "bob"), await window(server, "carol")
    await bob.choose("Away")
    await carol.log_out()
    await alice.sees("bob", "Away")
    await alice.sees("carol", "Offline")
    assert await violations_in_both_schemes(alice.page) == []
    menu = await alice.open_menu()
    assert await violations_in_both_schemes(alice.page) == []
    # Without colours of ours what is chosen is still told apart.
    await alice.page.emulate_media(forced_colors="active")
    grounds = await menu.locator("[name=status]").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).backgroundColor)"
    )
    assert grounds[0] not in grounds[1:]
    assert await violations(alice.page) == []
    await alice.page.emulate_media(forced_colors="none")
    await alice.page.keyboard.press("Escape")
    await alice.row("carol").click()
    await expect(alice.page.get_by_role("dialog", name="carol")).to_be_visible()
    assert await violations_in_both_schemes(alice.page) == []
    await alice.page.keyboard.press("Escape")
    await alice.page.get_by_role("searchbox").fill("nobody")
    await expect(alice.page.locator("#nobody")).to_be_visible()
    assert await violations_in_both_schemes(alice.page) == []
    await alice.goto("/account/")
    await alice.page.get_by_text("Delete alice").click()
    assert await violations_in_both_schemes(alice.page) == []


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
async def test_large_text_fits_on_a_phone(
    serve: Serve, window: OpenWindow, direction: str
) -> None:
    server = await serve()
    await window(server, "a-rather-long-name-of-32-letters")
    # Its scroll bar takes no room, and what is too wide makes the page wider.
    phone = {"viewport": {"width": 360, "height": 640}, "is_mobile": True, "has_touch": True}
    alice = await window(server, "alice", **phone)
    for path in ("/", "/account/", "/log_in/", "/nothing"):
        await alice.goto(path)
        for size in (100, 200, 400):
            await set_text(alice.page, size, direction)
            assert await alice.page.evaluate("innerWidth") == 360, (path, size)
            assert await overlapping_rows(alice.page) == [], size
            if size == 400:
                continue
            log_out = alice.page.get_by_role("button", name="Log out")
            await expect(log_out.first).to_be_in_viewport(ratio=1)
            menu = await alice.open_menu()
            box = await menu.bounding_box()
            assert box and (box["x"], box["width"]) == (0, 360), (path, size)
            assert await menu.evaluate("menu => menu.scrollWidth - menu.clientWidth") <= 0
            assert await violations(alice.page) == []
            await alice.page.keyboard.press("Escape")
    alice.complaints.clear()
    await alice.log_out()
    for path in ("/log_in/", "/sign_up/"):
        await alice.goto(path)
        await set_text(alice.page, 200, direction)
        assert await overflow(alice.page) <= 0, path


async def overlapping_rows(page: Page) -> list[str]:
    """The texts of rows that reach into the next one, and of those that hold too little."""
    found: list[str] = await page.locator("#people li").evaluate_all(
        """rows => rows.filter((row) => {
            const { bottom } = row.getBoundingClientRect();
            const next = row.nextElementSibling?.getBoundingClientRect();
            const words = row.querySelector(".words").getBoundingClientRect();
            return words.bottom > bottom + 1 || (next && next.top < bottom - 1);
        }).map((row) => row.innerText)"""
    )
    return found


async def set_text(page: Page, percent: int, direction: str = "ltr") -> None:
    await page.evaluate(
        """async ([percent, direction]) => {
            document.documentElement.style.fontSize = `${percent}%`;
            document.documentElement.dir = direction;
            for (const _ of "..") await new Promise(requestAnimationFrame);
        }""",
        [percent, direction],
    )


async def test_large_text_leaves_room_for_the_list(
    serve: Serve, window: OpenWindow, visit: Visit
) -> None:
    server = await serve()
    for number in range(20):
        await (await visit(server)).sign_up(f"user{number:02}")
    alice = await window(server, "alice", viewport={"width": 1280, "height": 800})
    await alice.is_live()
    box = alice.page.get_by_role("searchbox")
    for percent, stays in ((100, True), (400, False)):
        await set_text(alice.page, percent)
        await alice.page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
        seen = expect(box)
        await (seen.to_be_in_viewport() if stays else seen.not_to_be_in_viewport())
        await expect(alice.page.locator("#people li >> visible=true").first).to_be_attached()


async def test_what_belongs_together_stands_together_from_right_to_left(
    serve: Serve, window: OpenWindow
) -> None:
    alice = await window(await serve(), "alice", viewport={"width": 960, "height": 640})
    await alice.is_live()
    await set_text(alice.page, 100, "rtl")
    dot = await alice.page.locator(".dot").bounding_box()
    words = await alice.page.locator("#state-words").bounding_box()
    assert dot and words
    gap = dot["x"] - (words["x"] + words["width"])
    assert 0 < gap < 20


async def test_all_names_are_printed_and_nothing_to_press(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve()
    for number in range(119):
        await users.create(server.app[DATABASE], f"user{number:03}", "", 1)
    alice = await window(server, "alice")
    await alice.is_live()
    rows = alice.page.locator("#people li")
    assert await rows.count() < 60
    await alice.page.emulate_media(media="print")
    async with alice.page.expect_request_finished():
        await alice.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    await expect(rows).to_have_count(120)
    places = await rows.evaluate_all(
        """rows => rows.map((row) => {
            const { x, y } = row.getBoundingClientRect();
            return `${x} ${y}`;
        })"""
    )
    assert len(set(places)) == 120
    await expect(alice.row("user118").locator(".word")).to_have_text("offline")
    for control in await alice.page.locator("button, input, a, nav").all():
        await expect(control.and_(alice.page.locator(":not(.brand)"))).to_be_hidden()
    await alice.page.emulate_media(media="screen")
    await alice.page.evaluate("dispatchEvent(new Event('afterprint'))")
    await expect(rows).not_to_have_count(120)
    # Chromium would rather have no request that a page waits for.
    alice.complaints.clear()


async def test_names_are_not_translated(serve: Serve, window: OpenWindow) -> None:
    alice = await window(await serve(), "alice")
    await alice.is_live()
    for path in ("/", "/account/", "/log_in/"):
        await alice.goto(path)
        found = await alice.page.evaluate(
            """() => {
                const texts = document.createNodeIterator(document.body, NodeFilter.SHOW_TEXT);
                const found = [];
                for (let text = texts.nextNode(); text; text = texts.nextNode()) {
                    if (/alice/.test(text.data)) found.push(text.parentElement.translate);
                }
                return found;
            }"""
        )
        assert found and not any(found), path


async def test_axe_finds_nothing_on_the_pages_of_errors(
    serve_app: ServeApp, config: Callable[..., Config], window: OpenWindow
) -> None:
    app = create_app(config())
    for error in ERRORS:
        app.router.add_get(f"/{error.__name__}", raising(error))
    alice = await window(await serve_app(app), "alice", viewport={"width": 320, "height": 640})
    for error, sentence in ERRORS.items():
        await alice.goto(f"/{error.__name__}")
        await expect(alice.page.get_by_text(sentence)).to_be_visible()
        assert await violations_in_both_schemes(alice.page) == [], error
        assert await overflow(alice.page) <= 0
    alice.complaints.clear()


def raising(error: type[Exception]) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        raise error

    return handler


async def test_axe_finds_nothing_while_the_connection_is_lost(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve()
    alice = await window(server, "alice")
    await alice.is_live()
    await alice.page.evaluate("Math.random = () => 1 - Number.EPSILON")
    await server.close()
    await alice.is_in_state("waiting")
    assert await violations_in_both_schemes(alice.page) == []
    # Or it goes on trying, and complaining.
    await alice.page.goto("about:blank")
    alice.complaints.clear()


async def test_the_list_is_walked_by_keyboard(serve: Serve, window: OpenWindow) -> None:
    server = await serve()
    for name in ("bob", "carol"):
        await window(server, name)
    alice = await window(server, "alice")
    await alice.sees("carol", "Online")
    await alice.page.keyboard.press("Tab")
    await expect(alice.page.get_by_role("link", name="Skip to content")).to_be_focused()
    reached = [await press_tab(alice) for _ in range(8)]
    assert reached == [
        *("Presence", "alice Online", "Log out", "q", "Everyone", "Here now", "row", "body")
    ]
    await alice.button_of("alice").focus()
    keys = {"ArrowDown": "bob", "End": "carol", "ArrowUp": "bob", "Home": "alice"}
    for key, name in keys.items():
        await alice.page.keyboard.press(key)
        await expect(alice.button_of(name)).to_be_focused()
    await alice.page.keyboard.press("ArrowDown")
    await alice.page.keyboard.press("Enter")
    card = alice.page.get_by_role("dialog", name="bob")
    await expect(card).to_contain_text("Online since")
    await alice.page.keyboard.press("Escape")
    await expect(alice.button_of("bob")).to_be_focused()
    await expect(alice.row("carol")).to_have_attribute("aria-posinset", "3")
    await expect(alice.row("carol")).to_have_attribute("aria-setsize", "3")


async def press_tab(window: Window) -> str:
    await window.page.keyboard.press("Tab")
    name: str = await window.page.evaluate(
        """() => {
            const { activeElement: at } = document;
            if (at.matches(".open")) return "row";
            const words = (at.querySelector(".me-words") ?? at).textContent.trim();
            return at === document.body ? "body" : at.id === "q" ? "q" : words;
        }"""
    )
    return name


async def test_one_can_choose_away_and_log_out_by_keyboard(
    serve: Serve, window: OpenWindow
) -> None:
    alice = await window(await serve(), "alice")
    await alice.is_live()
    await alice.page.locator(".me-button").focus()
    await alice.page.keyboard.press("Enter")
    reached = [await press_tab(alice) for _ in range(3)]
    assert [words[:4] for words in reached] == ["Auto", "Busy", "Away"]
    await alice.page.keyboard.press("Space")
    await alice.sees("alice", "Away")
    await alice.page.keyboard.press("Escape")
    await expect(alice.page.locator(".me-button")).to_be_focused()
    await alice.page.get_by_role("button", name="Log out").focus()
    await alice.page.keyboard.press("Enter")
    await expect(alice.page).to_have_url(alice.url + "/log_in/")


@pytest.mark.parametrize("width", [320, 390, 700, 1920])
async def test_nothing_is_wider_than_the_screen(
    serve: Serve, window: OpenWindow, width: int
) -> None:
    server = await serve()
    size = {"width": width, "height": 640}
    longest = "w" * 31
    alice = await window(server, viewport=size)
    for path in ("/sign_up/", "/log_in/", "/nothing"):
        await alice.goto(path)
        assert await overflow(alice.page) <= 0, path
    await alice.enter(longest)
    await alice.is_live()
    assert await overflow(alice.page) <= 0
    await alice.goto("/account/")
    assert await overflow(alice.page) <= 0
    alice.complaints.clear()


async def overflow(page: Page) -> int:
    """How many pixels of the page lie beyond its right edge."""
    found: int = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return found


async def test_on_a_phone_names_and_words_stand_below_each_other(
    serve: Serve, window: OpenWindow, visit: Visit
) -> None:
    server = await serve()
    await (await visit(server)).sign_up("bob")
    alice = await window(
        server, "alice", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    await alice.is_live()
    name = await alice.row("alice").locator(".name").bounding_box()
    words = await alice.row("alice").locator(".words").bounding_box()
    assert name and words
    assert words["y"] >= name["y"] + name["height"]
    # A bell is found where it has words, and seen in the row once it is set.
    bell = alice.row("bob").locator(".bell")
    await expect(bell).to_be_hidden()
    await alice.row("bob").tap()
    await alice.page.get_by_role("button", name="Tell me when bob comes").tap()
    await alice.page.get_by_role("button", name="Close").tap()
    await expect(bell).to_be_visible()
    # The menu comes from below, within reach, and all of it can be seen.
    await alice.page.locator(".me-button").tap()
    menu = alice.page.locator("#me-menu")
    await expect(menu).to_be_in_viewport(ratio=1)
    await menu.get_by_role("button", name=re.compile("^Away")).tap()
    await alice.sees("alice", "Away")
    await alice.page.touchscreen.tap(195, 20)
    await expect(menu).to_be_hidden()
    small = await alice.page.evaluate(
        """() => [...document.querySelectorAll("button, a, input, select")]
            .map((control) => [control.outerHTML, control.getBoundingClientRect()])
            .filter(([, { width, height }]) => width > 1 && Math.min(width, height) < 38)"""
    )
    assert small == []


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
async def test_those_who_want_no_motion_get_none(
    serve: Serve, window: OpenWindow, motion: str
) -> None:
    server = await serve()
    bob = await window(server, "bob")
    alice = await window(server, "alice", reduced_motion=motion)
    await alice.is_live()
    await alice.sees("bob", "Online")
    await alice.page.evaluate(
        """() => {
            window.motions = 0;
            const animate = Element.prototype.animate;
            Element.prototype.animate = function (...how) {
                window.motions += 1;
                return animate.apply(this, how);
            };
        }"""
    )
    await bob.log_out()
    await alice.sees("bob", "Offline")
    moved = await alice.page.evaluate("window.motions")
    assert moved == 0 if motion == "reduce" else moved > 0
