"""The list that changes by itself, in real windows."""

import asyncio

import pytest
from playwright.async_api import CDPSession, Locator, Page, Route, WebSocketRoute, expect

from tests.browser.conftest import OpenWindow
from tests.conftest import Serve, Visit
from testing.visitor import PASSWORD, Visitor

pytestmark = pytest.mark.browser


async def test_two_people_see_each_other_come_and_go(serve: Serve, window: OpenWindow) -> None:
    server = await serve()
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
    await expect(alice.page).to_have_title("2 here · Presence")
    await bob.log_out()
    # At once: well within the grace.
    await alice.sees("bob", "Offline", within=2_000)
    await expect(alice.page).to_have_title("1 here · Presence")
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
    server = await serve()
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
                window.shifts.push(...sources.map((source) => JSON.stringify(source)));
            }
        }).observe({ type: "layout-shift", buffered: true });
        """
    )
    await alice.page.reload()
    await alice.is_live()
    assert await geometry(alice.page) == drawn
    assert await alice.page.evaluate("window.shifts") == []


async def geometry(page: Page) -> list[list[object]]:
    found: list[list[object]] = await page.locator("#people > li").evaluate_all(
        """rows => rows.map((row) => {
            const { x, y, width, height } = row.getBoundingClientRect();
            const words = row.textContent.replace(/\\s+/g, " ");
            return [row.dataset.username, x, y, width, height, words];
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
    await expect(zoe.page.locator("#people > li").nth(2)).to_have_attribute(
        "data-username", "carol"
    )
    assert await zoe.names() == ["zoe", "alice", "carol", "bob"]
    await expect(zoe.row("bob")).to_contain_text("last seen just now")
    await expect(carol.row("bob")).to_contain_text("last seen just now")


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
        await alice.row("alice").focus()
        await alice.page.keyboard.press("ArrowDown")
        await expect(alice.row("bob")).to_be_focused()
    await bob.log_out()
    await alice.sees("bob", "Offline")
    # By then a row that nothing holds has long moved.
    await expect(alice.page.get_by_role("button", name="Sort 1 into place")).to_be_visible()
    assert await alice.names() == ["alice", "bob", "carol"]
    if by == "pointer":
        await alice.page.mouse.move(1, 1)
    elif by == "finger":
        await touch(finger, "touchEnd")
    else:
        await expect(alice.row("bob")).to_be_focused()
        await alice.page.get_by_label("Find people").focus()
    await expect(alice.page.locator("#people > li").nth(1)).to_have_attribute(
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
    await bob.page.get_by_role("button", name="Away").click()
    await alice.sees("bob", "Away")
    away = phone.page.get_by_role("button", name="Away")
    await expect(away).to_have_attribute("aria-pressed", "true")
    # Input on another device, or a reload, does not undo what was chosen.
    await phone.page.mouse.move(5, 5)
    await phone.page.reload()
    await phone.is_live()
    await expect(away).to_have_attribute("aria-pressed", "true")
    await phone.page.get_by_role("button", name="Online").click()
    await alice.sees("bob", "Online")
    await bob.sees("bob", "Online")


async def test_away_after_five_minutes_without_input_or_out_of_sight(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve()
    alice, bob = await window(server, "alice"), await window(server, "bob")
    await bob.page.clock.install()
    await bob.page.reload()
    await bob.page.clock.run_for(1_000)
    await bob.is_live()
    await bob.page.clock.run_for("04:30")
    await bob.sees("bob", "Online")
    # As when the list keeps its place while people come and go.
    await bob.page.evaluate("dispatchEvent(new Event('scroll'))")
    await bob.page.clock.run_for("00:45")
    await alice.sees("bob", "Away")
    await bob.page.mouse.move(9, 9)
    await alice.sees("bob", "Online")
    # Out of sight it is the same, until one looks at the page again.
    await show(bob.page, "hidden")
    await bob.page.clock.run_for("05:15")
    await alice.sees("bob", "Away")
    await show(bob.page, "visible")
    await alice.sees("bob", "Online")


async def test_one_who_is_away_comes_back_away(
    serve: Serve, visit: Visit, window: OpenWindow
) -> None:
    server = await serve(grace=0.2)
    alice, bob = await visit(server, "alice"), await window(server, "bob")
    await bob.page.clock.install()
    await bob.page.reload()
    await bob.page.clock.run_for(1_000)
    await bob.is_live()
    await bob.page.clock.run_for("05:15")
    async with alice.live() as of_alice:
        await of_alice.sees("bob", "away")
        seen = len(of_alice.received)
        await bob.page.evaluate("dispatchEvent(new Event('pagehide'))")
        await of_alice.sees("bob", "offline")
        await bob.page.evaluate("dispatchEvent(new Event('pageshow'))")
        await of_alice.sees("bob", "away")
        assert not [message for message in of_alice.received[seen:] if message.get("online")]


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
    # Not in windows: the clock runs on, and to open three takes as long as a digest gathers.
    bob = await visit(server, "bob")
    await visit(server, "carol")
    await visit(server, "dave")
    await bob.log_out()
    await alice.page.clock.run_for(100)
    await alice.sees("bob", "Offline")
    await alice.page.clock.run_for(5_000)
    await expect(news).to_have_text("2 people came")
    await visit(server, "erin")
    await alice.page.clock.run_for(100)
    await alice.sees("erin", "Online")
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
    await bob.page.get_by_role("button", name="Delete the account").click()
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
        for name in ("bob", "Bonnie", "carol"):
            await visitor.sign_up(name)
    # Before alice, who would else be told of it while she searches.
    await (await window(server, "boris")).is_live()
    alice = await window(server, "alice")
    await alice.is_live()
    await alice.sees("boris", "Online")
    assert await alice.names() == ["alice", "boris", "bob", "Bonnie", "carol"]
    box = alice.page.get_by_role("searchbox")
    await box.fill("BO")
    await expect(alice.page.locator("#people > li")).to_have_count(3)
    assert await alice.names() == ["boris", "bob", "Bonnie"]
    await expect(alice.page).to_have_url(alice.url + "/?q=BO")
    # As a screen reader hears it.
    news = alice.page.locator("#news")
    await expect(news).to_have_text("3 people found")
    await alice.page.get_by_role("button", name="Here now").click()
    await expect(alice.page.locator("#people > li")).to_have_count(1)
    await expect(news).to_have_text("1 person found")
    await box.press("Enter")
    await alice.page.reload()
    await alice.is_live()
    assert await alice.names() == ["boris"]
    # No name begins like this, and the server need not be asked.
    await box.fill("bör")
    await expect(alice.page.locator("#nobody")).to_have_text(
        "Nobody here has a name that begins with “bör”."
    )
    await box.fill("nobody")
    nobody = "Nobody here has a name that begins with “nobody”."
    await expect(alice.page.locator("#nobody")).to_have_text(nobody)
    await expect(news).to_have_text(nobody)
    await alice.page.get_by_role("button", name="Everyone").click()
    await box.fill("")
    await expect(alice.page.locator("#people > li")).to_have_count(5)
    await expect(alice.page).to_have_url(alice.url + "/")


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

    await alice.page.route_web_socket("**/users/", connect_when_ready)
    await alice.goto("/?q=b")
    assert await alice.names() == ["bob"]
    await alice.page.get_by_role("searchbox").fill("a")
    ready.set()
    await expect(alice.page.locator("#people > li")).to_have_count(2)
    assert await alice.names() == ["alice", "abel"]
    await expect(alice.page).to_have_url(alice.url + "/?q=a")


async def test_an_answer_that_comes_late_is_not_shown(serve: Serve, window: OpenWindow) -> None:
    server = await serve()
    async with Visitor.at(str(server.make_url(""))) as visitor:
        for name in ("bob", "carol"):
            await visitor.sign_up(name)
    alice = await window(server, "alice")
    await alice.is_live()
    late = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await late.wait()
        await route.continue_()

    await alice.page.route("**/api/users?*q=b*", answer_late)
    box = alice.page.get_by_role("searchbox")
    async with alice.page.expect_request("**/api/users?*q=b*") as asked:
        await box.fill("b")
    await box.fill("c")
    await alice.sees("carol", "Offline")
    late.set()
    await (await asked.value).response()
    await alice.page.evaluate("new Promise(requestAnimationFrame)")
    assert await alice.names() == ["carol"]
    await box.fill("")
    await alice.sees("bob", "Offline")
    assert await alice.names() == ["alice", "bob", "carol"]


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
    await expect(alice.page).to_have_title("2 here · Presence")
