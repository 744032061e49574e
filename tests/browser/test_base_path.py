"""The list of a site that lives below a path."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenWindow
from tests.conftest import ServerProcesses
from testing.redis_server import free_port

pytestmark = pytest.mark.browser


async def test_the_list_is_live_below_a_path(
    server_process: ServerProcesses, window: OpenWindow
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/chat"
    await server_process(port=port, public_url=url)
    alice, bob = await window(url), await window(url)
    for page, name in ((alice, "alice"), (bob, "bob")):
        await page.sign_up(name)
        await expect(page.page).to_have_url(url + "/log_in/")
        await page.log_in(name)
        await expect(page.page).to_have_url(url + "/")
        await page.is_live()
    await alice.sees("bob", "Online")
    # The list for programs, too.
    await alice.page.get_by_role("searchbox").fill("bo")
    await expect(alice.row("alice")).to_have_count(0)
    await (await bob.open_menu()).get_by_role("link", name="Your account").click()
    await expect(bob.page).to_have_url(url + "/account/")
    await bob.log_out()
    (cookie,) = await alice.context.cookies()
    assert cookie["path"] == "/chat"
