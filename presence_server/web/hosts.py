"""Under which names the site may be asked for."""

import re
from ipaddress import ip_address

from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Handler
from yarl import URL

from presence_server.keys import CONFIG

_NAME = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?"
_HOST = re.compile(rf"({_NAME}|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,5}}))?")
_LONGEST = 260


@web.middleware
async def known_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses a Host that is none (400), and with --public-url one that is not ours (421)."""
    _check_host(request)
    return await handler(request)


def _check_host(request: web.Request) -> None:
    hosts = request.headers.getall("Host", ())
    if len(hosts) > 1 or (not hosts and request.version >= HttpVersion11):
        raise web.HTTPBadRequest
    for host in hosts:
        match = _HOST.fullmatch(host) if len(host) <= _LONGEST else None
        if match is None:
            raise web.HTTPBadRequest
        public_url = request.app[CONFIG].public_url
        if public_url is not None and not _is_ours(match[1], match[2], URL(public_url)):
            raise web.HTTPMisdirectedRequest


def _is_ours(name: str, port: str | None, ours: URL) -> bool:
    # Proxies that do not pass the Host on, and checks of health, send an address; no name of
    # somebody else's can be made to look like one.
    if _is_address(name) or name == "localhost":
        return True
    same_port = port is None or int(port) == ours.port
    return name.rstrip(".").lower() == ours.host and same_port


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
