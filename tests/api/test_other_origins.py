"""A page of an application on another origin: fetch, EventSource and WebSocket in Chromium."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page
from pytest_aiohttp import AiohttpServer

from presence_server.keys import APPS
from tests.api.conftest import AddApp
from tests.conftest import Serve

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><title>an application</title>
<script>
const rooms = "%s/api/v1/rooms/doc";
const asked = async (url, options) => {
  try {
    const answer = await fetch(url, options);
    return [answer.status, answer.status === 204 ? null : await answer.json()];
  } catch (error) {
    return [error.name, null];
  }
};
const bearer = (token) => ({ Authorization: `Bearer ${token}` });
const get = (token) => asked(rooms, { headers: bearer(token) });
const say = (token, body) => asked(`${rooms}/me`, {
  method: "POST",
  headers: { ...bearer(token), "Content-Type": "application/json" },
  body: JSON.stringify(body),
});
const listen = (token) => new Promise((resolve) => {
  const source = new EventSource(`${rooms}?token=${token}`);
  source.addEventListener("snapshot", (event) => {
    source.close();
    resolve([event.lastEventId, JSON.parse(event.data)]);
  });
  source.onerror = () => { source.close(); resolve(["error", source.readyState]); };
});
const open = (token) => new Promise((resolve) => {
  const socket = new WebSocket(rooms.replace("http", "ws"), ["presence.v1", `token.${token}`]);
  const heard = [];
  socket.onmessage = (event) => {
    heard.push(JSON.parse(event.data));
    if (heard[0].type === "snapshot") socket.close(1000);
  };
  socket.onclose = (event) => resolve([event.code, socket.protocol, heard]);
});
</script>"""


@pytest.fixture
async def site(serve: Serve, aiohttp_server: AiohttpServer) -> TestServer:
    return await serve()


@pytest.fixture
async def origin(site: TestServer, aiohttp_server: AiohttpServer) -> str:
    """Of the application's pages: another name, and another port."""

    async def page(_: web.Request) -> web.Response:
        text = PAGE % str(site.make_url("")).rstrip("/")
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", page)])
    served = await aiohttp_server(app)
    return f"http://localhost:{served.port}"


@pytest.fixture
async def page(browser: Browser, origin: str) -> Page:
    opened = await browser.new_page()
    await opened.goto(f"{origin}/")
    return opened


async def test_a_listed_origin_reads_writes_and_listens(
    site: TestServer, origin: str, page: Page, add_app: AddApp
) -> None:
    app = await add_app(str(site.make_url("")).rstrip("/"), origins=(origin,))
    await site.app[APPS].read()
    token = app.token("alice")
    async with app.line("bob") as bob:
        await bob.first()
        code, protocol, heard = await page.evaluate("token => open(token)", token)
        assert (code, protocol) == (1000, "presence.v1")
        assert "bob" in heard[0]["online"] and "alice" in heard[0]["online"]
        last_id, snapshot = await page.evaluate("token => listen(token)", token)
        assert last_id == snapshot["cursor"] and "bob" in snapshot["online"]
        status, room = await page.evaluate("token => get(token)", token)
        assert status == 200 and "bob" in room["users"]
        assert await page.evaluate("token => say(token, {leave: true})", token) == [204, None]
    # What is wrong can be read, over a socket as by fetch.
    code, _, heard = await page.evaluate("token => open(token)", "bad")
    assert (code, heard) == (4401, [{"type": "bye", "reason": "token_invalid"}])
    status, problem = await page.evaluate("token => get(token)", "bad")
    assert status == 401 and problem["code"] == "token_invalid"


async def test_another_origin_reads_nothing_and_a_key_works_on_no_page(
    site: TestServer, origin: str, page: Page, add_app: AddApp
) -> None:
    app = await add_app(str(site.make_url("")).rstrip("/"), origins=("https://wiki.example",))
    await site.app[APPS].read()
    refused = ["TypeError", None]
    assert await page.evaluate("token => get(token)", app.token("alice")) == refused
    assert await page.evaluate("token => say(token, {})", app.token("alice")) == refused
    other = await add_app(str(site.make_url("")).rstrip("/"), "board", origins=(origin,))
    await site.app[APPS].read()
    assert await page.evaluate("key => get(key)", f"{other.key}.{other.secret}") == refused
