"""One line for every request, whatever bytes it carries."""

import json
import logging
import re
from typing import TypeGuard

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from presence_server.logs import Seldom
from presence_server.web.proxies import client_address, is_forwarded_in_vain, unreadable_hop

_LONGEST = 300  # characters of a path or a user agent
# What follows lets somebody in.
_SECRET_PATH = re.compile(r"(/(?:invite|reset)/).+")
_SELDOM = 600.0  # seconds

log = logging.getLogger(__name__)


class AccessLogger(AbstractAccessLogger):
    """Neither queries nor cookies nor what links let in with are logged: they hold secrets."""

    # Of the class, because aiohttp makes one of these for each connection.
    _proxies = Seldom(log, _SELDOM)
    _unreadable = Seldom(log, _SELDOM)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        fields = {
            "address": _address(request),
            "method": printable(request.method),
            "path": printable(_without_secret(request.raw_path.partition("?")[0])),
            "status": response.status,
            "size": response.body_length,
            "milliseconds": round(time * 1000, 1),
            "agent": printable(request.headers.get("User-Agent", "")),
        }
        self.logger.info("request", extra=fields)
        if _is_parsed(request) and "X-Forwarded-For" in request.headers:
            self._warn_of_proxies(request)

    def _warn_of_proxies(self, request: web.Request) -> None:
        if is_forwarded_in_vain(request):
            self._proxies.warning(
                "%s sends X-Forwarded-For and is not among --trusted-proxies: "
                "if it is the proxy, everybody behind it shares one address and its limits",
                request.remote,
            )
        hop = unreadable_hop(request)
        if hop is not None:
            self._unreadable.warning(
                "X-Forwarded-For has %s where the client's address should be: everybody behind "
                "that proxy shares one address and its limits",
                printable(hop),
            )


def _without_secret(path: str) -> str:
    return _SECRET_PATH.sub(r"\1...", path)


def _address(request: web.BaseRequest) -> str:
    if _is_parsed(request):
        return client_address(request) or "-"
    return request.remote or "-"


def _is_parsed(request: web.BaseRequest) -> TypeGuard[web.Request]:
    # One that could not be parsed belongs to no application that knows the proxies.
    return isinstance(request, web.Request) and request._match_info is not None


def printable(text: str) -> str:
    """As JSON writes it: ASCII only, everything else escaped, undecodable bytes included."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    return json.dumps(text)[1:-1].replace("\x7f", "\\u007f")
