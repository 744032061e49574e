"""The list that changes by itself, in real windows."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import CDPSession, Locator, Page, Route, WebSocketRoute, expect

from presence_server.accounts import users
from presence_server.keys import DATABASE, PRESENCE
from presence_server.live.farewells import RESTARTING
from tests.browser.conftest import QUIET, OpenWindow
from tests.browser.window import Window
from tests.conftest import Serve, Visit
from testing.visitor import PASSWORD, Visitor

pytestmark = pytest.mark.browser


async def test_two_people_see_each_other_come_and_go(serve: Serve, window: OpenWindow) -> None:
    server = await serve(grace=60)
    alice, bob = await window(server), await window(server)
    for each, name in ((alice, "alice"), (bob, "bob")):
        await each.sign_up(name)
        await expect(each.page).to_have_url(each.url + "/log_in/")
        await expect(each.page.get_by_role("status")).to_have_text(
            "Your account is ready. Log in with it."
        )
        await each.log_in(name)
        await expect(each.page).to_have_url(each.url + "/")
        await each.sees(name, "Online")
    await bob.sees("alice", "Online")
    await alice.sees("bob", "Online")
    await expect(alice.page).to_have_title("(2) Presence")
    await bob.log_out()
    # At once: well within the grace.
    await alice.sees("bob", "Offline")
    await expect(alice.page).to_have_title("(1) Presence")
    await bob.log_in("bob")
    await alice.sees("bob", "Online")


async def test_closing_two_of_three_tabs_changes_nothing(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve(grace=0.3)
    alice = await window(server, "alice")
    bob = await window(server, "bob")
    tabs = [await bob.tab(), await bob.tab()]
    for tab in tabs:
        await tab.is_live()
    await alice.sees("bob", "Online")
    watched = await Watched.row(alice.page, "bob")
    for tab in tabs:
        await tab.page.close()
    # Carol comes after more than the grace, and whatever alice hears of her is newer.
    await (await window(server, "carol")).is_live()
    await alice.sees("carol", "Online")
    assert await watched.statuses() == []
    await bob.page.close()
    await alice.sees("bob", "Offline")


async def test_a_reload_causes_no_flicker(serve: Serve, window: OpenWindow) -> None:
    server = await serve(grace=60)
    alice, bob = await window(server, "alice"), await window(server, "bob")
    await alice.sees("bob", "Online")
    watched = await Watched.row(alice.page, "bob")
    for _ in range(3):
        await bob.page.reload()
        await bob.is_live()
    await (await window(server, "carol")).is_live()
    await alice.sees("carol", "Online")
    assert await watched.statuses() == []


class Watched:
    """Remembers every status that a row shows from now on."""

    def __init__(self, page: Page) -> None:
        self._page = page

    @classmethod
    async def row(cls, page: Page, username: str) -> "Watched":
        await page.evaluate(
            """(username) => {
                window.statuses = [];
                const row = document.querySelector(`li[data-username="${username}"]`);
                new MutationObserver(() => window.statuses.push(row.dataset.status)).observe(
                    row, { attributes: true, attributeFilter: ["data-status"] });
            }""",
            username,
        )
        return cls(page)

    async def statuses(self) -> list[str]:
        statuses: list[str] = await self._page.evaluate("window.statuses")
        return statuses


async def test_the_script_takes_over_without_a_jump(serve: Serve, window: OpenWindow) -> None:
    server = await serve()
    for name in ("bob", "carol", "dave"):
        async with Visitor.at(str(server.make_url(""))) as visitor:
            await visitor.sign_up(name)
    alice = await window(server, "alice")
    await alice.page.route("**/users/main.js", lambda route: route.abort())
    await alice.page.reload()
    drawn = await geometry(alice.page)
    assert [name for name, *_ in drawn] == ["alice", "bob", "carol", "dave"]
    alice.complaints.clear()
    await alice.page.unroute("**/users/main.js")
    await alice.page.add_init_script(
        """
        window.shifts = [];
        new PerformanceObserver((list) => {
            for (const { sources } of list.getEntries()) {
                window.shifts.push(...sources.map(({ node }) => node?.outerHTML ?? node?.data));
            }
        }).observe({ type: "layout-shift", buffered: true });
        """
    )
    await alice.page.reload()
    await alice.is_live()
    # The script alone knows the visitor's clock: the words of times may be others.
    assert await geometry(alice.page) == drawn
    assert await alice.page.evaluate("window.shifts") == []


async def geometry(page: Page) -> list[list[object]]:
    found: list[list[object]] = await page.locator("#people li").evaluate_all(
        """rows => rows.map((row) => {
            const { x, y, width, height } = row.getBoundingClientRect();
            const word = row.querySelector(".word").textContent;
            return [row.dataset.username, x, y, width, height, word];
        })"""
    )
    return found


async def test_who_is_here_comes_first_and_moves_when_that_changes(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve()
    zoe = await window(server, "zoe")
    bob = await window(server, "bob")
    await window(server, "alice")
    await zoe.sees("alice", "Online")
    assert await zoe.names() == ["zoe", "alice", "bob"]
    await bob.log_out()
    await zoe.sees("bob", "Offline")
    carol = await window(server, "carol")
    await zoe.sees("carol", "Online")
    await expect(zoe.page.locator("#people li").nth(2)).to_have_attribute(
        "data-username", "carol"
    )
    assert await zoe.names() == ["zoe", "alice", "carol", "bob"]
    for each in (zoe, carol):
        await expect(each.row("bob")).to_contain_text("last seen today, ")


@pytest.mark.parametrize("by", ["pointer", "finger", "focus"])
async def test_a_row_does_not_move_away(
    serve: Serve, window: OpenWindow, visit: Visit, by: str
) -> None:
    # Long enough for those who are here without a window.
    server = await serve(grace=60)
    alice, bob = await window(server, "alice", has_touch=True), await visit(server, "bob")
    finger = await alice.context.new_cdp_session(alice.page)
    await visit(server, "carol")
    await alice.sees("carol", "Online")
    if by == "pointer":
        await alice.row("bob").hover()
    elif by == "finger":
        await touch(finger, "touchStart", await middle_of(alice.row("bob")))
    else:
        await alice.button_of("alice").focus()
        await alice.page.keyboard.press("ArrowDown")
        await expect(alice.button_of("bob")).to_be_focused()
    await bob.log_out()
    await alice.sees("bob", "Offline")
    # By then a row that nothing holds has long moved.
    update = alice.page.get_by_role("button", name="1 changed: update the list")
    await expect(update).to_be_visible()
    assert await alice.names() == ["alice", "bob", "carol"]
    if by == "pointer":
        await alice.page.mouse.move(1, 1)
    elif by == "finger":
        await touch(finger, "touchEnd")
    else:
        await expect(alice.button_of("bob")).to_be_focused()
        await alice.page.get_by_role("searchbox").focus()
    await expect(alice.page.locator("#people li").nth(1)).to_have_attribute(
        "data-username", "carol"
    )
    await expect(alice.page.locator("#sort-now")).to_be_hidden()


async def middle_of(row: Locator) -> dict[str, float]:
    box = await row.bounding_box()
    assert box is not None
    return {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}


async def touch(finger: CDPSession, kind: str, *points: dict[str, float]) -> None:
    await finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})


async def test_the_first_user_is_told_what_to_do_next(serve: Serve, window: OpenWindow) -> None:
    server = await serve()
    alice = await window(server, "alice")
    invitation = alice.page.get_by_role("heading", name="You are the first one here")
    await expect(invitation).to_be_visible()
    await window(server, "bob")
    await alice.sees("bob", "Online")
    await expect(invitation).to_be_hidden()


async def test_away_by_choice_holds_for_all_devices(serve: Serve, window: OpenWindow) -> None:
    server = await serve()
    alice, bob = await window(server, "alice"), await window(server, "bob")
    phone = await window(server)
    await phone.log_in("bob")
    await phone.is_live()
    await bob.choose("Away")
    await alice.sees("bob", "Away")
    away = (await phone.open_menu()).get_by_role("button", name=re.compile("^Away"))
    await expect(away).to_have_attribute("aria-pressed", "true")
    # Input on another device, or a reload, does not undo what was chosen.
    await phone.page.mouse.move(5, 5)
    await phone.page.reload()
    await phone.is_live()
    await phone.open_menu()
    await expect(away).to_have_attribute("aria-pressed", "true")
    await phone.choose("Automatic")
    await alice.sees("bob", "Online")
    await bob.sees("bob", "Online")


async def test_away_is_who_gives_no_input_in_any_tab_or_device(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve(heartbeat=QUIET)
    alice, bob = await window(server, "alice"), await window(server, "bob")
    phone = await window(server)
    await phone.log_in("bob")
    tabs = [bob, await bob.tab(), await bob.tab("/account/")]
    for tab in (*tabs, phone):
        await tab.page.clock.install()
        await tab.page.reload()
        await tab.page.clock.run_for(1_000)

    async def pass_time(time: str, *, of: Sequence[Window]) -> None:
        for tab in of:
            await tab.page.clock.run_for(time)

    # Two of them are out of sight, which is not away.
    for tab in tabs[1:]:
        await show(tab.page, "hidden")
    await pass_time("09:30", of=[*tabs, phone])
    await alice.sees("bob", "Online")
    # As when the list keeps its place while people come and go.
    await bob.page.evaluate("dispatchEvent(new Event('scroll'))")
    # Input in one tab counts for the others: all say away together, and no earlier.
    await tabs[2].page.mouse.move(9, 9)
    await pass_time("09:00", of=tabs)
    await alice.sees("bob", "Online")
    await pass_time("01:15", of=tabs)
    # The phone has not been touched for longer.
    await alice.sees("bob", "Online")
    await pass_time("01:00", of=[phone])
    await alice.sees("bob", "Away")
    await phone.page.mouse.move(9, 9)
    await alice.sees("bob", "Online")


async def test_words_and_an_end_stand_beside_a_name_until_they_are_over(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve()
    alice, bob = await window(server, "alice", locale="en-GB"), await window(server, "bob")
    await alice.page.clock.install()
    await alice.page.reload()
    await alice.page.clock.run_for(1_000)
    menu = await bob.open_menu()
    await menu.get_by_role("button", name="In a meeting").click()
    await menu.get_by_role("button", name=re.compile("^Busy")).click()
    # Whoever is busy is here.
    await alice.page.clock.run_for(1_000)
    await alice.sees("bob", "Online")
    row = alice.row("bob")
    words = re.compile("busy since [0-9:]+📅 In a meeting · until (tomorrow, )?[0-9:]+$")
    await expect(row).to_contain_text(words)
    await expect(bob.page.locator("#me-status")).to_have_text("Busy")
    field = menu.get_by_label("What are you doing?")
    await field.fill("Back soon")
    await menu.get_by_label("Until").select_option("The end of today")
    await menu.get_by_role("button", name="Save").click()
    await expect(menu).to_be_hidden()
    await alice.page.clock.run_for(1_000)
    await expect(row).to_contain_text("Back soon · today")
    # As another device sees it, and as it can be changed there.
    phone = await window(server)
    await phone.log_in("bob")
    await phone.is_live()
    menu = await phone.open_menu()
    await expect(menu.get_by_label("What are you doing?")).to_have_value("Back soon")
    await expect(menu.get_by_label("Until")).to_have_value(re.compile("^@[0-9]+$"))
    await menu.get_by_label("Until").select_option("A day and time…")
    await menu.get_by_role("textbox", name="Day and time").fill("2020-01-01T10:00")
    await menu.get_by_role("button", name="Save").click()
    # That has been: the browser says so at the field.
    await expect(menu).to_be_visible()
    await menu.get_by_label("Until").select_option("I change it")
    await menu.get_by_role("button", name=re.compile("^Automatic")).click()
    await alice.page.clock.run_for(1_000)
    await expect(row).to_contain_text(re.compile("online since [0-9:]+Back soon$"))
    # A page whose clock runs on shows nothing beyond its end.
    await menu.get_by_label("Until").select_option("1 hour from now")
    await menu.get_by_role("button", name="Save").click()
    await alice.page.clock.run_for(1_000)
    await expect(row).to_contain_text("Back soon · until")
    await alice.page.clock.fast_forward("01:00:00")
    await alice.page.clock.run_for(1_000)
    await expect(row).not_to_contain_text("Back soon")


async def test_who_is_invisible_sees_so_and_nobody_else(
    serve: Serve, window: OpenWindow, visit: Visit
) -> None:
    server = await serve()
    await (await visit(server, "bob")).submit("/account/name", {"name": "Бо́рис Áron"}, "/account/")
    alice, bob = await window(server, "alice"), await window(server)
    await bob.log_in("bob")
    await bob.is_live()
    await bob.choose("Invisible")
    await alice.sees("bob", "Offline")
    await expect(alice.row("bob")).to_contain_text("last seen today, ")
    await expect(alice.page.locator("#here-count")).to_have_text("1")
    for _ in range(2):
        await expect(bob.page.locator("#me-status")).to_have_text("Invisible")
        await expect(bob.row("bob")).to_contain_text("invisible: others see you offline")
        await bob.page.reload()
        await bob.is_live()
    # A name beside the username; found by any part of it, with accents or without.
    await expect(alice.row("bob").locator(".name")).to_have_text(re.compile("Áron.*bob"))
    for part in ("aro", "борис", "OB"):
        await alice.page.get_by_role("searchbox").fill(part)
        await expect(alice.page.locator("#people li")).to_have_count(1)
        assert await alice.names() == ["bob"]
    await bob.choose("Automatic")
    await alice.sees("bob", "Online")


async def test_favourites_stand_first_and_a_card_tells_all(
    serve: Serve, window: OpenWindow, visit: Visit
) -> None:
    server = await serve(grace=60)
    for name in ("bob", "carol", "dave"):
        await (await visit(server)).sign_up(name)
    alice = await window(server, "alice")
    await alice.is_live()
    titles = alice.page.locator("h2.group-title")
    await expect(titles.filter(visible=True)).to_have_text(["Online 1", "Offline 3"])
    await alice.row("carol").click()
    card = alice.page.get_by_role("dialog", name="carol")
    await expect(card).to_contain_text("Offline")
    await card.get_by_role("button", name="Favourite").click()
    await expect(card.get_by_role("button", name="Favourite")).to_have_attribute(
        "aria-pressed", "true"
    )
    await visit(server, "carol2")
    await (await visit(server)).log_in("carol")
    await expect(card).to_contain_text("Online since")
    await card.get_by_role("button", name="Close").click()
    # Also in another tab, and the next time.
    other = await alice.tab()
    for each in (alice, other):
        first = each.page.locator("h2.group-title").filter(visible=True)
        await expect(first).to_have_text(["Favourites 1", "Online 2", "Offline 2"])
        assert (await each.names())[0] == "carol"
    await other.page.close()


async def test_words_of_a_card_can_be_selected_and_a_press_beside_it_closes_it(
    serve: Serve, window: OpenWindow
) -> None:
    alice = await window(await serve(), "alice")
    await alice.is_live()
    await alice.row("alice").click()
    card, mouse = alice.page.get_by_role("dialog", name="alice"), alice.page.mouse
    box = await card.get_by_role("heading").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    await mouse.move(box["x"] + 30, middle)
    await mouse.down()
    await mouse.move(5, middle, steps=3)
    await mouse.up()
    assert await alice.page.evaluate("String(getSelection())") != ""
    await expect(card).to_be_visible()
    await mouse.click(5, middle)
    await expect(card).to_be_hidden()


async def test_a_card_says_on_what_somebody_is_who_allows_it(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve(grace=0)
    alice, bob = await window(server, "alice"), await window(server)
    await bob.sign_up("bob")
    await bob.log_in("bob")
    await alice.row("bob").click()
    card = alice.page.get_by_role("dialog", name="bob")
    await expect(card).to_contain_text("Online since")
    await expect(card.locator(".card-devices")).to_be_hidden()
    await bob.page.goto(f"{bob.url}/account/")
    section = bob.page.get_by_role("region", name="Computer or phone")
    await section.get_by_role("button", name="Tell others").click()
    await expect(section).to_contain_text("others see whether you are on a computer")
    await expect(card).to_contain_text("On a computer")
    await section.get_by_role("button", name="Tell nobody").click()
    await expect(card.locator(".card-devices")).to_be_hidden()
    await expect(card).to_contain_text("Online since")


async def test_a_bell_rings_once_in_one_tab(
    serve: Serve, window: OpenWindow, visit: Visit
) -> None:
    server = await serve(grace=60)
    await (await visit(server)).sign_up("bob")
    alice = await window(server, permissions=["notifications"])
    await alice.context.add_init_script(
        """
        window.rung = [];
        window.Notification = class extends EventTarget {
            static permission = "granted";
            constructor(words) {
                super();
                window.rung.push(words);
            }
        };
        """
    )
    await alice.enter("alice")
    tabs = [alice, await alice.tab(), await alice.tab("/account/")]
    await alice.is_live()
    await alice.row("bob").hover()
    bell = alice.row("bob").get_by_role("button", name="Tell me when bob comes")
    await bell.click()
    await expect(tabs[1].row("bob").locator(".bell")).to_have_attribute("aria-pressed", "true")
    for _ in range(2):
        bob = await visit(server)
        await bob.log_in("bob")
        await alice.sees("bob", "Online")
        await expect(bell).to_be_hidden()
        await bob.log_out()
        await alice.sees("bob", "Offline")
    rung = [await tab.page.evaluate("window.rung") for tab in tabs]
    assert sum(rung, []) == ["bob is here"]


async def test_what_the_system_knows_of_input_counts_where_it_may(
    serve: Serve, window: OpenWindow, visit: Visit
) -> None:
    server = await serve(heartbeat=QUIET)
    alice, bob = await window(server), await visit(server, "bob")
    await alice.context.add_init_script(
        """
        window.IdleDetector = class extends EventTarget {
            static allowed = "prompt";
            static async requestPermission() {
                return (this.allowed = "granted");
            }
            userState = "active";
            screenState = "unlocked";
            async start() {
                window.detector = this;
            }
            tell(userState, screenState) {
                Object.assign(this, { userState, screenState });
                this.dispatchEvent(new Event("change"));
            }
        };
        navigator.permissions.query = async () => ({ state: IdleDetector.allowed });
        """
    )
    await alice.page.clock.install()
    await alice.enter("alice")
    await alice.page.clock.run_for(1_000)
    await alice.is_live()
    async with bob.live() as socket:
        menu = await alice.open_menu()
        await menu.get_by_role("button", name="Stay online while I use other programs").click()
        await expect(menu.get_by_role("button", name="Notice my work")).to_be_hidden()
        await alice.page.clock.run_for("30:00")
        await socket.sees("alice", "online")
        await alice.page.evaluate("detector.tell('active', 'locked')")
        await socket.sees("alice", "away")
        await alice.page.evaluate("detector.tell('active', 'unlocked')")
        await socket.sees("alice", "online")
        await alice.page.evaluate("detector.tell('idle', 'unlocked')")
        await socket.sees("alice", "away")


async def test_one_who_is_away_comes_back_away_and_is_not_by_loading_a_page(
    serve: Serve, visit: Visit, window: OpenWindow
) -> None:
    server = await serve(grace=1, heartbeat=QUIET)
    alice, bob = await visit(server, "alice"), await window(server, "bob")
    await bob.page.clock.install()
    await bob.page.reload()
    await bob.page.clock.run_for(1_000)
    await bob.is_live()
    await bob.page.clock.run_for("10:15")
    async with alice.live() as of_alice:
        await of_alice.sees("bob", "away")
        seen = len(of_alice.received)
        await bob.page.evaluate("dispatchEvent(new Event('pagehide'))")
        await of_alice.sees("bob", "offline")
        await bob.page.evaluate("dispatchEvent(new Event('pageshow'))")
        await of_alice.sees("bob", "away")
        assert not [message for message in of_alice.received[seen:] if message.get("online")]
        # Whoever loads a page is there.
        await bob.page.reload()
        await bob.page.clock.run_for(1_000)
        await of_alice.sees("bob", "online")


async def show(page: Page, state: str) -> None:
    """Let the page believe that it is "hidden" or "visible"."""
    await page.evaluate(
        """(state) => {
            const hidden = state === "hidden";
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            Object.defineProperty(
                document, "visibilityState", { value: state, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        state,
    )


async def sees_meanwhile(window: Window, username: str, status: str) -> None:
    """The page's clock stands still but for here, and what it is told may come at any moment."""
    async with asyncio.timeout(20):
        while True:
            await window.page.clock.run_for(20)
            with suppress(AssertionError):
                return await window.sees(username, status, within=200)


async def test_changes_are_announced_as_a_digest(
    serve: Serve, window: OpenWindow, visit: Visit
) -> None:
    server = await serve()
    alice = await window(server, "alice")
    await alice.page.clock.install()
    await alice.page.reload()
    await alice.page.clock.run_for(100)
    await alice.is_live()
    news = alice.page.locator("#news")
    await expect(news).to_have_attribute("role", "status")
    # A digest gathers for so long as is said here.
    await alice.page.clock.pause_at(datetime.now() + timedelta(minutes=1))
    bob = await visit(server, "bob")
    await visit(server, "carol")
    await visit(server, "dave")
    await bob.log_out()
    await sees_meanwhile(alice, "bob", "Offline")
    await alice.page.clock.run_for(5_000)
    await expect(news).to_have_text("2 people came")
    await visit(server, "erin")
    await sees_meanwhile(alice, "erin", "Online")
    await alice.page.clock.run_for(10_000)
    await expect(news).to_have_text("2 people came")
    await alice.page.clock.run_for(10_000)
    await expect(news).to_have_text("erin came")


async def test_a_deleted_account_leaves_every_list(serve: Serve, window: OpenWindow) -> None:
    server = await serve()
    alice, bob = await window(server, "alice"), await window(server, "bob")
    await alice.sees("bob", "Online")
    await bob.goto("/account/")
    await bob.page.get_by_text("Delete bob").click()
    await bob.page.get_by_role("textbox", name="Password", exact=True).fill(PASSWORD)
    await bob.page.get_by_role("button", name="Delete account").click()
    await expect(bob.page).to_have_url(bob.url + "/log_in/")
    await expect(alice.row("bob")).to_have_count(0)
    await expect(alice.page.locator("#total")).to_have_text("1")


async def test_names_that_javascript_knows_otherwise(serve: Serve, window: OpenWindow) -> None:
    server = await serve()
    names = ("constructor", "toString", "valueOf")
    windows = [await window(server, name) for name in names]
    for seer in windows:
        for name in names:
            await seer.sees(name, "Online")
    await windows[1].log_out()
    await windows[0].sees("toString", "Offline")
    await expect(windows[2].page.locator("#here-count")).to_have_text("2")


async def test_searching_and_filtering(serve: Serve, window: OpenWindow) -> None:
    server = await serve()
    async with Visitor.at(str(server.make_url(""))) as visitor:
        for name in ("bob", "Bonnie", "carol", "jabo"):
            await visitor.sign_up(name)
    # Before alice, who would else be told of it while she searches.
    await (await window(server, "boris")).is_live()
    alice = await window(server, "alice")
    await alice.is_live()
    await alice.sees("boris", "Online")
    assert await alice.names() == ["alice", "boris", "bob", "Bonnie", "carol", "jabo"]
    rows, found = alice.page.locator("#people li"), alice.page.locator("#found")
    await alice.page.keyboard.press("/")
    box = alice.page.get_by_role("searchbox")
    await expect(box).to_be_focused()
    # Also in the middle of names, and whatever the case.
    await box.fill("BO")
    await expect(rows).to_have_count(4)
    assert await alice.names() == ["boris", "bob", "Bonnie", "jabo"]
    await expect(alice.page).to_have_url(alice.url + "/?q=BO")
    await expect(found).to_have_text("4 people found")
    # As a screen reader hears it.
    news = alice.page.locator("#news")
    await expect(news).to_have_text("4 people found")
    await expect(alice.page.get_by_role("heading", name="Offline 3")).to_be_visible()
    await alice.page.get_by_role("button", name="Here now").click()
    await expect(rows).to_have_count(1)
    await expect(news).to_have_text("1 person found")
    await box.press("Enter")
    await alice.page.reload()
    await alice.is_live()
    assert await alice.names() == ["boris"]
    await box.fill("bör/ ?")
    await expect(alice.page.locator("#nobody")).to_have_text("Nobody here is called “bör/ ?”.")
    nobody = "Nobody here is called “nobody”."
    await box.fill("nobody")
    await expect(alice.page.locator("#nobody")).to_have_text(nobody)
    await expect(news).to_have_text(nobody)
    await alice.page.get_by_role("button", name="Everyone").click()
    await box.press("Escape")
    await expect(rows).to_have_count(6)
    await expect(found).to_have_text("")
    await expect(alice.page).to_have_url(alice.url + "/")
    # What the server has drawn in no groups goes to its own.
    await alice.goto("/?after=carol")
    await expect(alice.page.get_by_role("heading", name="People")).to_have_count(0)
    await expect(rows).to_have_count(6)


async def test_what_is_typed_before_the_script_is_ready_is_found(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve()
    async with Visitor.at(str(server.make_url(""))) as visitor:
        for name in ("abel", "bob"):
            await visitor.sign_up(name)
    alice = await window(server, "alice")
    ready = asyncio.Event()

    async def connect_when_ready(socket: WebSocketRoute) -> None:
        await ready.wait()
        socket.connect_to_server()

    await alice.page.route_web_socket("**/users/*", connect_when_ready)
    await alice.goto("/?q=b")
    assert await alice.names() == ["bob"]
    await alice.page.get_by_role("searchbox").fill("a")
    ready.set()
    await expect(alice.page.locator("#people li")).to_have_count(2)
    assert await alice.names() == ["alice", "abel"]
    await expect(alice.page).to_have_url(alice.url + "/?q=a")


async def add_accounts(server: TestServer, *names: str) -> None:
    for name in names:
        await users.create(server.app[DATABASE], name, "no hash", 1)


async def held_up(window: Window, url: str) -> asyncio.Event:
    """Let no answer from there come before this is set."""
    ready = asyncio.Event()

    async def answer_when_ready(route: Route) -> None:
        await ready.wait()
        await route.continue_()

    await window.page.route(url, answer_when_ready)
    return ready


async def test_who_is_read_while_one_types_on_is_found(serve: Serve, window: OpenWindow) -> None:
    server = await serve()
    await add_accounts(server, *(f"user{number:03}" for number in range(250)))
    alice = await window(server, "alice")
    await alice.is_live()
    ready = await held_up(alice, "**/api/users?*")
    box = alice.page.get_by_role("searchbox")
    async with alice.page.expect_request("**/api/users?*"):
        await box.fill("user2")
    await box.fill("user24")
    await expect(alice.page).to_have_url(alice.url + "/?q=user24")
    ready.set()
    await expect(alice.page.locator("#found")).to_have_text("10 people found")
    await alice.sees("user249", "Offline")


async def test_new_accounts_are_found_although_one_types_while_they_are_asked_for(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve()
    alice = await window(server)
    await alice.context.add_init_script("Math.random = () => 0")
    await alice.enter("alice")
    await alice.is_live()
    ready = await held_up(alice, "**/api/users?*")
    await add_accounts(server, "bob")
    hub = server.app[PRESENCE].hub
    async with alice.page.expect_request("**/api/users?*"):
        for audience in list(hub._audiences.values()):
            for observer in audience.everybody():
                hub.dismiss(observer, RESTARTING, 0.0)
    await alice.page.get_by_role("searchbox").fill("bo")
    await expect(alice.page.locator("#nobody")).to_have_text("Nobody is called “bo”.")
    ready.set()
    await alice.sees("bob", "Offline")


async def test_the_title_tells_the_count_while_the_page_is_hidden(
    serve: Serve, window: OpenWindow, visit: Visit
) -> None:
    server = await serve(grace=60)
    alice = await window(server, "alice")
    await alice.is_live()
    # A hidden page gets no frames.
    await alice.page.evaluate("window.requestAnimationFrame = () => {}")
    await show(alice.page, "hidden")
    await visit(server, "bob")
    await expect(alice.page).to_have_title("(2) Presence")
