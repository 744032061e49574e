"""A site that lives below a path."""

import re
from http.cookies import SimpleCookie

import aiohttp
import pytest

from tests.conftest import Serve, Visit

BELOW = {"public_url": "http://presence.example/chat"}
ADDRESS = re.compile(r'(?:href|src|action)="([^"]*)"')


def links(text: str) -> set[str]:
    return {link for link in ADDRESS.findall(text) if not link.startswith("#")}


async def test_everything_leads_below_the_path(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(**BELOW))
    alice.url += "/chat"
    found = links((await alice.get("/nowhere/")).text)
    for path in ("/sign_up/", "/log_in/?next=/account/"):
        found |= links((await alice.get(path)).text)
    answer = await alice.sign_up("alice")
    assert answer.location == "/chat/log_in/"
    answer = await alice.log_in("alice")
    assert answer.location == "/chat/"
    for path in ("/", "/account/", "/?q=a"):
        page = await alice.get(path)
        assert page.status == 200
        found |= links(page.text)
    assert len(found) > 15
    found.add((await alice.get("/favicon.ico")).location or "")
    assert [link for link in found if not link.startswith("/chat/")] == []
    origin = alice.url.removesuffix("/chat")
    for link in found:
        async with alice.http.get(origin + link, allow_redirects=False) as got:
            assert got.status in (200, 303, 405), link
    assert (await alice.log_out()).location == "/chat/log_in/"
    assert (await alice.get("/account/")).location == "/chat/log_in/?next=/account/"


async def test_the_socket_and_the_list_for_programs_are_there(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(**BELOW))
    alice.url += "/chat"
    await alice.sign_up("alice")
    await alice.log_in("alice")
    async with alice.live(headers={"Origin": "http://presence.example"}) as socket:
        await socket.sees("alice", "online")
    with pytest.raises(aiohttp.WSServerHandshakeError):
        async with alice.live(headers={"Origin": "http://presence.example/chat"}):
            pass
    assert [row["username"] for row in (await alice.api())["users"]] == ["alice"]
    refused = await alice.get("/api/users?limit=0")
    assert refused.status == 400 and refused.headers["Content-Type"].startswith("application/json")
    assert (await alice.get("/healthz")).status == 200


async def test_a_proxy_may_take_the_path_off(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(**BELOW))
    answer = await alice.get("/")
    assert answer.location == "/chat/log_in/"
    assert links((await alice.get("/log_in/")).text) >= {"/chat/sign_up/"}
    assert (await alice.get("/readyz")).status == 200


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/chat", "/chat/"),
        ("/chat?q=a", "/chat/?q=a"),
        ("/chat/account", "/chat/account/"),
        ("/chat/users/", "/chat/"),
        ("/chat/.well-known/change-password", "/chat/account/"),
    ],
)
async def test_redirects_stay_below(
    serve: Serve, visit: Visit, path: str, location: str
) -> None:
    visitor = await visit(await serve(**BELOW))
    assert (await visitor.get(path)).location == location


@pytest.mark.parametrize(
    ("public_url", "prefix", "path"),
    [
        ("https://presence.example/chat", "__Secure-presence_", "/chat"),
        ("http://presence.example/chat", "presence_", "/chat"),
        ("https://presence.example", "__Host-presence_", "/"),
    ],
)
async def test_the_cookie_is_of_the_path(
    serve: Serve, visit: Visit, public_url: str, prefix: str, path: str
) -> None:
    page = await (await visit(await serve(public_url=public_url))).get("/log_in/")
    (cookie,) = SimpleCookie(page.headers["Set-Cookie"]).values()
    assert cookie.key.startswith(prefix)
    assert (cookie["path"], cookie["domain"]) == (path, "")
    assert bool(cookie["secure"]) is public_url.startswith("https")
