"""Under which names the site may be asked for, and by whose pages."""

import logging
import math
import socket
from collections.abc import Awaitable

from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Handler
from yarl import URL

from presence_server.keys import CONFIG
from presence_server.logs import Seldom
from presence_server.origins import Origin, is_address, origin_of, read_host, read_origin

log = logging.getLogger(__name__)

_once = Seldom(log, math.inf)


@web.middleware
def known_host(request: web.Request, handler: Handler) -> Awaitable[web.StreamResponse]:
    """Refuses a Host that is none (400), and with --public-url one that is not ours (421).

    No coroutine: it would stay for as long as a socket does.
    """
    asked = _asked_host(request)
    public = request.app[CONFIG].public_origin
    if asked is not None and public is not None and not _is_ours(*asked, public):
        raise web.HTTPMisdirectedRequest
    return handler(request)


@web.middleware
async def operators_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets in whoever asks for this machine by an address or by a name of its own (421), and no
    page of another site that a browser shows (403): a name can be made to lead here."""
    asked = _asked_host(request)
    if asked is not None and not _is_of_this_machine(asked[0], request.app[CONFIG].admin_host):
        raise web.HTTPMisdirectedRequest
    if not sent_by_our_pages(request):
        raise web.HTTPForbidden
    return await handler(request)


def sent_by_our_pages(request: web.Request) -> bool:
    """Whether nothing shows that another site made a browser send this."""
    sites = request.headers.getall("Sec-Fetch-Site", ())
    if sites:
        return all(site in ("same-origin", "none") for site in sites)
    return has_our_origin(request)


def has_our_origin(request: web.Request) -> bool:
    """Whether each Origin that the request has is that of this site."""
    return all(_is_our_origin(request, text) for text in request.headers.getall("Origin", ()))


def sent_without_https(request: web.Request) -> bool:
    """Whether a page of this site sent it that was opened without https, which the site needs."""
    public = request.app[CONFIG].public_origin
    if public is None or public.scheme != "https":
        return False
    try:
        origin = read_origin(request.headers.get("Origin", ""))
    except ValueError:
        return False
    return (origin.scheme, origin.host) == ("http", public.host)


def _is_our_origin(request: web.Request, text: str) -> bool:
    try:
        origin = read_origin(text)
    except ValueError:
        return False
    public = request.app[CONFIG].public_origin
    if public is None and origin.scheme == "https":
        _once.warning(
            "A page that was reached by https has been refused: if a proxy with https stands in "
            "front, name the origin that people use with --public-url https://..."
        )
    return origin == (public or _plain_origin(request))


def _plain_origin(request: web.Request) -> Origin | None:
    # Without --public-url there is no https, and the name is whichever was asked for.
    host = request.headers.get("Host")
    return None if host is None else origin_of("http", host)


def site_url(request: web.Request) -> str:
    """Where others find this site, as far as the request tells."""
    config = request.app[CONFIG]
    return str(config.public_url or f"http://{request.headers.get('Host', '')}")


def came_from(request: web.Request) -> str:
    """The path, as of site_path, of the page of this site that led here; empty if none did."""
    config = request.app[CONFIG]
    try:
        page = URL(request.headers.get("Referer", ""))
        origin = read_origin(str(page.origin()))
    except ValueError:
        return ""
    ours = config.public_origin or _plain_origin(request)
    return page.path.removeprefix(config.base_path) if origin == ours else ""


def site_path(request: web.Request) -> str:
    """The path that is asked for, without what all addresses of the site begin with."""
    base_path = request.app[CONFIG].base_path
    path = request.path
    if path == base_path or path.startswith(f"{base_path}/"):
        return path[len(base_path) :]
    return path


def _asked_host(request: web.Request) -> tuple[str, int | None] | None:
    """None for old programs, and checks of health, that send no Host."""
    hosts = request.headers.getall("Host", ())
    if len(hosts) > 1 or (not hosts and request.version >= HttpVersion11):
        raise web.HTTPBadRequest
    try:
        return read_host(hosts[0]) if hosts else None
    except ValueError:
        raise web.HTTPBadRequest from None


def _is_ours(name: str, port: int | None, public: Origin) -> bool:
    # Proxies that do not pass the Host on, and checks of health, send an address; no name of
    # somebody else's can be made to look like one.
    if is_address(name) or name == "localhost":
        return True
    return name == public.host and port in (None, public.port)


def _is_of_this_machine(name: str, admin_host: str) -> bool:
    own = ("localhost", socket.gethostname().lower(), admin_host.lower().rstrip("."))
    return is_address(name) or name in own
