"""Where many are here the page is told of those on the screen alone, and nobody sees it."""

import re
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import expect

from presence_server.accounts import users
from presence_server.keys import DATABASE, PRESENCE
from presence_server.live.farewells import RESTARTING
from presence_server.presence.members import Who
from presence_server.presence.records import OWN
from presence_server.web import people
from tests.browser.conftest import OpenWindow
from tests.browser.test_list import held_up
from tests.browser.window import Window
from tests.conftest import Serve

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

PEOPLE = [f"user{number:03}" for number in range(400)]
HERE = PEOPLE[::2]


@pytest.fixture
async def server(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TestServer]:
    monkeypatch.setattr(people, "EVERYBODY", 100)
    server = await serve(grace=600)
    for name in PEOPLE:
        await users.create(server.app[DATABASE], name, "no hash", 1)
    for name in HERE:
        come(server, name)
    yield server


def come(server: TestServer, name: str) -> None:
    server.app[PRESENCE].claim(OWN, Who(f"session of {name}", name))


def leave(server: TestServer, name: str) -> None:
    server.app[PRESENCE].end(f"session of {name}")


async def scroll_to(window: Window, group: str, position: int) -> None:
    """So that a row is in the middle of the screen, as soon as it has been read."""
    await window.page.wait_for_function(
        """([group, position]) => {
            const list = document.querySelector(`[data-group=${group}] ul`);
            const isThere = list.querySelector(`li[aria-posinset="${position}"]`);
            const y = scrollY + list.getBoundingClientRect().top + position * 58 - innerHeight / 2;
            scrollTo(0, list.offsetHeight ? y : document.body.scrollHeight);
            return isThere;
        }""",
        arg=[group, position],
    )


async def test_it_is_the_same_list(server: TestServer, window: OpenWindow) -> None:
    michael = await window(server, "michael")
    frames: list[str] = []
    michael.page.on(
        "websocket", lambda ws: ws.on("framereceived", lambda text: frames.append(str(text)))
    )
    await michael.page.reload()
    await michael.is_live()
    await michael.sees("user000", "Online")
    assert (await michael.names())[:3] == ["michael", "user000", "user002"]
    await expect(michael.page.locator("#here-count")).to_have_text("201")
    await expect(michael.page.locator("#online-count")).to_have_text("201")
    leave(server, "user000")
    await expect(michael.page.locator("#here-count")).to_have_text("200")
    await michael.sees("user002", "Online")
    await expect(michael.row("user000")).to_have_count(0)
    await scroll_to(michael, "online", 150)
    await michael.sees("user298", "Online")
    assert "user390" not in "".join(frames)
    await scroll_to(michael, "offline", 5)
    await michael.sees("user000", "Offline")
    await expect(michael.page.locator("#offline-count")).to_have_text("201")
    come(server, "user001")
    await expect(michael.row("user001")).to_have_count(0)
    await expect(michael.page.locator("#offline-count")).to_have_text("200")


async def test_it_turns_to_those_on_the_screen_and_back_without_a_jump(
    server: TestServer, window: OpenWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "EVERYBODY", 205)
    michael = await window(server, "michael")
    await michael.is_live()
    await sent_lists(michael)
    await scroll_to(michael, "online", 100)
    before = await michael.row("user196").bounding_box()
    # Above, where they move what is on the screen, if it may.
    for number in range(1, 20, 2):
        come(server, f"user{number:03}")
    await expect(michael.page.locator("#here-count")).to_have_text("211")
    await michael.page.wait_for_function("() => watched.at(-1)?.length > 0")
    assert await michael.row("user196").bounding_box() == before
    await expect(michael.row("user196")).to_have_attribute("aria-posinset", "110")
    await expect(michael.page.locator("#online-count")).to_have_text("211")
    for name in HERE[:48]:
        leave(server, name)
    await expect(michael.page.locator("#here-count")).to_have_text("163")
    await michael.page.wait_for_function("() => watched.at(-1) === null")
    await expect(michael.row("user196")).to_have_attribute("aria-posinset", "62")
    assert await michael.row("user196").bounding_box() == before


async def sent_lists(window: Window) -> None:
    """In `watched` of the page: whom it has told the server to tell it of."""
    script = """() => {
        globalThis.watched = [];
        const send = WebSocket.prototype.send;
        WebSocket.prototype.send = function (text) {
            const { type, users } = JSON.parse(text);
            if (type === "watch") watched.push(users);
            return send.call(this, text);
        };
    }"""
    await window.page.evaluate(script)


async def test_search_and_the_filter_ask_the_server(
    server: TestServer, window: OpenWindow
) -> None:
    michael = await window(server, "michael")
    await michael.is_live()
    box = michael.page.get_by_role("searchbox")
    await box.fill("user39")
    await michael.sees("user398", "Online")
    await michael.sees("user399", "Offline")
    await expect(michael.page.locator("#found")).to_have_text("10 people found")
    await michael.page.get_by_role("button", name="Here now").click()
    await expect(michael.page.locator("#found")).to_have_text("5 people found")
    leave(server, "user394")
    await expect(michael.row("user394")).to_have_count(0)
    await box.fill("")
    await expect(michael.page.locator("#online-count")).to_have_text("200")


async def test_it_goes_on_after_the_line_was_lost(server: TestServer, window: OpenWindow) -> None:
    michael = await window(server, "michael")
    await michael.is_live()
    await scroll_to(michael, "online", 50)
    await michael.sees("user098", "Online")
    # What the page shows when its line is lost: it may be back before anybody asks.
    await michael.page.evaluate(
        """() => {
            const count = document.getElementById("here-count");
            new MutationObserver((_, watching) => {
                if (document.body.dataset.state === "live") return;
                watching.disconnect();
                window.lost = [document.body.dataset.state, count.textContent];
            }).observe(document.body, { attributeFilter: ["data-state"] });
        }"""
    )
    hub = server.app[PRESENCE].hub
    for audience in list(hub._audiences.values()):
        for observer in audience.everybody():
            hub.dismiss(observer, RESTARTING, 0.0)
    leave(server, "user098")
    await expect(michael.page.locator("#here-count")).to_have_text("200")
    await michael.is_live()
    state, count = await michael.page.evaluate("window.lost")
    assert state != "live" and count == "201"
    await expect(michael.row("user098")).to_have_count(0)
    await expect(michael.row("user100")).to_have_attribute("aria-posinset", "51")


async def test_who_wants_more_before_the_list_is_read_gets_it(
    server: TestServer, window: OpenWindow
) -> None:
    michael = await window(server)
    await michael.enter("michael")
    ready = await held_up(michael, "**/api/users?*")
    async with michael.page.expect_request("**/api/users?*"):
        await michael.page.reload()
    await michael.page.get_by_role("link", name="More people").click()
    ready.set()
    await expect(michael.page.locator("#people")).to_have_class(re.compile("virtual"))
    await expect(michael.page).to_have_url(michael.url + "/")
    await scroll_to(michael, "offline", 5)


async def test_keys_walk_to_rows_that_have_to_be_read(
    server: TestServer, window: OpenWindow
) -> None:
    michael = await window(server, "michael")
    await michael.is_live()
    await scroll_to(michael, "online", 190)
    await michael.button_of("user376").focus()
    await michael.page.keyboard.press("Home")
    await expect(michael.button_of("michael")).to_be_focused()
    await michael.page.keyboard.press("End")
    await expect(michael.page.locator("#people .open:focus")).to_have_count(1)


async def test_other_pages_are_told_of_whom_one_waits_for_alone(
    server: TestServer, window: OpenWindow
) -> None:
    michael = await window(server, "michael")
    await michael.is_live()
    frames: list[str] = []
    michael.page.on(
        "websocket", lambda ws: ws.on("framereceived", lambda text: frames.append(str(text)))
    )
    script = "localStorage.setItem('bells of michael', JSON.stringify(['user001']))"
    await michael.page.evaluate(script)
    async with michael.page.expect_websocket():
        await michael.goto("/account/")
    come(server, "user003")
    come(server, "user001")
    await expect(michael.page.locator("#notice")).to_have_text("user001 is here")
    told = "".join(frames)
    assert "michael" in told
    assert "user003" not in told and "user100" not in told
