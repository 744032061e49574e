"""What a real browser lets other sites, cookies and hostile names do."""

import datetime
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from playwright.async_api import async_playwright, expect
from pytest_aiohttp import AiohttpServer

from presence_server.presence.members import Who
from presence_server.presence.records import OWN
from presence_server.storage.database import Transaction
from presence_server.app import create_app
from presence_server.config import Config
from presence_server.keys import DATABASE, PRESENCE
from tests.browser.conftest import OpenWindow
from tests.browser.window import Window
from testing.browsers import chromium
from tests.conftest import Serve, ServeApp, ServerProcesses, Visit
from testing.redis_server import free_port

FOREIGN_PAGE = """<!doctype html><title>foreign</title>
<img src="{site}/log_out/"><iframe src="{site}/" id="frame"></iframe>
<form id="log-out" method="post" action="{site}/log_out/"></form>
<form id="log-in" method="post" action="{site}/log_in/">
<input name="username" value="mallory"><input name="password" value="johnson123"></form>
<script>
const socket = new WebSocket("{socket}/users/");
socket.onopen = () => document.title = "open";
socket.onclose = () => document.title = "closed";
</script>"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_t1_t3_a_foreign_page_changes_nothing_and_hears_nothing(
    serve: Serve, window: OpenWindow, aiohttp_server: AiohttpServer, host: str
) -> None:
    # Another port is the same site to a browser, which then sends the cookie; another name is not.
    alice = await window(await serve(), "alice")
    await alice.is_live()
    text = FOREIGN_PAGE.format(site=alice.url, socket=alice.url.replace("http", "ws"))

    async def foreign_page(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", foreign_page)])
    foreign = await aiohttp_server(app)
    for form in ("log-out", "log-in"):
        tab = await alice.context.new_page()
        await tab.goto(f"http://{host}:{foreign.port}/")
        await expect(tab).to_have_title("closed")
        async with tab.expect_navigation() as navigation:
            await tab.evaluate(f"document.getElementById('{form}').submit()")
        answer = await (await navigation.value).request.response()
        assert answer is not None and answer.status == 403
        await tab.close()
    await alice.sees("alice", "Online")
    await alice.goto("/")
    await alice.sees("alice", "Online")


async def test_t10_a_browser_that_was_here_before_is_not_held_up_by_guesses(
    serve: Serve, window: OpenWindow, visit: Visit
) -> None:
    server = await serve()
    alice, stranger = await window(server, "alice"), await window(server)
    await alice.is_live()
    await alice.log_out()
    mallory = await visit(server)
    for _ in range(11):
        refused = await mallory.log_in("alice", "a guess")
    assert refused.status == 429
    await alice.log_in("alice")
    await alice.is_live()
    await stranger.log_in("alice")
    await expect(stranger.page.get_by_text("Too many attempts.")).to_be_visible()
    stranger.complaints.clear()


async def test_t28_after_log_out_no_cookie_is_left(serve: Serve, window: OpenWindow) -> None:
    alice = await window(await serve(), "alice")
    await alice.is_live()
    assert len(await alice.context.cookies()) == 1
    await _log_out_and_stop(alice)
    assert await alice.context.cookies() == []


async def test_t28_of_an_https_site_neither(
    window: OpenWindow,
    serve_app: ServeApp,
    config: Callable[..., Config],
    tmp_path: Path,
) -> None:
    port = free_port()
    site = f"https://localhost:{port}"
    app = create_app(config(public_url=site))
    await serve_app(app, port=port, ssl=_tls(tmp_path))
    alice = await window(site, ignore_https_errors=True)
    await alice.sign_up("alice")
    await alice.log_in("alice")
    await alice.is_live()
    (cookie,) = await alice.context.cookies()
    assert cookie["name"].startswith("__Host-presence_")
    assert cookie["secure"] and cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    await _log_out_and_stop(alice)
    assert await alice.context.cookies() == []


async def _log_out_and_stop(alice: Window) -> None:
    """Log out without going on to the log-in page, which gives a new cookie."""
    # A page without scripts: the others go on by themselves.
    await alice.goto("/healthz")
    kind = await alice.page.evaluate(
        """async () => {
            const text = await (await fetch("/account/")).text();
            const page = new DOMParser().parseFromString(text, "text/html");
            const form = page.getElementById("log-out");
            const body = new URLSearchParams(new FormData(form));
            return (await fetch(form.action, {method: "POST", body, redirect: "manual"})).type;
        }"""
    )
    assert kind == "opaqueredirect"


def _tls(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, SHA256())
    )
    pem = folder / "localhost.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def test_t24_a_name_that_is_html_runs_nothing(serve: Serve, window: OpenWindow) -> None:
    server = await serve()
    alice = await window(server, "alice")
    await alice.is_live()
    evil = "<img src=x onerror=document.title='run'>"
    await _insert(server, evil)
    server.app[PRESENCE].claim(OWN, Who("a session of nobody", evil))
    await expect(alice.page.get_by_text(evil).first).to_be_attached()
    await alice.goto("/")
    await expect(alice.page.get_by_text(evil).first).to_be_attached()
    assert await alice.page.locator("main img").count() == 0
    assert await alice.page.title() != "run"


async def _insert(server: TestServer, username: str) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute(
            "INSERT INTO users (username, lower_name, password_hash, created_at)"
            " VALUES ($1, $2, '', 1)",
            username,
            username.lower(),
        )

    await server.app[DATABASE].write(work)


async def test_a_plain_http_site_with_a_name_of_its_own_takes_its_forms(serve: Serve) -> None:
    # There browsers send no Sec-Fetch-Site, and the Origin must carry the proof.
    server = await serve()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(),
            args=["--disable-dev-shm-usage", "--host-resolver-rules=MAP *.test 127.0.0.1"],
        )
        async with browser:
            alice = Window(await browser.new_page(), f"http://presence.test:{server.port}")
            sent = []
            alice.page.on("request", lambda request: sent.append(request))
            await alice.sign_up("alice")
            await expect(alice.page).to_have_url(alice.url + "/log_in/")
            await alice.log_in("alice")
            await alice.is_live()
            await alice.log_out()
            posts = [await request.all_headers() for request in sent if request.method == "POST"]
    # Which is for trustworthy sites, as plain http is none.
    assert all("Cross-Origin-Opener-Policy" in complaint for complaint in alice.complaints)
    assert len(posts) == 3
    for headers in posts:
        assert headers["origin"] == alice.url
        assert "sec-fetch-site" not in headers


async def test_a_cookie_that_is_ours_but_for_an_odd_blank_changes_nothing(
    server_process: ServerProcesses, window: OpenWindow
) -> None:
    server = await server_process()
    alice = await window(server, "alice")
    (cookie,) = await alice.context.cookies()
    # As a page of a sibling domain could, for all that is below their parent.
    planted = f"\u2003{cookie['name']}=planted; path=/"
    await alice.page.evaluate("cookie => { document.cookie = cookie; }", planted)
    assert len(await alice.context.cookies()) == 2
    await alice.goto("/account/")
    await expect(alice.page).to_have_url(alice.url + "/account/")
