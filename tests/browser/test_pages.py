"""The pages with forms, and what works without scripts."""

import re
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import expect

from presence_server.accounts import sessions, users
from presence_server.keys import DATABASE
from presence_server.storage.database import Transaction
from tests.browser.conftest import OpenWindow
from tests.conftest import Serve, Visit
from testing.tcp_proxy import Proxy
from testing.visitor import PASSWORD, Visitor

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scripts", [True, False])
async def test_errors_stand_at_the_field_and_the_first_has_the_focus(
    serve: Serve, window: OpenWindow, scripts: bool
) -> None:
    alice = await window(await serve(), java_script_enabled=scripts)
    await alice.sign_up("alice", "short", again="other")
    page = alice.page
    username, password = page.locator("#username"), page.locator("#password1")
    await expect(password).to_have_attribute("aria-invalid", "true")
    await expect(password).to_have_accessible_description("Use at least 8 characters.")
    await expect(password).to_be_focused()
    await expect(password).to_have_value("")
    await expect(username).to_have_value("alice")
    await expect(username).not_to_have_attribute("aria-invalid", "true")
    alice.complaints.clear()


async def test_a_wrong_log_in_keeps_the_name_and_asks_for_the_password(
    serve: Serve, window: OpenWindow
) -> None:
    alice = await window(await serve())
    await alice.log_in("alice", "wrong-password")
    await expect(alice.page.get_by_role("alert")).to_have_text("Wrong username or password.")
    await expect(alice.page.get_by_label("Username")).to_have_value("alice")
    await expect(alice.page.get_by_label("Password")).to_be_focused()
    alice.complaints.clear()


async def test_a_password_can_be_shown(serve: Serve, window: OpenWindow) -> None:
    alice = await window(await serve())
    await alice.goto("/log_in/")
    password = alice.page.get_by_label("Password")
    await password.fill("secret words")
    await expect(password).to_have_attribute("type", "password")
    show = alice.page.get_by_role("button", name="Show")
    await expect(show).to_have_accessible_description("Password")
    await show.click()
    await expect(password).to_have_attribute("type", "text")
    await alice.page.get_by_role("button", name="Hide").click()
    await expect(password).to_have_attribute("type", "password")


async def test_password_managers_know_every_field(serve: Serve, window: OpenWindow) -> None:
    alice = await window(await serve())
    expected = {
        "/log_in/": {"username": "username", "password": "current-password"},
        "/sign_up/": {
            "username": "username",
            "password1": "new-password",
            "password2": "new-password",
        },
    }
    for path, fields in expected.items():
        await alice.goto(path)
        for name, meaning in fields.items():
            field = alice.page.locator(f"input[name={name}]")
            await expect(field).to_have_attribute("autocomplete", meaning)


@pytest.mark.parametrize("missing", ["scripts", "socket"])
async def test_everything_works_without_scripts_or_while_the_socket_does_not_open(
    serve: Serve, window: OpenWindow, missing: str
) -> None:
    server = await serve()
    async with Visitor.at(str(server.make_url(""))) as visitor:
        for number in range(90):
            await visitor.sign_up(f"user{number:03}")
    alice = await window(server, java_script_enabled=missing != "scripts")
    if missing == "socket":
        # One that is opened and never says a word.
        await alice.page.route_web_socket("**/users/*", lambda _: None)
    await alice.enter("alice")
    rows = alice.page.locator("#people li")
    await expect(rows).to_have_count(80)
    await alice.sees("alice", "Online")
    await alice.sees("user000", "Offline")
    await alice.page.locator(".me-button").click()
    await expect(alice.page.get_by_role("link", name="Your account")).to_be_visible()
    if missing == "scripts":
        await expect(alice.page.get_by_role("button", name=re.compile("^Away"))).to_be_hidden()
    await alice.page.keyboard.press("Escape")
    await alice.page.get_by_role("link", name="More people").click()
    await alice.sees("user089", "Offline")
    await alice.page.get_by_role("searchbox").fill("USER01")
    await alice.page.get_by_role("searchbox").press("Enter")
    await expect(rows).to_have_count(10)
    await alice.page.get_by_role("button", name="Here now").click()
    await expect(rows).to_have_count(0)
    await expect(alice.page.get_by_text("Nobody here is called")).to_be_visible()
    await alice.page.get_by_role("searchbox").fill("")
    # Enter keeps the filter.
    await alice.page.get_by_role("searchbox").press("Enter")
    await expect(rows).to_have_count(1)
    await alice.log_out()


@pytest.mark.parametrize("path", ["/nothing/here", "/log_out/"])
async def test_errors_have_a_page_in_the_same_design(
    serve: Serve, window: OpenWindow, path: str
) -> None:
    alice = await window(await serve(), "alice")
    await alice.goto(path)
    await expect(alice.page.get_by_role("heading")).to_have_text(
        "Nothing here" if "nothing" in path else "This is no page"
    )
    await alice.page.get_by_role("link", name="Back to the list").click()
    await alice.is_live()
    alice.complaints.clear()


@pytest.mark.parametrize("scripts", [True, False])
async def test_two_clicks_send_a_form_once(
    serve: Serve, window: OpenWindow, scripts: bool
) -> None:
    server = await serve()
    alice = await window(server, java_script_enabled=scripts)
    await alice.goto("/sign_up/")
    await alice.page.get_by_label("Username").fill("alice ")
    await alice.page.locator("#password1").fill(PASSWORD)
    await alice.page.locator("#password2").fill(PASSWORD)
    await alice.page.get_by_role("button", name="Sign up").dblclick()
    await expect(alice.page.get_by_role("status")).to_have_text(
        "Your account is ready. Log in with it."
    )
    await expect(alice.page.get_by_label("Username")).to_have_value("alice")
    await alice.page.get_by_label("Password", exact=True).fill(PASSWORD)
    await alice.page.get_by_role("button", name="Log in").dblclick()
    await expect(alice.page).to_have_url(alice.url + "/")
    assert len(await sessions.of_user(server.app[DATABASE], 1)) == 1
    await alice.page.get_by_role("button", name="Log out").dblclick()
    await expect(alice.page.get_by_role("status")).to_have_text("You are logged out.")


async def test_the_other_pages_keep_their_person_here(
    serve: Serve, window: OpenWindow, visit: Visit
) -> None:
    server = await serve(grace=0.3)
    alice, bob = await window(server, "alice"), await visit(server, "bob")
    phone = await visit(server)
    await phone.log_in("alice")
    async with bob.live() as socket:
        for path in ("/account/", "/nothing"):
            await alice.goto(path)
            # Who comes and goes now takes longer than the grace of a page without a line.
            for status in ("online", "offline"):
                await (await visit(server)).enter(status + path.strip("/"))
                await socket.sees(status + path.strip("/"), "online")
                await socket.sees(status + path.strip("/"), "offline")
            await socket.sees("alice", "online")
        alice.complaints.clear()
        await alice.goto("/account/")
        await socket.sees("alice", "online")
        await phone.submit("/account/end", {"device": "others"}, form="/account/")
    await expect(alice.page).to_have_url(alice.url + "/log_in/?next=%2Faccount%2F")
    await expect(alice.page.get_by_role("status")).to_have_text(
        "This device was logged out from another one, or by whoever runs this site."
    )


OWN_STATUS = """() => {
    window.seen = [];
    addEventListener("DOMContentLoaded", () => {
        const status = document.getElementById("me-status");
        const note = () => seen.push(status.textContent);
        new MutationObserver(note).observe(status, { childList: true });
        note();
    });
}"""


async def test_a_page_that_opens_says_nothing_else_of_oneself_meanwhile(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve()
    async with Proxy((str(server.host), int(server.port or 0))) as line:
        alice = await window(f"http://127.0.0.1:{line.port}", "alice")
        await alice.is_live()
        await alice.choose("Invisible")
        line.delay = 0.2
        await alice.page.add_init_script(f"({OWN_STATUS})()")
        await alice.goto("/account/")
        await alice.page.wait_for_timeout(2000)
        assert await alice.page.evaluate("seen") == ["Invisible"]
        # And it hears of a change.
        line.delay = 0
        await alice.choose("Busy")
        assert await alice.page.evaluate("seen") == ["Invisible", "Busy"]


async def test_the_account_page_gives_a_name_and_tells_devices_apart(
    serve: Serve, window: OpenWindow, visit: Visit
) -> None:
    server = await serve()
    alice = await window(server, "alice")
    await (await visit(server)).log_in("alice")
    await alice.is_live()
    await (await alice.open_menu()).get_by_role("link", name="Your account").click()
    page = alice.page
    await page.get_by_label("Name", exact=True).fill("  Alice   B. ")
    await page.get_by_role("button", name="Save name").click()
    await expect(page.get_by_role("heading", name="Alice B.")).to_be_visible()
    await expect(page.locator(".me-name")).to_have_text("Alice B.")
    devices = page.get_by_role("region", name="Your devices").get_by_role("listitem")
    await expect(devices).to_have_count(2)
    await expect(devices.filter(has_text="this device")).to_contain_text("Here now from 127.0.0.1")
    for device in await devices.all():
        await expect(device).to_contain_text("First seen just now")
    await page.get_by_role("button", name="Tell nobody").click()
    await expect(page.get_by_text("Nobody is told.")).to_be_visible()
    await page.get_by_role("link", name="All people").click()
    await alice.sees("alice", "Online")
    name = alice.row("alice").locator(".name")
    await expect(name).to_have_text(re.compile("Alice B.*alice.*you"))


async def test_days_and_times_are_those_of_the_visitor(
    serve: Serve, window: OpenWindow, visit: Visit
) -> None:
    server = await serve()
    there = ZoneInfo("Pacific/Auckland")
    await (await visit(server)).sign_up("bob")
    alice = await window(server, "alice", timezone_id=there.key)
    await server.app[DATABASE].write(set_back)
    user = await users.find(server.app[DATABASE], "alice")
    assert user is not None
    exact = datetime.fromtimestamp(user.created_at, there)
    await alice.goto("/account/")
    joined = alice.page.locator("time").first
    title = re.compile(f"{exact:%A, %B %-d, %Y} at .*:{exact:%M}")
    await expect(joined).to_have_attribute("title", title)
    days = (datetime.now(there).date() - exact.date()).days
    await expect(joined).to_have_text("yesterday" if days == 1 else f"{days} days ago")
    in_utc = f"{exact.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    await expect(joined).to_have_attribute("datetime", in_utc)
    await alice.goto("/")
    await alice.is_live()
    await expect(alice.row("bob").locator("time")).to_have_attribute("title", title)


async def set_back(transaction: Transaction) -> None:
    # A day and a half: of which some part of the world says two days.
    then = int(time.time()) - 36 * 3600
    await transaction.execute("UPDATE users SET created_at = $1, last_seen = $1", then)


async def test_a_form_left_open_too_long_keeps_what_was_typed(
    serve: Serve, window: OpenWindow
) -> None:
    alice = await window(await serve())
    await alice.goto("/sign_up/")
    await alice.context.clear_cookies()
    await alice.page.get_by_label("Username").fill("alice")
    await alice.page.locator("#password1").fill(PASSWORD)
    await alice.page.locator("#password2").fill(PASSWORD)
    await alice.page.get_by_role("button", name="Sign up").click()
    await expect(alice.page.get_by_role("alert")).to_be_visible()
    await expect(alice.page.get_by_label("Username")).to_have_value("alice")
    alice.complaints.clear()
    await alice.page.locator("#password1").fill(PASSWORD)
    await alice.page.locator("#password2").fill(PASSWORD)
    await alice.page.get_by_role("button", name="Sign up").click()
    await expect(alice.page).to_have_url(alice.url + "/log_in/")
