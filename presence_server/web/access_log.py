"""One line for every request, whatever bytes it carries."""

import json
import logging
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_exceptions import HttpProcessingError

from presence_server.web.proxies import client_address

_LONGEST = 300  # characters of a path or a user agent


class AccessLogger(AbstractAccessLogger):
    """Neither queries nor cookies are logged: they can hold secrets."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        fields = {
            "address": _address(request),
            "method": _printable(request.method),
            "path": _printable(request.raw_path.partition("?")[0]),
            "status": response.status,
            "size": response.body_length,
            "milliseconds": round(time * 1000, 1),
            "agent": _printable(request.headers.get("User-Agent", "")),
        }
        self.logger.info("request", extra=fields)


def _address(request: web.BaseRequest) -> str:
    # A request that could not be parsed belongs to no application.
    if isinstance(request, web.Request) and request.match_info is not None:
        return client_address(request) or "-"
    return request.remote or "-"


def _printable(text: str) -> str:
    """As JSON writes it: ASCII only, everything else escaped, undecodable bytes included."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    return json.dumps(text)[1:-1].replace("\x7f", "\\u007f")


class ServerLog(logging.LoggerAdapter[logging.Logger]):
    """What aiohttp's server logs, without a traceback for what a client did wrong.

    The access log has the line for such a request already; the reason is for debugging.
    """

    def exception(self, msg: object, *args: object, exc_info: Any = True, **kwargs: Any) -> None:
        if isinstance(exc_info, HttpProcessingError):
            self.debug("Malformed request: %s", _printable(repr(exc_info)))
        else:
            super().exception(msg, *args, exc_info=exc_info, **kwargs)


server_log = ServerLog(logging.getLogger("aiohttp.server"))
