"""nginx asks a sign-in service about each request, with the very file that operators are given."""

import os
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from presence_server.resources import ROOT
from testing.install_nginx import MISSING, nginx_binary
from testing.redis_server import lasting_port
from tests.conftest import Serve, ServeApp
from tests.operations.nginx import SITE, Nginx, make_certificate, replaced
from tests.operations.people import Place

SIGN_IN = (ROOT / "deploy" / "nginx-sign-in.conf").read_text()

pytestmark = pytest.mark.skipif(nginx_binary() is None and "CI" not in os.environ, reason=MISSING)


def sign_in_service() -> web.Application:
    """As oauth2-proxy speaks to nginx; its cookie is the name of whoever has signed in."""

    async def check(request: web.Request) -> web.Response:
        name = request.cookies.get("signed_in")
        if name is None:
            return web.Response(status=401)
        return web.Response(status=202, headers={"X-Auth-Request-Preferred-Username": name})

    async def sign_in(request: web.Request) -> web.Response:
        return web.Response(text="Sign in here.")

    app = web.Application()
    app.add_routes([web.get("/oauth2/auth", check), web.get("/oauth2/sign_in", sign_in)])
    return app


@pytest.fixture
async def place(tmp_path: Path, serve: Serve, serve_app: ServeApp) -> AsyncIterator[Place]:
    nginx = Nginx(tmp_path)
    port = lasting_port()
    server = await serve(
        public_url=nginx.url,
        trusted_user_header="Remote-User",
        trusted_proxies=(ip_network("127.0.0.1"),),
    )
    service = aiohttp.web.AppRunner(sign_in_service())
    await service.setup()
    await web.TCPSite(service, "127.0.0.1", port).start()
    certificate, key = make_certificate(tmp_path)
    included = tmp_path / "sign-in.conf"
    included.write_text(SIGN_IN.replace("127.0.0.1:4180", f"127.0.0.1:{port}"))
    changes = {
        "/etc/ssl/certs/presence-server.pem": str(certificate),
        "/etc/ssl/private/presence-server.key": str(key),
        "127.0.0.1:8000": f"127.0.0.1:{server.port}",
        "    # Tables of accounts": f"    include {included};\n    # Tables of accounts",
    }
    assert nginx.configure(replaced(SITE, changes)) is None
    try:
        await nginx.start()
        yield Place(nginx.url, certificate)
    finally:
        nginx.stop()
        await service.cleanup()


async def test_who_has_signed_in_is_let_in_under_that_name_and_no_other(place: Place) -> None:
    async with place.visitor() as alice, place.visitor("127.0.0.2") as mallory:
        mallory.http.headers["Remote-User"] = "alice"
        for path in ("/", "/account/", "/admin/"):
            answer = await mallory.get(path)
            assert (answer.status, answer.location) == (
                302,
                f"{place.url}/oauth2/sign_in?rd={path}",
            )
        assert (await mallory.get("/oauth2/sign_in")).text == "Sign in here."
        for path in ("/healthz", "/client/v1/presence.js"):
            assert (await mallory.get(path)).status == 200
        assert (await mallory.get("/api/v1/rooms")).status == 401
        alice.http.headers["Cookie"] = "signed_in=alice"
        # What the browser sends of that name, and of others, the proxy puts its own in place of.
        forged = {"Remote-User": "root", "Remote_User": "root", "X-Remote-User": "root"}
        page = await alice.get("/", headers=forged)
        assert page.status == 200 and "alice: Online" in page.text
        for cookie in page.headers.getall("Set-Cookie"):
            alice.http.headers["Cookie"] += "; " + cookie.partition(";")[0]
        async with alice.live(headers=forged) as socket:
            await socket.sees("alice", "online")
            # The cookie of the site alone opens nothing.
            stolen = alice.http.headers["Cookie"].partition("; ")[2]
            assert (await mallory.get("/", headers={"Cookie": stolen})).status == 302


async def test_what_the_sign_in_does_not_see_has_no_name_either(place: Place) -> None:
    async with place.visitor() as mallory:
        mallory.http.headers["Remote-User"] = "alice"
        for path in ("/static/x/../../", "/static/..%2f", "/client/..%2f..%2f", "/api/v1/../../"):
            assert (await mallory.get(path)).status in (302, 303, 400, 401, 404)
        assert "alice" not in (await mallory.get("/static/x/users")).text
