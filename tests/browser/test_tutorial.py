"""A page that does what the tutorial's page does, driven by the socket in the tutorial's format."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenWindow
from tests.browser.window import Window
from tests.conftest import Serve

pytestmark = pytest.mark.browser

PAGE = """<!doctype html>
<title>The list of the tutorial</title>
<link rel="icon" href="data:,">
<ul id="people">
  <li data-username="alice">alice: Offline</li>
  <li data-username="bob">bob: Offline</li>
</ul>
<script>
  var socket = new WebSocket("ws://" + window.location.host + "/users/");

  socket.onopen = function open() {
    console.log("WebSockets connection created.");
  };

  socket.onmessage = function message(event) {
    var data = JSON.parse(event.data);
    var username = encodeURI(data["username"]);
    var user = document.querySelector('li[data-username="' + username + '"]');
    if (data["is_logged_in"]) {
      user.innerHTML = username + ": Online";
    } else {
      user.innerHTML = username + ": Offline";
    }
  };

  if (socket.readyState == WebSocket.OPEN) {
    socket.onopen();
  }
</script>
"""


async def test_the_page_of_the_tutorial_works_unchanged(serve: Serve, window: OpenWindow) -> None:
    server = await serve(grace=60)
    # It has its script within, which our own pages never have.
    alice = await window(server, "alice", bypass_csp=True)
    bob = await window(server, "bob")
    await open_the_tutorials_page(alice)
    await alice.sees("alice", "Online")
    await alice.sees("bob", "Online")
    # Away counts as here in this format.
    await bob.choose("Away")
    await bob.sees("bob", "Away")
    await alice.sees("bob", "Online")
    await bob.log_out()
    await alice.sees("bob", "Offline", within=20_000)
    await bob.log_in("bob")
    await alice.sees("bob", "Online")
    # Whoever looks at the tutorial's page is here too.
    await bob.sees("alice", "Online")


async def open_the_tutorials_page(window: Window) -> None:
    """In place of a page of ours, so that it has our origin."""
    await window.goto("/healthz")
    await window.page.set_content(PAGE)
    await expect(window.page).to_have_title("The list of the tutorial")
