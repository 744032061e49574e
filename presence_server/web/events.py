"""What happens to accounts, a line of the log each: who, from where, and what."""

import logging

from aiohttp import web

from presence_server.web.proxies import client_address

log = logging.getLogger(__name__)


def note(request: web.Request, event: str, username: str) -> None:
    """`username` is always that of an account: what else is typed there may be a password."""
    log.info(event, extra={"user": username, "address": client_address(request) or "-"})
