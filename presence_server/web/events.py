"""What happens to accounts, a line of the log each: who, from where, and what."""

import logging

from aiohttp import web

from presence_server.web.proxies import client_address

log = logging.getLogger(__name__)


def note(request: web.Request, event: str, username: str | None) -> None:
    """`username` is that of an account or None: what else is typed there may be a password."""
    who = {"user": username or "-", "address": client_address(request) or "-"}
    log.info(event, extra=who)
