"""An administrator's day: the whole list of what they do, and what it does to open pages."""

import re
from ipaddress import ip_network

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import FilePayload, Page, Route, expect

from presence_server.accounts import users
from presence_server.keys import DATABASE, PULSE
from presence_server.storage.database import Transaction
from tests.browser.conftest import QUIET, OpenWindow
from tests.browser.test_accessibility import violations, violations_in_both_schemes
from tests.browser.window import Window
from tests.conftest import Serve
from testing.visitor import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

NEW = "another good one"
LONG = "w" * 32


async def make_administrator(server: TestServer, username: str) -> None:
    user = await users.find(server.app[DATABASE], username)
    assert user is not None
    await users.set_administrator(server.app[DATABASE], user.id, True)


async def forget_password_was_entered(server: TestServer) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute("UPDATE sessions SET confirmed_at = 0")

    await server.app[DATABASE].write(work)


async def fits_a_phone(page: Page) -> bool:
    """Whether nothing but a table by itself has to be moved sideways."""
    size = page.viewport_size
    assert size is not None
    await page.set_viewport_size({"width": 390, "height": 760})
    fits = await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.set_viewport_size(size)
    return bool(fits)


async def press(window: Window, name: str) -> None:
    await window.page.get_by_role("button", name=name, exact=True).click()


async def secret(page: Page) -> str:
    return await page.locator("code.address").first.inner_text()


async def choose_password(window: Window, link: str, *, looked_at: bool = False) -> None:
    await window.page.goto(link)
    if looked_at:
        assert await violations_in_both_schemes(window.page) == []
    await window.page.get_by_label("New password", exact=True).fill(NEW)
    await window.page.get_by_label("New password again").fill(NEW)
    await press(window, "Set password")
    await expect(window.page.get_by_text("Your password is set.")).to_be_visible()


async def log_in(window: Window, username: str, password: str = NEW) -> None:
    await window.log_in(username, password)
    await window.is_live()


async def test_an_administrators_day(serve: Serve, window: OpenWindow) -> None:
    server = await serve(visits=30, grace=0.5)
    server.app[PULSE].measure()
    alice = await window(server, "alice")
    await make_administrator(server, "alice")
    bob, page = await window(server), alice.page

    # How things are, and the way there from every page.
    await alice.goto("/")
    await page.locator(".me-button").click()
    await page.get_by_role("link", name="Admin").click()
    await expect(page.get_by_text("People here")).to_be_visible()
    assert await violations(page) == []

    # An account is made, and its owner chooses the password.
    await alice.goto("/admin/accounts/")
    await page.get_by_label("Username").fill("bob")
    await press(alice, "Add account")
    await expect(page.get_by_role("heading", name="The account bob is ready")).to_be_visible()
    assert await violations(page) == []
    link = await secret(page)
    await choose_password(bob, link, looked_at=True)
    await log_in(bob, "bob")
    assert await page.get_by_role("link", name="Continue").get_attribute("href")
    await page.get_by_role("link", name="Continue").click()
    of_bob = page.url.removeprefix(alice.url)
    assert await violations_in_both_schemes(page) == []

    # Bob's open page shows what is done to him.
    await page.get_by_label("Name").fill("Bob Brown")
    await press(alice, "Save name")
    await expect(page.get_by_role("status").filter(has_text="called Bob Brown")).to_be_visible()
    await expect(bob.row("bob")).to_contain_text("Bob Brown")
    await press(alice, "Disable")
    await expect(bob.page.get_by_text("Your account was disabled")).to_be_visible()
    await press(alice, "Enable")
    await log_in(bob, "bob")
    await alice.goto(of_bob)
    await press(alice, "Log out everywhere")
    await expect(bob.page.get_by_text("This device was logged out")).to_be_visible()
    await press(alice, "Create a link for a new password")
    await choose_password(bob, await secret(page))
    await log_in(bob, "bob")

    # An administrator for a while; the page that was open is gone with it.
    await alice.goto(of_bob)
    await press(alice, "Make an administrator")
    await bob.goto("/admin/rooms/")
    await expect(bob.page.get_by_role("heading", name="Rooms")).to_be_visible()
    await press(alice, "Remove as administrator")
    await expect(bob.page.get_by_text("There is nothing at this address.")).to_be_visible()
    assert any("404" in said for said in bob.complaints)
    bob.complaints.clear()

    # Rooms are live.
    await alice.goto("/admin/rooms/?app=&room=")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(2)
    assert await violations(page) == []
    await bob.page.goto("about:blank")
    await expect(rows).to_have_count(1)

    # Who has not entered the password lately is asked for it, and then the act is done.
    await forget_password_was_entered(server)
    await alice.goto("/admin/invitations/")
    assert await violations(page) == []
    await page.get_by_label("How many people may use it").fill("3")
    await press(alice, "Create link")
    assert await violations(page) == []
    alice.complaints.clear()
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await press(alice, "Continue")
    guest = await window(server)
    await guest.page.goto(await secret(page))
    assert await violations_in_both_schemes(guest.page) == []
    await guest.page.get_by_label("Username").fill("guest")
    await guest.page.get_by_label("Password", exact=True).fill(NEW)
    await guest.page.get_by_label("Password again").fill(NEW)
    await press(guest, "Sign up")
    await log_in(guest, "guest")
    await alice.goto("/admin/invitations/")
    await expect(page.get_by_text("1 of 3 used")).to_be_visible()
    await press(alice, "Revoke")
    await expect(page.get_by_text("The invitation has been revoked.")).to_be_visible()

    # Many at once.
    await alice.goto("/admin/import/")
    table = f"username,name\ncarol,Carol\nbob,\n{LONG},\n".encode()
    file: FilePayload = {"name": "class.csv", "mimeType": "text/csv", "buffer": table}
    await page.get_by_label("Table", exact=True).set_input_files(file)
    await press(alice, "Preview")
    await expect(page.get_by_text("1 account already exists")).to_be_visible()
    assert await violations(page) == []
    await press(alice, "Add 2 accounts")
    links = await page.get_by_label("The links, as a table").input_value()
    assert await violations_in_both_schemes(page) == []
    found = re.search(r"carol,(\S+)", links)
    assert found is not None
    carol = await window(server)
    await choose_password(carol, found[1])
    async with page.expect_download() as saved:
        await alice.goto(f"/admin/accounts/?q={LONG[1:]}")
        await expect(page.locator("tbody tr")).to_have_count(1)
        assert await violations(page) == [] and await fits_a_phone(page)
        await page.get_by_role("link", name="Download all accounts as a table").click()
    assert (await saved.value).suggested_filename == "accounts.csv"
    await page.get_by_role("link", name=LONG).click()
    await expect(page.get_by_role("heading", name=LONG).first).to_be_visible()
    assert await fits_a_phone(page)

    # Another application.
    await alice.goto("/admin/apps/")
    assert await violations(page) == []
    await page.get_by_label("Name").fill("wiki")
    await page.get_by_label("Days for which visits are kept").fill("7")
    await press(alice, "Add app")
    assert (await secret(page)).startswith("key_") and await fits_a_phone(page)
    await page.get_by_role("link", name="Continue").click()
    await page.get_by_role("link", name="wiki").click()
    assert await violations(page) == [] and await fits_a_phone(page)
    await page.get_by_label("User", exact=True).fill("u1")
    await page.get_by_label("Room", exact=True).fill("doc:1")
    await press(alice, "Create token")
    assert (await secret(page)).count(".") == 2

    # Who was here, and who did what.
    await alice.goto("/admin/visits/")
    assert await violations(page) == []
    await page.get_by_label("App").select_option("wiki")
    await page.locator("form", has=page.get_by_label("App")).get_by_role("button").click()
    await expect(page.get_by_text("lobby of wiki, kept for 7 days")).to_be_visible()
    assert await fits_a_phone(page)
    await alice.goto("/admin/log/")
    await expect(page.locator(".log li").first).to_contain_text("made a token for u1 of wiki")
    assert await violations(page) == []

    # How a backend is told, the keys of an application, and its end.
    await alice.goto("/admin/apps/")
    await page.get_by_role("link", name="wiki").click()
    of_wiki = page.url
    await page.get_by_label("Where its backend is told of changes").fill("http://127.0.0.1:9/hook")
    await press(alice, "Save")
    await press(alice, "Tell it again who is here")
    await expect(page.get_by_text("It is up to date.")).to_be_visible()
    await press(alice, "Create a new key")
    assert (await secret(page)).startswith("key_")
    await page.goto(of_wiki)
    await press(alice, "Drop the previous key")
    await page.get_by_text("Delete wiki").click()
    await press(alice, "Delete app")
    await expect(page.get_by_text("The app wiki has been deleted.")).to_be_visible()

    # The end of an account, while its page is open.
    await bob.goto("/")
    await bob.is_live()
    await alice.goto(of_bob)
    await page.get_by_text("Delete bob").click()
    await press(alice, "Delete account")
    await expect(page.get_by_text("The account bob has been deleted.")).to_be_visible()
    await expect(bob.page.get_by_text("Your account has been deleted.")).to_be_visible()
    await expect(guest.row("bob")).to_have_count(0)


async def test_a_page_of_now_stays_so_and_says_when_nobody_answers(
    serve: Serve, window: OpenWindow
) -> None:
    server = await serve(heartbeat=QUIET)
    alice = await window(server, timezone_id="Pacific/Auckland")
    await alice.context.add_init_script(
        """
        AbortSignal.timeout = (time) => {
            const controller = new AbortController();
            setTimeout(() => controller.abort(), time);
            return controller.signal;
        };
        """
    )
    await alice.enter("alice")
    await make_administrator(server, "alice")
    page = alice.page
    await page.clock.install()
    await alice.goto("/admin/rooms/")
    await page.get_by_role("link", name="The list").click()
    since, old = page.locator("#live-room time"), page.locator("#live-room .old")
    local = re.compile(r" at \d+:\d+.[AP]M$")
    await expect(since).to_have_attribute("title", local)
    title = await since.get_attribute("title") or ""

    await since.evaluate("(time) => time.classList.add('old')")
    await page.clock.run_for(3_000)
    await expect(old).to_have_count(0)
    await expect(since).to_have_attribute("title", title)

    asked: list[Route] = []
    await page.route(page.url, lambda route: asked.append(route))
    async with page.expect_request(page.url):
        await page.clock.run_for(3_000)
    await page.clock.run_for(6_000)
    trouble = page.get_by_text("The server cannot be reached.")
    await expect(trouble).to_be_hidden()
    await page.clock.run_for(4_000)
    await expect(trouble).to_be_visible()
    assert len(asked) == 1
    await page.unroute(page.url)
    await page.clock.run_for(3_000)
    await expect(trouble).to_be_hidden()


async def test_pages_of_who_is_signed_on_elsewhere(serve: Serve, window: OpenWindow) -> None:
    server = await serve(
        trusted_user_header="Remote-User",
        trusted_proxies=(ip_network("127.0.0.1"),),
        log_out_url="https://sso.example/sign_out",
    )
    nobody = await window(server)
    await nobody.goto("/log_in/")
    await expect(nobody.page.get_by_role("heading", name="Who are you?")).to_be_visible()
    assert await violations_in_both_schemes(nobody.page) == []
    await nobody.context.set_extra_http_headers({"Remote-User": "alice"})
    await nobody.goto("/log_in/")
    await expect(nobody.page.get_by_text("still knows you")).to_be_visible()
    assert await violations(nobody.page) == []
