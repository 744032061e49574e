"""What asks for a WebSocket, and whether it does so as RFC 6455 says.

aiohttp would take drafts of the protocol, HEAD and HTTP/1.0, answer a subprotocol that it does not
know as if none had been asked for, and fail over a key that is not ASCII.
"""

import re

from aiohttp import HttpVersion11, web

from presence_server.live.dialects import BY_SUBPROTOCOL

_VERSION = "13"
# 16 bytes in base64.
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")


def asks_for_upgrade(request: web.Request) -> bool:
    """Whether this is about a WebSocket at all, in good form or not."""
    return "websocket" in _words(request, "Upgrade")


def check_upgrade(request: web.Request) -> None:
    """Raises a refusal: 426 for another version of the protocol, 400 for what is no upgrade."""
    versions = request.headers.getall("Sec-WebSocket-Version", ())
    if len(versions) == 1 and versions[0] != _VERSION:
        headers = {"Upgrade": "websocket", "Sec-WebSocket-Version": _VERSION}
        raise web.HTTPUpgradeRequired(headers=headers)
    keys = request.headers.getall("Sec-WebSocket-Key", ())
    good = (
        request.method == "GET"
        and request.version >= HttpVersion11
        and "upgrade" in _words(request, "Connection")
        and len(versions) == 1
        and len(keys) == 1
        and _KEY.fullmatch(keys[0]) is not None
        and _is_subprotocol_spoken(request)
        and not _has_body(request)
    )
    if not good:
        raise web.HTTPBadRequest


def _is_subprotocol_spoken(request: web.Request) -> bool:
    offers = request.headers.getall("Sec-WebSocket-Protocol", ())
    # aiohttp reads the first line only.
    return not offers or (
        len(offers) == 1 and not BY_SUBPROTOCOL.keys().isdisjoint(_tokens(offers[0]))
    )


def _has_body(request: web.Request) -> bool:
    # aiohttp would take it for frames, and a proxy for what it says it is.
    return "Transfer-Encoding" in request.headers or request.content_length not in (None, 0)


def _words(request: web.Request, name: str) -> set[str]:
    return {word for line in request.headers.getall(name, ()) for word in _tokens(line.lower())}


def _tokens(line: str) -> list[str]:
    return [token.strip(" \t") for token in line.split(",")]
