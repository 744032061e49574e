"""The elements in a room of thousands: they watch those who show, and count all."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.async_api import expect

from presence_server.apps.rooms import AppRooms
from presence_server.keys import APPS, ROOMS
from presence_server.presence.states import Status
from testing.redis_server import free_port
from testing.waiting import until
from tests.api.conftest import AddApp, add_app, http
from tests.browser.conftest import OpenWindow
from tests.browser.wiki import ROOM, Wiki, wiki_running
from tests.conftest import Serve

__all__ = ["add_app", "http"]
pytestmark = pytest.mark.browser

# Pages turn within some seconds, at random: these do at once.
AT_ONCE = "Math.random = () => 0.001"


def users(numbers: Iterable[int]) -> list[str]:
    return [f"u{number:04}" for number in numbers]


class Site(NamedTuple):
    """An app's page, and the room that it shows."""

    wiki: Wiki
    port: int
    rooms: AppRooms
    app: int

    def come(self, names: Iterable[str], status: Status = "online") -> None:
        for name in names:
            self.rooms.place(self.app, ROOM, name, status, 600, {})

    def go(self, names: Iterable[str]) -> None:
        for name in names:
            self.rooms.end_user(self.app, name, ROOM)


@pytest.fixture
async def site(serve: Serve, add_app: AddApp) -> Site:
    server = await serve(grace=0.5)
    port = free_port()
    url = str(server.make_url("")).rstrip("/")
    app = await add_app(url, origins=(f"http://localhost:{port}",))
    await server.app[APPS].read()
    known = server.app[APPS].named(app.name)
    assert known is not None
    return Site(Wiki(app, url), port, server.app[ROOMS], known.id)


async def test_where_the_part_for_thousands_does_not_load_everybody_is_told(
    site: Site, window: OpenWindow
) -> None:
    site.come(users(range(3_200)))
    async with wiki_running(site.wiki, site.port) as wiki:
        wiki.body = wiki.element("presence-list", max="20")
        ann = await window(wiki.url)
        await ann.page.route("**/large.js", lambda route: route.abort())
        await ann.page.goto(wiki.url + "/")
        await expect(ann.page.locator("presence-list li")).to_have_count(20)
        await expect(ann.page.get_by_text("3181 more")).to_be_visible()
    ann.complaints.clear()


async def test_a_list_watches_those_it_shows_and_turns_back(
    site: Site, window: OpenWindow
) -> None:
    come, go = site.come, site.go
    come(users(range(3_200)))
    said: list[Any] = []
    heard: list[str] = []
    read: list[str] = []

    def listen(socket: Any) -> None:
        socket.on("framesent", lambda frame: said.append(json.loads(str(frame))))
        socket.on("framereceived", lambda frame: heard.append(str(frame)))

    async with wiki_running(site.wiki, site.port) as wiki:
        wiki.body = wiki.element("presence-list", max="20")
        wiki.body += wiki.element("presence-dot", user="u3100")
        page = (await window(wiki.url)).page
        await page.add_init_script(AT_ONCE)
        page.on("websocket", listen)
        page.on("request", lambda request: read.append(urlsplit(request.url).query))
        await page.goto(wiki.url + "/")
        rows, dot = page.locator("presence-list li"), page.locator("presence-dot")

        # Nobody is told of everybody: the first by name, with those who do not show as a number.
        await until(lambda: said)
        first = users(range(39))
        assert said == [{"type": "watch", "users": ["u3100", "ann", *first]}]
        await expect(rows.locator(".name")).to_have_text(["Ann Lee", *users(range(19))])
        await expect(page.get_by_text("3181 more")).to_be_visible()
        assert len("".join(heard)) < 4_000, "of 3,201 people these are some seventy thousand"
        assert [query for query in read if "limit" in query] == ["limit=40"]

        # Whoever shows is told of; of the others there is a number.
        heard.clear()
        come(users([2_000]), "away")
        come(users([3, 3_100]), "away")
        go(users(range(1_000, 1_100)))
        await expect(rows.filter(has_text="u0003")).to_contain_text("away")
        await expect(dot).to_contain_text("u3100: away")
        await expect(page.get_by_text("3081 more")).to_be_visible()
        assert not any("u2000" in frame or "u1000" in frame for frame in heard)
        assert len([query for query in read if "limit" in query]) == 1

        # Who goes is replaced from those in reserve, and these from a page of others.
        go(users(range(30)))
        await expect(rows).to_have_count(20)
        await expect(page.get_by_text("3051 more")).to_be_visible()
        queries = [query for query in read if "limit" in query]
        assert queries[1:] == ["limit=30&after=u0038"]
        assert said[-1]["users"] == ["u3100", "ann", *users(range(30, 69))]

        # Of fewer everybody is told again, and nothing moves.
        before = await rows.all_inner_texts()
        go(users(range(1_100, 1_900)))
        await until(lambda: said[-1]["users"] is None)
        await expect(page.get_by_text("2251 more")).to_be_visible()
        assert await rows.all_inner_texts() == before
        go(users([2_500]))
        await expect(page.get_by_text("2250 more")).to_be_visible()
