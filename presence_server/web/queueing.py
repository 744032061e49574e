"""Who waits in a queue for a hash, or for somebody else's answer to the same form."""

from aiohttp import web

from presence_server.accounts.queues import Waiter
from presence_server.addresses import networks
from presence_server.web.proxies import client_address


def waiter(request: web.Request, account: str | None = None) -> Waiter:
    """Who waits in a queue: everybody on known devices of an account, or all from one network."""
    share = networks(client_address(request))[-1][0] if account is None else account.encode()
    return Waiter(share, getattr(request.protocol, "gone", None))
