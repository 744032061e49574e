"""The elements in a page of another application, on another origin, as its visitors see them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Locator, Page, WebSocket, WebSocketRoute, expect

from testing.processes import ServerProcess
from testing.redis_server import free_port
from testing.tcp_proxy import Proxy
from testing.waiting import STALL, until
from tests.api.conftest import AddApp, add_app, http
from tests.browser.conftest import OpenWindow
from tests.browser.test_accessibility import violations, violations_in_both_schemes
from tests.browser.wiki import ROOM, Wiki, wiki_running, without_sockets
from tests.browser.window import Window
from tests.conftest import ServerProcesses

__all__ = ["add_app", "http"]
pytestmark = pytest.mark.browser


@pytest.fixture
async def server(server_process: ServerProcesses) -> ServerProcess:
    return await server_process(grace=0.5)


@pytest.fixture
async def line(server: ServerProcess) -> AsyncIterator[Proxy]:
    """A network between the pages and the server."""
    async with Proxy(("127.0.0.1", server.port)) as proxy:
        yield proxy


@pytest.fixture
async def wiki(server: ServerProcess, line: Proxy, add_app: AddApp) -> AsyncIterator[Wiki]:
    port = free_port()
    app = await add_app(server.url, origins=(f"http://localhost:{port}",))
    await app.until_known()
    async with wiki_running(Wiki(app, f"http://127.0.0.1:{line.port}"), port) as wiki:
        yield wiki


async def is_in_state(page: Page, state: str, within: int = 20_000) -> None:
    script = "(state) => document.querySelector('presence-list').presence?.state === state"
    await page.wait_for_function(script, arg=state, timeout=within)


def row(page: Page, name: str) -> Locator:
    return page.locator("presence-list li").filter(has_text=name)


def face(page: Page, name: str) -> Locator:
    return page.locator("presence-avatars li").filter(has_text=name)


async def open_list(window: OpenWindow, wiki: Wiki) -> Window:
    wiki.body = wiki.element("presence-list")
    opened = await (await window(wiki.url)).goto("/")
    await is_in_state(opened.page, "live")
    return opened


async def test_each_element_shows_who_is_here_over_one_line(
    wiki: Wiki, window: OpenWindow
) -> None:
    wiki.body = "".join(
        [
            wiki.element("presence-avatars", max="2"),
            wiki.element("presence-list"),
            wiki.element("presence-dot", user="bob"),
            wiki.element("presence-dot", user="nobody"),
        ]
    )
    ann = await window(wiki.url)
    sockets: list[str] = []
    ann.page.on("websocket", lambda socket: sockets.append(socket.url))
    async with wiki.app.line("bob") as bob, wiki.app.line("carl"):
        await ann.goto("/")
        avatars, dots = ann.page.locator("presence-avatars"), ann.page.locator("presence-dot")
        await expect(row(ann.page, "bob")).to_have_text("bobonline")
        await expect(row(ann.page, "Ann Lee")).to_be_visible()
        await expect(avatars.get_by_text("1 more")).to_be_attached()
        await expect(avatars.locator("img")).to_have_count(1)
        await expect(dots.first).to_contain_text("bob: online")
        await expect(dots.last).to_contain_text("nobody: offline")
        await bob.send({"type": "status", "status": "busy", "scope": "user", "text": "lunch"})
        await expect(row(ann.page, "bob")).to_have_text("bobbusylunch")
        await expect(dots.first).to_contain_text("bob: busy, lunch")
        assert await violations_in_both_schemes(ann.page) == []
    await expect(row(ann.page, "bob")).to_have_count(0)
    await expect(dots.first).to_contain_text("bob: offline")
    assert len(sockets) == 1
    assert wiki.asked == ["ann"]


async def test_dots_alone_ask_for_their_users_only(wiki: Wiki, window: OpenWindow) -> None:
    wiki.body = "".join(wiki.element("presence-dot", user=user) for user in ("bob", "carl"))
    ann = await window(wiki.url)
    said: list[Any] = []
    ann.page.on(
        "websocket",
        lambda socket: socket.on("framesent", lambda frame: said.append(json.loads(str(frame)))),
    )
    async with wiki.app.line("bob"), wiki.app.line("eve"):
        await ann.goto("/")
        await expect(ann.page.locator("presence-dot").first).to_contain_text("bob: online")
        people = "[...document.querySelector('presence-dot').presence.people.keys()]"
        assert await ann.page.evaluate(people) == ["bob"]
    assert said == [{"type": "watch", "users": ["bob", "carl"]}]


async def test_what_the_author_wrote_shows_until_something_is_known(
    wiki: Wiki, line: Proxy, window: OpenWindow
) -> None:
    line.stop("down")
    wiki.body = wiki.element("presence-list", inside="<b>Bob was here at noon.</b>")
    ann = await window(wiki.url)
    await ann.page.goto(wiki.url + "/", wait_until="commit")
    await expect(ann.page.get_by_text("Bob was here at noon.")).to_be_visible()
    line.go("down")
    await expect(row(ann.page, "Ann Lee")).to_be_visible()
    await expect(ann.page.get_by_text("Bob was here at noon.")).to_be_hidden()


async def test_elements_are_upgraded_moved_and_changed(wiki: Wiki, window: OpenWindow) -> None:
    wiki.body = "<p id=place></p>"
    ann = await (await window(wiki.url)).goto("/")
    sockets: list[str] = []
    ann.page.on("websocket", lambda socket: sockets.append(socket.url))
    # A property that was set before its element was known.
    await ann.page.evaluate(
        """async () => {
            const list = document.createElement("presence-list");
            const late = Object.defineProperty(list, "getToken", { value: null, writable: true,
                configurable: true, enumerable: true });
            late.getToken = async ({ room }) =>
                (await (await fetch(`/token?user=ann&room=${room}`)).json()).token;
            list.setAttribute("room", "doc");
            document.querySelector("main").append(list);
            window.list = list;
        }"""
    )
    await expect(row(ann.page, "Ann Lee")).to_be_visible()
    await ann.page.evaluate("document.getElementById('place').append(list)")
    await ann.page.evaluate("new Promise((done) => setTimeout(done, 500))")
    await expect(row(ann.page, "Ann Lee")).to_be_visible()
    assert len(sockets) == 1
    # Until the other room is known, nobody is shown as if they were there.
    marked = await ann.page.evaluate(
        """async () => {
            list.setAttribute("room", "other");
            await Promise.resolve();
            return list.shadowRoot.firstElementChild.className;
        }"""
    )
    assert marked == "stale"
    await ann.page.wait_for_function(
        "() => list.presence.name === 'other' && list.presence.count === 1"
    )
    await expect(row(ann.page, "Ann Lee")).to_be_visible()
    assert [re.findall(r"rooms/(\w+)", url)[0] for url in sockets] == ["doc", "other"]
    await ann.page.evaluate("window.room = list.presence; list.remove()")
    await ann.page.wait_for_function("() => room.state === 'closed'")


async def test_an_element_looks_the_same_in_another_window(
    wiki: Wiki, window: OpenWindow
) -> None:
    wiki.body = wiki.element("presence-avatars")
    ann = await (await window(wiki.url)).goto("/")
    await expect(face(ann.page, "Ann Lee")).to_be_visible()
    looks = await ann.page.evaluate(
        """() => {
            const element = document.querySelector("presence-avatars");
            const look = () => element.shadowRoot.querySelector(".avatar").getBoundingClientRect();
            const before = look().width;
            const frame = document.body.appendChild(document.createElement("iframe"));
            frame.contentDocument.body.append(element);
            const there = look().width;
            document.body.append(element);
            return [before, there, look().width];
        }"""
    )
    assert len(set(looks)) == 1 and looks[0] > 20


async def test_a_cut_network_is_told_and_mended(
    wiki: Wiki, line: Proxy, window: OpenWindow
) -> None:
    ann = await open_list(window, wiki)
    async with wiki.app.line("bob"):
        await expect(row(ann.page, "bob")).to_be_visible()
        line.shut()
        line.cut()
        await is_in_state(ann.page, "waiting")
        lost = ann.page.get_by_text("Connection lost. Shown as last known.")
        await expect(lost).to_be_visible()
        assert await violations_in_both_schemes(ann.page) == []
    await expect(row(ann.page, "bob")).to_be_visible()
    await line.open()
    await is_in_state(ann.page, "live")
    await expect(row(ann.page, "bob")).to_have_count(0)
    await expect(lost).to_have_count(0)
    ann.complaints.clear()


async def test_a_server_that_is_killed_shows_nobody_gone(
    wiki: Wiki, server: ServerProcess, line: Proxy, window: OpenWindow
) -> None:
    ann = await open_list(window, wiki)
    await ann.page.evaluate(
        """() => {
            window.removed = [];
            document.querySelector("presence-list").presence.addEventListener("change",
                (event) => removed.push(...event.removed.keys()));
        }"""
    )
    await server.kill()
    await is_in_state(ann.page, "waiting")
    await expect(row(ann.page, "Ann Lee")).to_be_visible()
    await server.start()
    line.to = ("127.0.0.1", server.port)
    await is_in_state(ann.page, "live", within=20_000)
    assert await ann.page.evaluate("removed") == []
    ann.complaints.clear()


async def test_a_token_is_renewed_on_the_open_line(wiki: Wiki, window: OpenWindow) -> None:
    wiki.life = 2
    ann = await window(wiki.url)
    sockets: list[str] = []
    ann.page.on("websocket", lambda socket: sockets.append(socket.url))
    wiki.body = wiki.element("presence-list")
    await ann.goto("/")
    await until(lambda: len(wiki.asked) >= 4, 60)
    await is_in_state(ann.page, "live")
    assert len(sockets) == 1


async def test_a_token_that_expires_is_waited_out(wiki: Wiki, window: OpenWindow) -> None:
    wiki.life = 2
    ann = await open_list(window, wiki)
    wiki.status = 500
    await is_in_state(ann.page, "waiting")
    await expect(row(ann.page, "Ann Lee")).to_be_visible()
    wiki.status = 200
    await is_in_state(ann.page, "live")
    ann.complaints.clear()


async def test_whose_token_allows_less_than_before_goes_on_watching(
    wiki: Wiki, window: OpenWindow
) -> None:
    wiki.life = 3
    sockets: list[str] = []
    ann = await window(wiki.url)
    ann.page.on("websocket", lambda socket: sockets.append(socket.url))
    wiki.body = wiki.element("presence-list")
    await ann.goto("/")
    say = "(row) => document.querySelector('presence-list').presence.setData({ row })"
    async with wiki.app.line("bob") as bob:
        await bob.sees("ann", "online")
        await ann.page.evaluate(say, 1)
        await bob.message(lambda message: '"row": 1' in json.dumps(message))
        wiki.permission, wiki.life = "watch", 600
        await bob.sees("ann", "offline")
        await ann.page.evaluate(say, 2)
        await until(lambda: len(sockets) == 2, 60)
        await is_in_state(ann.page, "live")
        async with wiki.app.line("carl"):
            await expect(row(ann.page, "carl")).to_be_visible()
    await is_in_state(ann.page, "live")
    assert len(sockets) == 2


async def test_whose_token_is_revoked_goes_unless_there_is_another(
    wiki: Wiki, window: OpenWindow
) -> None:
    ann = await open_list(window, wiki)
    async with wiki.app.line("bob") as bob:
        await expect(row(ann.page, "bob")).to_be_visible()
        wiki.status = 403
        assert (await wiki.app.ask("DELETE", "/users/ann")).status == 204
        await bob.sees("ann", "offline")
        await is_in_state(ann.page, "ended")
        await expect(ann.page.get_by_text("Shown as last known.")).to_be_visible()
    ann.complaints.clear()


async def test_a_frozen_page_keeps_nobody_here(wiki: Wiki, window: OpenWindow) -> None:
    ann = await open_list(window, wiki)
    async with wiki.app.line("bob") as bob:
        await bob.sees("ann", "online")
        # What a browser tells a page that it freezes; this one, without a screen, freezes none.
        await ann.page.evaluate("document.dispatchEvent(new Event('freeze'))")
        await bob.sees("ann", "offline")
        await ann.page.evaluate("document.dispatchEvent(new Event('resume'))")
        await bob.sees("ann", "online")
    await is_in_state(ann.page, "live")


async def test_without_sockets_events_do(wiki: Wiki, window: OpenWindow) -> None:
    async with without_sockets(wiki.server) as wiki.server, wiki.app.line("bob") as bob:
        ann = await open_list(window, wiki)
        await expect(row(ann.page, "bob")).to_be_visible()
        await bob.sees("ann", "online")
        await ann.page.evaluate(
            """() => {
                const { presence } = document.querySelector("presence-list");
                presence.setStatus("busy", { text: "lunch" });
                presence.setData({ row: 7 });
            }"""
        )
        await bob.sees("ann", "busy")
        await expect(row(ann.page, "Ann Lee")).to_contain_text("lunch")
        await bob.message(lambda message: '"row": 7' in json.dumps(message))
        await ann.page.goto("about:blank")
    ann.complaints.clear()


async def test_two_tabs_are_one_user(wiki: Wiki, window: OpenWindow) -> None:
    one = await open_list(window, wiki)
    other = await one.tab()
    await is_in_state(other.page, "live")
    await expect(one.page.locator("presence-list li")).to_have_count(1)
    async with wiki.app.line("bob") as bob:
        await bob.sees("ann", "online")
        await one.page.close()
        await expect(row(other.page, "bob")).to_be_visible()
        count = "document.querySelector('presence-list').presence.count"
        assert await other.page.evaluate(count) == 2
        assert bob.people["ann"] == "online"


async def test_a_worker_has_a_line_too(wiki: Wiki, window: OpenWindow) -> None:
    ann = await (await window(wiki.url)).goto("/")
    heard = await ann.page.evaluate(
        """() => new Promise((done) => {
            const trusted = trustedTypes.createPolicy("ours", { createScriptURL: (url) => url });
            const worker = new Worker(trusted.createScriptURL("/worker.js"), { type: "module" });
            worker.onmessage = ({ data }) => data[0] === "live" && data[1] === 1 && done(data);
        })"""
    )
    assert heard == ["live", 1]


async def test_words_follow_the_language_and_the_author(wiki: Wiki, window: OpenWindow) -> None:
    wiki.lang = "de-AT"
    ann = await open_list(window, wiki)
    await expect(row(ann.page, "Ann Lee")).to_contain_text("online")
    await wiki.app.put(ROOM, "bot", status="away", ttl=60)
    await expect(row(ann.page, "bot")).to_contain_text("abwesend")
    element = ann.page.locator("presence-list")
    await element.evaluate("(list) => list.setAttribute('words', '{\"away\": \"fort\"}')")
    await expect(row(ann.page, "bot")).to_contain_text("fort")
    await element.evaluate("(list) => { list.removeAttribute('words'); list.lang = 'no such_one' }")
    await expect(row(ann.page, "bot")).to_contain_text("away")


async def test_who_wants_to_hear_it_is_told_who_came_and_left(
    wiki: Wiki, window: OpenWindow
) -> None:
    wiki.body = wiki.element("presence-list", announce="")
    ann = await window(wiki.url)
    await ann.page.clock.install()
    await ann.goto("/")
    await expect(row(ann.page, "Ann Lee")).to_be_visible()
    said = ann.page.get_by_role("status").last
    async with wiki.app.line("bob"), wiki.app.line("carl"):
        await expect(row(ann.page, "carl")).to_be_visible()
        await expect(said).to_have_text("")
        await ann.page.clock.run_for(10_000)
        await expect(said).to_have_text("Here now: bob, carl.")
    async with wiki.app.line("bob"):
        await expect(row(ann.page, "carl")).to_have_count(0)
        await ann.page.clock.run_for(10_000)
        await expect(said).to_have_text("Gone: carl.")
        # A name is no pattern.
        token = wiki.app.token("eve", info={"name": "$& $$"})
        async with wiki.app.line("eve", token=token):
            await expect(row(ann.page, "$& $$")).to_be_visible()
            await ann.page.clock.run_for(10_000)
            await expect(said).to_have_text("Here now: $& $$.")


PARTS = {
    "presence-list": ("list", "person", "dot busy", "name", "status", "text", "more", "note"),
    "presence-avatars": ("list", "person", "dot", "avatar", "initials", "picture", "more"),
    "presence-dot": ("dot", "dot online"),
}
# Which of these parts a page's own style does not reach.
OUT_OF_REACH = """(parts) => {
    const sheet = new CSSStyleSheet();
    const written = (names) => names.map(([tag, part]) => `${tag}::part(${part})`);
    sheet.replaceSync(`${written(parts).join()} { scroll-margin-top: 7px }`);
    document.adoptedStyleSheets.push(sheet);
    return written(parts.filter(([tag, part]) => {
        const chosen = part.split(" ").map((name) => `[part~=${name}]`).join("");
        const found = document.querySelector(tag).shadowRoot.querySelector(chosen);
        return !found || getComputedStyle(found).scrollMarginTop !== "7px";
    }));
}"""
DOT_COLOURS = """() => [...document.querySelectorAll("presence-dot")].map((element) =>
    getComputedStyle(element.shadowRoot.querySelector(".dot")).color)"""
VARIABLES = """(variables) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`main { ${variables} }`);
    document.adoptedStyleSheets.push(sheet);
}"""


async def test_a_page_styles_each_part_and_colour_and_hears_of_each_drawing(
    wiki: Wiki, window: OpenWindow
) -> None:
    people = {"ann": "online", "bob": "busy", "abe": "away", "nobody": "offline"}
    wiki.body = wiki.element("presence-list") + wiki.element("presence-avatars", max="2")
    wiki.body += "".join(wiki.element("presence-dot", user=user) for user in people)
    for user in ("bob", "abe"):
        await wiki.app.put(ROOM, user, status=people[user], ttl=3600)
    ann = await (await window(wiki.url)).goto("/")
    await expect(ann.page.locator("presence-avatars img")).to_have_count(1)
    await expect(ann.page.locator("presence-dot").last).to_contain_text("nobody: offline")
    names = [[tag, part] for tag, parts in PARTS.items() for part in parts]
    assert await ann.page.evaluate(OUT_OF_REACH, names) == []
    # They are called by their names, and so are their lists.
    await expect(ann.page.get_by_role("list", name="People who are here")).to_have_count(2)

    in_light = await ann.page.evaluate(DOT_COLOURS)
    await ann.page.emulate_media(color_scheme="dark")
    in_dark = await ann.page.evaluate(DOT_COLOURS)
    assert len({*in_light, *in_dark}) == 8
    ours = {f"--presence-{status}": f"rgb(1, 2, {n})" for n, status in enumerate(people.values())}
    said = [f"{name}: {value}" for name, value in {**ours, "--presence-size": "50px"}.items()]
    await ann.page.evaluate(VARIABLES, "; ".join(said))
    assert await ann.page.evaluate(DOT_COLOURS) == list(ours.values())
    face = await ann.page.locator("presence-avatars .avatar").first.bounding_box()
    assert face is not None and face["width"] == face["height"] == 50

    drawn = """() => new Promise((done) => {
        const list = document.querySelector("presence-list");
        list.addEventListener("change", () => list.presence.people.has("carl") && done(true));
    })"""
    async with wiki.app.line("carl"):
        assert await ann.page.evaluate(drawn)

    async with ann.page.expect_event("websocket") as opened:
        await ann.page.locator("presence-list").evaluate(
            "(list, src) => list.setAttribute('src', src)", f"{wiki.server}/elsewhere"
        )
    assert "/elsewhere/api/v1/rooms/doc" in (await opened.value).url
    # Nobody answers there, of which the browser complains until the page is gone.
    await ann.page.goto("about:blank")
    ann.complaints.clear()


ACROSS = """(parts) => parts.map((part) => {
    const { left, right } = part.getBoundingClientRect();
    return (left + right) / 2;
})"""
LOOKS = """(dots) => dots.map((dot) => {
    const { color, backgroundColor, backgroundImage, borderTopStyle } = getComputedStyle(dot);
    return [color, backgroundColor, backgroundImage, borderTopStyle];
})"""
TEXT_COLOUR = """() => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = "CanvasText";
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
}"""


async def test_any_direction_contrast_and_taste_for_motion_is_served(
    wiki: Wiki, window: OpenWindow
) -> None:
    wiki.body = wiki.element("presence-list") + wiki.element("presence-avatars")
    ann = await window(wiki.url)
    for user, status in (("bob", "busy"), ("carl", "away"), ("dan", "online")):
        await wiki.app.put(ROOM, user, status=status, ttl=600)
    await ann.goto("/")
    faces = ann.page.locator("presence-avatars li")
    await expect(faces).to_have_count(4)
    await wiki.app.say("ann", status="busy", text="חזרה 12:30!")
    words = row(ann.page, "Ann Lee").locator(".text")
    await expect(words).to_have_text("חזרה 12:30!")

    for direction, sign in (("ltr", 1), ("rtl", -1)):
        await ann.page.evaluate("(dir) => { document.documentElement.dir = dir }", direction)
        for parts in (row(ann.page, "Ann Lee").locator("> *"), faces):
            places = [sign * place for place in await parts.evaluate_all(ACROSS)]
            assert places == sorted(places), direction
        face, dot = await faces.first.locator(".avatar, .dot").evaluate_all(ACROSS)
        assert sign * dot > sign * face
        # What people write has its own direction.
        assert await words.evaluate("(text) => getComputedStyle(text).direction") == "rtl"
        assert await ann.page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")

    await ann.page.emulate_media(forced_colors="active")
    dots = ann.page.locator("presence-list .dot")
    shown = await dots.evaluate_all(LOOKS)
    # A status is told by its form, in the one colour that text has.
    assert {look[0] for look in shown} == {await ann.page.evaluate(TEXT_COLOUR)}
    assert len({tuple(look[1:]) for look in shown}) == 3
    assert await violations(ann.page) == []

    await ann.page.emulate_media(forced_colors="none", reduced_motion="reduce")
    await wiki.app.put(ROOM, "dan", status="away", ttl=600)
    await expect(row(ann.page, "dan")).to_contain_text("away")
    # There is none, for those who like it neither.
    assert await ann.page.evaluate("document.getAnimations().length") == 0


@pytest.mark.alone
async def test_ten_thousand_people_do_not_jam_a_page(wiki: Wiki, window: OpenWindow) -> None:
    """Whoever comes is told of them at once, and then ten times a second."""
    everybody = {f"user{number:05}": 1_800_000_000 for number in range(10_000)}

    async def play(socket: WebSocketRoute) -> None:
        first = {"type": "snapshot", "cursor": "c", "heartbeat": 20, "online": everybody}
        socket.send(json.dumps(first))
        for number in range(30):
            away = {f"user{number:05}": 1_800_000_000 + number}
            socket.send(json.dumps({"type": "changes", "cursor": "c", "away": away}))
            await asyncio.sleep(0.1)

    ann = await window(wiki.url)
    await ann.page.route_web_socket("**/rooms/**", play)
    wiki.body = wiki.element("presence-list") + wiki.element("presence-avatars")
    await ann.page.add_init_script(
        """window.longest = 0;
        new PerformanceObserver((list) => {
            for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
        }).observe({ type: "longtask" });"""
    )
    await ann.goto("/")
    await expect(ann.page.get_by_text("9800 more")).to_be_visible()
    await expect(ann.page.get_by_text("+9995")).to_be_visible()
    await expect(row(ann.page, "user00029")).to_contain_text("away")
    assert await ann.page.evaluate("longest") < 1_000 * STALL


LATE = 0.3  # seconds, each way


def watched(page: Page) -> list[Any]:
    """The lists of whom its lines asked for, and None for each line that was opened."""
    lists: list[Any] = []

    def note(frame: str | bytes) -> None:
        said = json.loads(str(frame))
        if said["type"] == "watch":
            lists.append(said["users"])

    def follow(socket: WebSocket) -> None:
        lists.append(None)
        socket.on("framesent", note)

    page.on("websocket", follow)
    return lists


ADD_DOTS = """(users) => {
    const first = document.querySelector("presence-dot");
    for (const user of users) {
        const dot = first.cloneNode();
        dot.setAttribute("user", user);
        document.body.append(dot);
    }
}"""
REMOVE_DOTS = """() => {
    const [, ...others] = document.querySelectorAll("presence-dot");
    for (const dot of others) dot.remove();
}"""


async def test_many_dots_that_come_later_are_asked_for_at_once(
    wiki: Wiki, window: OpenWindow
) -> None:
    wiki.body = wiki.element("presence-dot", user="bob")
    ann = await window(wiki.url)
    lists = watched(ann.page)
    await ann.goto("/")
    await expect(ann.page.locator("presence-dot")).to_contain_text("bob: offline")
    others = [f"user{number}" for number in range(30)]
    await ann.page.evaluate(ADD_DOTS, others)
    await expect(ann.page.locator("presence-dot").last).to_contain_text("user29: offline")
    await ann.page.evaluate(REMOVE_DOTS)
    await until(lambda: lists[-1] == ["bob"])
    assert lists == [None, ["bob"], ["bob", *others], ["bob"]]


async def test_one_server_is_one_however_it_is_written(wiki: Wiki, window: OpenWindow) -> None:
    wiki.body = wiki.element("presence-list")
    wiki.body += wiki.element("presence-dot", user="ann", src=wiki.server)
    wiki.body += wiki.element("presence-dot", user="ann", src=f"{wiki.server}/")
    ann = await window(wiki.url)
    lists = watched(ann.page)
    await ann.goto("/")
    for dot in await ann.page.locator("presence-dot").all():
        await expect(dot).to_contain_text("Ann Lee: online")
    assert lists == [None]
    assert wiki.asked == ["ann"]
    # What is no address is none, and leaves nothing as if it were live.
    await ann.page.locator("presence-list").evaluate("(list) => list.setAttribute('src', '//[')")
    await expect(ann.page.locator("presence-list li")).to_have_count(0)
    await ann.page.locator("presence-list").evaluate("(list) => list.removeAttribute('src')")
    await expect(row(ann.page, "Ann Lee")).to_be_visible()


SAID_BY_DOTS = """() => {
    window.said = [];
    addEventListener("change", ({ target }) => said.push(target.shadowRoot.textContent), true);
}"""


async def test_a_dot_says_nothing_of_whom_the_server_has_not_told_yet(
    wiki: Wiki, line: Proxy, window: OpenWindow
) -> None:
    line.delay = LATE
    for user in ("bob", "carl"):
        await wiki.app.put(ROOM, user, ttl=600)
    wiki.body = wiki.element("presence-dot", user="bob", inside="<i>Bob</i>")
    ann = await window(wiki.url)
    await ann.page.add_init_script(f"({SAID_BY_DOTS})()")
    await ann.goto("/")
    dots = ann.page.locator("presence-dot")
    await expect(dots).to_contain_text("bob: online")
    await ann.page.evaluate(ADD_DOTS, ["carl"])
    await expect(dots.last).to_contain_text("carl: online")
    await dots.last.evaluate("(dot) => dot.setAttribute('user', 'eve')")
    await expect(dots.last).to_contain_text("eve: offline")
    await dots.last.evaluate("(dot) => dot.setAttribute('user', 'bob')")
    await expect(dots.last).to_contain_text("bob: online")
    said = await ann.page.evaluate("said")
    assert set(said) == {"bob: online", "carl: online", "eve: offline"}


async def test_of_another_room_nobody_is_shown_until_it_is_known(
    wiki: Wiki, window: OpenWindow
) -> None:
    wiki.body = wiki.element("presence-list", inside="<b>Ask Bob.</b>")
    ann = await (await window(wiki.url)).goto("/")
    people = ann.page.locator("presence-list li")
    await expect(people).to_have_text(["Ann Leeonline"])
    wiki.status = 403
    element = ann.page.locator("presence-list")
    await element.evaluate("(list) => list.setAttribute('room', 'secret')")
    await is_in_state(ann.page, "ended")
    await expect(people).to_have_count(0)
    await expect(ann.page.get_by_text("Ask Bob.")).to_be_visible()
    wiki.status = 200
    await element.evaluate("(list) => list.setAttribute('room', 'doc')")
    await expect(people).to_have_text(["Ann Leeonline"])
    await element.evaluate("(list) => list.removeAttribute('room')")
    await expect(people).to_have_count(0)
    ann.complaints.clear()


async def test_people_of_servers_out_of_reach_are_marked(wiki: Wiki, window: OpenWindow) -> None:
    here = {"bob": 1_800_000_000, "carl": 1_800_000_000}
    said = [
        {"type": "snapshot", "cursor": "c", "heartbeat": 20, "online": here},
        {"type": "degraded", "value": True},
        {"type": "own", "usernames": ["carl"]},
    ]

    async def play(socket: WebSocketRoute) -> None:
        for message in said:
            socket.send(json.dumps(message))

    wiki.body = wiki.element("presence-list") + wiki.element("presence-avatars")
    wiki.body += "".join(wiki.element("presence-dot", user=user) for user in here)
    ann = await window(wiki.url)
    await ann.page.route_web_socket("**/*", play)
    await ann.goto("/")
    note = "Some people are shown as last known."
    await expect(ann.page.locator("presence-list .note")).to_have_text(note)
    dots = ann.page.locator("presence-dot")
    await expect(dots.first).to_contain_text(f"bob: online. {note}")
    await expect(dots.last).to_have_text("carl: online")
    for name, style in (("bob", "dotted"), ("carl", "solid")):
        for shown in (row, face):
            dot = shown(ann.page, name).locator(".dot")
            assert await dot.evaluate("(dot) => getComputedStyle(dot).borderTopStyle") == style


async def test_long_names_and_words_fit_on_a_phone(wiki: Wiki, window: OpenWindow) -> None:
    wiki.body = wiki.element("presence-list")
    await wiki.app.put(ROOM, "w" * 128, ttl=600)
    ann = await window(wiki.url, viewport={"width": 320, "height": 600})
    await ann.goto("/")
    await wiki.app.say("ann", status="busy", text="W" * 100)
    await expect(row(ann.page, "Ann Lee")).to_contain_text("WWW")
    assert await ann.page.evaluate("document.scrollingElement.scrollWidth") <= 320
    # No word is broken that need not be.
    for word in ("Ann Lee", "busy"):
        box = await row(ann.page, "Ann Lee").get_by_text(word).bounding_box()
        assert box is not None and box["height"] < 30, word
