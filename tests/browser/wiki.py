"""An application with users of its own, on an origin of its own, under a strict policy."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from testing.app_client import AppClient

ROOM = "doc"
PICTURE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">
<path fill="teal" d="M0 0h9v9H0z"/></svg>"""


class Wiki:
    """`body` is what its page holds; `life` (seconds) is that of the tokens it gives, `permission`
    what these allow, `status` that of the answer to whoever asks for one."""

    def __init__(self, app: AppClient, server: str, lang: str = "en") -> None:
        self.app = app
        self.server = server
        self.lang = lang
        self.body = ""
        self.life = 600
        self.permission = "join"
        self.status = 200
        self.asked: list[str] = []
        self.url = ""

    def element(self, tag: str, inside: str = "", **attributes: str) -> str:
        """As Ann's page has it."""
        said = {"room": ROOM, "token-from": "/token?user=ann", **attributes}
        written = " ".join(f'{name}="{value}"' for name, value in said.items())
        return f"<{tag} {written}>{inside}</{tag}>"

    @property
    def policy(self) -> str:
        allowed = {
            "default-src": "'none'",
            "script-src": self.server,
            "style-src": "'none'",
            "img-src": "'self'",
            "worker-src": f"'self' {self.server}",
            "connect-src": f"'self' {self.server} {self.server.replace('http', 'ws', 1)}",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
            "require-trusted-types-for": "'script'",
        }
        return "; ".join(f"{name} {value}" for name, value in allowed.items())

    async def show(self, request: web.Request) -> web.Response:
        script = f'<script type="module" src="{self.server}/client/v1/presence.js"></script>'
        scheme = '<meta name="color-scheme" content="light dark">'
        head = f"<title>A wiki</title>{scheme}{script}"
        body = f"<main><h1>A page</h1>{self.body}</main>"
        page = f"<!doctype html><html lang={self.lang}><head>{head}</head><body>{body}</body>"
        headers = {"Content-Security-Policy": self.policy}
        return web.Response(text=page, content_type="text/html", headers=headers)

    async def token(self, request: web.Request) -> web.Response:
        user, room = request.query["user"], request.query["room"]
        self.asked.append(user)
        if self.status != 200:
            return web.Response(status=self.status)
        info = {"name": f"{user.title()} Lee", "avatar": f"/pictures/{user}.svg"}
        ends_at = int(time.time()) + self.life
        # Within one second no two are the same.
        number = str(len(self.asked))
        token = self.app.token(user, {room: self.permission}, info=info, exp=ends_at, jti=number)
        return web.Response(text=json.dumps({"token": token}), content_type="application/json")

    async def worker(self, request: web.Request) -> web.Response:
        """Tells its page how many are in the room."""
        return web.Response(
            text=f"""
                import {{ Presence, tokenFetcher }} from "{self.server}/client/v1/presence.js";
                const getToken = tokenFetcher("/token?user=worker");
                const room = new Presence("{self.server}", {{ getToken }}).room("{ROOM}");
                room.addEventListener("change", () => postMessage([room.state, room.count]));
            """,
            content_type="text/javascript",
            headers={"Content-Security-Policy": self.policy},
        )

    async def picture(self, request: web.Request) -> web.Response:
        if request.match_info["name"] != "ann.svg":
            return web.Response(text="", content_type="image/svg+xml")
        return web.Response(text=PICTURE, content_type="image/svg+xml")


async def nothing(request: web.Request) -> web.Response:
    return web.Response(status=204)


@asynccontextmanager
async def wiki_running(wiki: Wiki, port: int) -> AsyncIterator[Wiki]:
    site = web.Application()
    site.add_routes(
        [
            web.get("/", wiki.show),
            web.get("/token", wiki.token),
            web.get("/worker.js", wiki.worker),
            web.get("/pictures/{name}", wiki.picture),
            web.get("/favicon.ico", nothing),
        ]
    )
    async with TestServer(site, port=port):
        # Another name than that of the presence server: another origin in every sense.
        wiki.url = f"http://localhost:{port}"
        yield wiki


@asynccontextmanager
async def without_sockets(server: str) -> AsyncIterator[str]:
    """A proxy that lets no WebSocket through, as some companies have; its address."""

    async def pass_on(request: web.Request) -> web.StreamResponse:
        if "Upgrade" in request.headers:
            return web.Response(status=400)
        headers = {k: v for k, v in request.headers.items() if k not in ("Host", "Connection")}
        url = f"{server}{request.rel_url}"
        body = await request.read()
        async with http.request(request.method, url, headers=headers, data=body) as answer:
            kept = {k: v for k, v in answer.headers.items() if k != "Transfer-Encoding"}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
        return response

    proxy = web.Application()
    proxy.router.add_route("*", "/{path:.*}", pass_on)
    runner = web.AppRunner(proxy, shutdown_timeout=0.1)
    await runner.setup()
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
