"""The connection, told honestly: cut, dead, restarted, asleep, and the session's end."""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from playwright.async_api import expect

from tests.browser.conftest import QUIET, OpenWindow
from tests.browser.test_accessibility import violations_in_both_schemes
from tests.browser.test_list import Watched, show
from tests.browser.window import Window
from tests.conftest import Serve, ServerProcesses, Visit
from testing.processes import ServerProcess
from testing.redis_server import RedisServer
from testing.tcp_proxy import Proxy

pytestmark = pytest.mark.browser


@pytest.fixture
async def server(server_process: ServerProcesses) -> ServerProcess:
    return await server_process(heartbeat=1, grace=60)


@pytest.fixture
async def line(server: ServerProcess) -> AsyncIterator[Proxy]:
    """A network between a window and the server."""
    async with Proxy(("127.0.0.1", server.port)) as proxy:
        yield proxy


def through(line: Proxy) -> str:
    return f"http://127.0.0.1:{line.port}"


async def test_a_cut_network_is_told_and_mended(
    server: ServerProcess, line: Proxy, window: OpenWindow
) -> None:
    alice, bob = await window(through(line), "alice"), await window(server, "bob")
    await alice.sees("bob", "Online")
    line.shut()
    line.cut()
    await alice.is_in_state("waiting")
    await expect(alice.page.get_by_text("Connection lost. Shown as last known.")).to_be_visible()
    await expect(alice.page.get_by_text("Next try in")).to_be_visible()
    await expect(alice.page).to_have_title("Reconnecting… · Presence")
    icon = alice.page.locator("link[rel=icon]")
    await expect(icon).to_have_attribute("href", re.compile("favicon-lost.svg"))
    await bob.log_out()
    await alice.sees("bob", "Online")
    await line.open()
    # By itself, or sooner: the browser says that the network is back.
    await alice.context.set_offline(True)
    await alice.context.set_offline(False)
    await alice.is_live()
    await alice.sees("bob", "Offline")
    await expect(icon).to_have_attribute("href", re.compile("favicon.svg"))
    alice.complaints.clear()


async def test_accounts_made_while_cut_off_are_found(
    server: ServerProcess, line: Proxy, window: OpenWindow, visit: Visit
) -> None:
    alice = await window(through(line), "alice")
    await alice.is_live()
    await alice.page.evaluate("Math.random = () => 0.1")
    line.shut()
    line.cut()
    await (await visit(server)).sign_up("bob")
    await line.open()
    await alice.is_live()
    await alice.sees("bob", "Offline")
    await expect(alice.page.locator("#total")).to_have_text("2")
    alice.complaints.clear()


async def test_one_need_not_wait_for_the_next_try(
    server: ServerProcess, line: Proxy, window: OpenWindow
) -> None:
    alice = await window(through(line), "alice")
    await stop_the_clock(alice)
    next_try = alice.page.locator("#next-try")
    try_now = alice.page.get_by_role("button", name="Try now")

    async def press() -> None:
        await try_now.click()

    async def get_network_back() -> None:
        await alice.page.evaluate("dispatchEvent(new Event('online'))")

    async def look_at_it() -> None:
        await show(alice.page, "hidden")
        await show(alice.page, "visible")

    for come_back in (press, get_network_back, look_at_it):
        line.shut()
        line.cut()
        await expect(next_try).to_have_text(re.compile("Next try in [0-9]+ s."))
        await line.open()
        await expect(try_now).to_be_visible()
        await come_back()
        await alice.is_live()
        await expect(try_now).to_be_hidden()
        await expect(next_try).to_have_text("")
    alice.complaints.clear()


async def test_waits_grow_to_half_a_minute_at_most_without_a_further_word(
    server: ServerProcess, line: Proxy, window: OpenWindow
) -> None:
    alice = await window(through(line), "alice")
    await stop_the_clock(alice)
    await alice.page.evaluate(
        """() => {
            const words = document.getElementById("state-words");
            window.said = [];
            new MutationObserver(() => window.said.push(words.textContent)).observe(
                words, { childList: true });
        }"""
    )
    line.shut()
    line.cut()
    for seconds in (1, 1, 2, 4, 8, 16, 30, 30):
        await expect(alice.page.locator("#next-try")).to_have_text(f"Next try in {seconds} s.")
        await alice.page.clock.run_for(seconds * 1000)
    # Once, not at every try.
    lost = "Connection lost. Shown as last known."
    assert await alice.page.evaluate("window.said") == [lost]
    # Or it goes on trying, and complaining.
    await alice.page.goto("about:blank")
    alice.complaints.clear()


async def stop_the_clock(window: Window) -> None:
    """Live, but time passes only where it is said to, and every wait is the longest there is."""
    await window.page.clock.install()
    await window.page.reload()
    await window.page.evaluate("Math.random = () => 1 - Number.EPSILON")
    await window.page.clock.pause_at(datetime.now() + timedelta(minutes=1))
    await window.is_live()


async def test_a_page_out_of_the_cache_of_the_browser_is_live_again(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve()
    alice, bob = await window(server, "alice"), await window(server, "bob")
    await alice.sees("bob", "Online")
    # What a browser does to a page that it keeps for the way back.
    await alice.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    await alice.is_in_state("reconnecting")
    await bob.log_out()
    await alice.sees("bob", "Online")
    await alice.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow'))")
    await alice.is_live()
    await alice.sees("bob", "Offline")


async def test_a_server_that_opens_no_more_sockets_is_told(
    serve: Serve, window: OpenWindow
) -> None:
    alice = await window(await serve(max_sockets_per_user=1), "alice")
    await alice.is_live()
    other = await alice.tab()
    refused = other.page.get_by_text("The server accepts no live connections right now")
    await expect(refused).to_be_visible()
    await expect(other.page.get_by_text("Next try in")).to_be_visible()
    await alice.page.close()
    await other.is_live(within=25_000)
    alice.complaints.clear()


async def test_a_line_that_fell_silent_is_noticed(
    server: ServerProcess, line: Proxy, window: OpenWindow
) -> None:
    alice, bob = await window(through(line), "alice"), await window(server, "bob")
    await alice.sees("bob", "Online")
    line.stop()
    await bob.log_out()
    await alice.is_in_state("reconnecting")
    await alice.sees("bob", "Online")
    line.go()
    await alice.is_live()
    await alice.sees("bob", "Offline")


async def test_after_sleep_a_stale_list_is_never_shown_as_live(
    server: ServerProcess, line: Proxy, window: OpenWindow
) -> None:
    alice, bob = await window(through(line), "alice"), await window(server, "bob")
    await alice.page.clock.install()
    await alice.page.reload()
    await alice.page.clock.run_for(100)
    await alice.is_live()
    line.stop()
    await bob.log_out()
    # The machine sleeps for an hour; timers that were due fire once.
    await alice.page.clock.fast_forward("01:00:00")
    await alice.is_in_state("reconnecting")
    line.go()
    await alice.page.clock.run_for(2_000)
    await alice.is_live()
    await alice.page.clock.run_for(100)
    await alice.sees("bob", "Offline")


async def test_what_the_browser_knows_of_the_network_is_heeded(
    server: ServerProcess, window: OpenWindow
) -> None:
    alice = await window(server, "alice")
    await alice.is_live()
    # A false alarm: the server answers.
    async with alice.page.expect_response("**/api/users?limit=1"):
        await alice.page.evaluate("dispatchEvent(new Event('offline'))")
    await alice.is_live()
    # Its open sockets are not even cut.
    await alice.context.set_offline(True)
    await alice.is_in_state("waiting")
    await alice.context.set_offline(False)
    await alice.is_live()
    alice.complaints.clear()


async def test_no_time_passes_in_what_is_only_last_known(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve(heartbeat=QUIET)
    async with Proxy(("127.0.0.1", server.port or 0)) as line:
        alice = await window(through(line), "alice")
        await stop_the_clock(alice)
        await alice.choose("Away")
        since = alice.row("alice").locator(".since")
        await alice.page.clock.run_for("02:00")
        await alice.is_live()
        await alice.page.clock.run_for(100)
        await expect(since).to_have_text(re.compile("[23] min$"))
        line.shut()
        line.cut()
        await alice.is_in_state("waiting")
        words = await since.inner_text()
        await alice.page.clock.run_for("04:00")
        await expect(since).to_have_text(words)
        await line.open()
        await alice.page.clock.run_for("00:31")
        await alice.is_live()
        await alice.page.clock.run_for(100)
        await expect(since).to_have_text(re.compile("[67] min$"))
        alice.complaints.clear()


async def test_a_lost_line_is_told_wherever_one_has_scrolled(
    server: ServerProcess, line: Proxy, window: OpenWindow, visit: Visit
) -> None:
    for number in range(30):
        await (await visit(server)).sign_up(f"user{number:02}")
    alice = await window(through(line), "alice", viewport={"width": 360, "height": 640})
    await alice.is_live()
    await alice.page.evaluate("scrollTo(0, 1300)")
    await expect(alice.row("user20")).to_be_in_viewport()
    line.shut()
    line.cut()
    await expect(alice.page.get_by_text("Connection lost.")).to_be_in_viewport()
    await alice.page.goto("about:blank")
    alice.complaints.clear()


async def test_nothing_waits_by_a_clock_that_was_set_back(
    server: ServerProcess, line: Proxy, window: OpenWindow
) -> None:
    alice = await window(through(line), "alice")
    await stop_the_clock(alice)
    line.shut()
    line.cut()
    next_try = alice.page.locator("#next-try")
    for seconds in (1, 1, 2, 4):
        await expect(next_try).to_have_text(f"Next try in {seconds} s.")
        await alice.page.clock.run_for(seconds * 1000)
    await expect(next_try).to_have_text("Next try in 8 s.")
    now = await alice.page.evaluate("Date.now()")
    await alice.page.clock.set_system_time(now / 1000 - 3600)
    await alice.page.clock.run_for(1_000)
    await expect(next_try).to_have_text("Next try in 7 s.")
    await line.open()
    await alice.page.get_by_role("button", name="Try now").click()
    await alice.is_live()
    alice.complaints.clear()


async def test_sleep_is_noticed_where_it_stops_the_count_of_time(
    server: ServerProcess, line: Proxy, window: OpenWindow
) -> None:
    alice = await window(through(line), "alice")
    await stop_the_clock(alice)
    line.stop()
    now = await alice.page.evaluate("Date.now()")
    await alice.page.clock.set_system_time(now / 1000 + 3600)
    await alice.page.clock.run_for(1_000)
    await alice.is_in_state("reconnecting")
    line.go()
    await alice.page.clock.run_for(2_000)
    await alice.is_live()


async def test_a_frozen_page_keeps_nobody_here(
    serve: Serve, window: OpenWindow, visit: Visit
) -> None:
    server = await serve(grace=0.3)
    alice, bob = await window(server, "alice"), await visit(server, "bob")
    await alice.is_live()
    async with bob.live() as socket:
        await socket.sees("alice", "online")
        # What a browser tells a page that it freezes; this one, without a screen, freezes none.
        await alice.page.evaluate("document.dispatchEvent(new Event('freeze'))")
        await socket.sees("alice", "offline")
        await alice.page.evaluate("document.dispatchEvent(new Event('resume'))")
        await socket.sees("alice", "online")
    await alice.is_live()


async def test_a_restarted_server_shows_nobody_offline(
    server: ServerProcess, line: Proxy, window: OpenWindow
) -> None:
    alice, bob = await window(through(line), "alice"), await window(through(line), "bob")
    await alice.sees("bob", "Online")
    watched = await Watched.row(alice.page, "bob")
    await server.terminate()
    await alice.is_in_state("waiting")
    await server.start()
    line.to = ("127.0.0.1", server.port)
    for each in (alice, bob):
        await each.is_live(within=45_000)
    await (await window(through(line), "carol")).is_live()
    await alice.sees("carol", "Online")
    assert await watched.statuses() == []
    for each in (alice, bob):
        each.complaints.clear()


async def test_logged_out_elsewhere_goes_to_the_log_in_page(
    server: ServerProcess, window: OpenWindow
) -> None:
    alice = await window(server, "alice")
    await alice.is_live()
    await end_other_sessions(await window(server), "alice")
    await expect(alice.page).to_have_url(alice.url + "/log_in/")


async def test_logged_out_while_cut_off_goes_to_the_log_in_page(
    server: ServerProcess, line: Proxy, window: OpenWindow
) -> None:
    alice = await window(through(line), "alice")
    await alice.is_live()
    line.shut()
    line.cut()
    await alice.is_in_state("waiting")
    await end_other_sessions(await window(server), "alice")
    await line.open()
    await expect(alice.page).to_have_url(alice.url + "/log_in/", timeout=25_000)
    alice.complaints.clear()


async def end_other_sessions(window: Window, username: str) -> None:
    await window.log_in(username)
    await expect(window.page).to_have_url(window.url + "/")
    await window.goto("/account/")
    await window.page.get_by_role("button", name="Log out everywhere else").click()
    await expect(window.page.get_by_role("button", name="everywhere else")).to_have_count(0)


async def test_changing_the_password_logs_out_the_other_devices(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve()
    phone = await window(server, "alice")
    await phone.is_live()
    alice = await window(server)
    await alice.log_in("alice")
    await expect(alice.page).to_have_url(alice.url + "/")
    await alice.goto("/account/")
    await alice.page.get_by_label("Current password").fill("johnson123")
    await alice.page.get_by_label("New password", exact=True).fill("wombat-arcade-9")
    await alice.page.get_by_label("New password again", exact=True).fill("wombat-arcade-9")
    await alice.page.get_by_role("button", name="Change password").click()
    changed = "Your password has been changed. You are logged out everywhere else."
    await expect(alice.page.get_by_role("status")).to_have_text(changed)
    await expect(alice.page).to_have_title(re.compile("^Your password has been changed"))
    await alice.page.reload()
    await expect(alice.page.get_by_text(changed)).to_have_count(0)
    await expect(phone.page).to_have_url(phone.url + "/log_in/")
    await alice.goto("/")
    await alice.is_live()


async def test_other_servers_out_of_reach_are_told(
    server_process: ServerProcesses, own_redis: RedisServer, window: OpenWindow
) -> None:
    flags = {"redis_url": own_redis.url, "lease": 1.5, "heartbeat": 1}
    one, other = await server_process(**flags), await server_process(**flags)
    alice, dave = await window(one, "alice"), await window(one, "dave")
    await window(other, "bob")
    await alice.sees("bob", "Online")
    await alice.sees("dave", "Online")
    own_redis.kill()
    await alice.is_in_state("degraded", within=25_000)
    await alice.sees("bob", "Online")
    await expect(alice.row("bob")).to_contain_text("last known")
    # Those on one's own server are known.
    for name in ("alice", "dave"):
        await expect(alice.row(name)).not_to_contain_text("last known")
    assert await violations_in_both_schemes(alice.page) == []
    # Also to whoever opens the page only now.
    await dave.page.reload()
    await dave.is_in_state("degraded", within=25_000)
    await expect(dave.row("bob")).to_contain_text("last known")
    await expect(dave.row("alice")).not_to_contain_text("last known")
    # Who changes on this server is known.
    carol = await window(one, "carol")
    await carol.is_in_state("degraded")
    await alice.sees("carol", "Online")
    await expect(alice.row("carol")).not_to_contain_text("last known")
    own_redis.start()
    await alice.is_live(within=25_000)
    await expect(alice.row("bob")).not_to_contain_text("last known")
