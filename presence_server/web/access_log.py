"""One line for every request, whatever bytes it carries."""

import json

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from presence_server.web.proxies import client_address

_LONGEST = 300  # characters of a path or a user agent


class AccessLogger(AbstractAccessLogger):
    """Neither queries nor cookies are logged: they can hold secrets."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        fields = {
            "address": _address(request),
            "method": printable(request.method),
            "path": printable(request.raw_path.partition("?")[0]),
            "status": response.status,
            "size": response.body_length,
            "milliseconds": round(time * 1000, 1),
            "agent": printable(request.headers.get("User-Agent", "")),
        }
        self.logger.info("request", extra=fields)


def _address(request: web.BaseRequest) -> str:
    # A request that could not be parsed belongs to no application that knows the proxies.
    if isinstance(request, web.Request) and request._match_info is not None:
        return client_address(request) or "-"
    return request.remote or "-"


def printable(text: str) -> str:
    """As JSON writes it: ASCII only, everything else escaped, undecodable bytes included."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    return json.dumps(text)[1:-1].replace("\x7f", "\\u007f")
