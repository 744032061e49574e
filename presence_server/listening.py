"""Opening listeners: on addresses, on both families at once, and on a socket file."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from presence_server.config import UNIX, ConfigError

BOTH_FAMILIES = "::"
# So many may wait for the kernel to hand them over, as far as it allows (net.core.somaxconn), and
# so many are taken in one turn of the event loop: asyncio has one number for both, and would take
# in a whole crowd while everybody waits.
_BACKLOG = 65_535
_IN_ONE_TURN = 8
# For the service and its group, in which the proxy must be.
_MODE = 0o660


async def listen(
    stack: AsyncExitStack,
    runner: web.AppRunner,
    host: str,
    port: int,
    flags: str,
    *,
    reuse_port: bool = False,
) -> str:
    """Listen at each place of a list with commas, until the stack is left; where that is.

    Port 0 picks a free one, the same for all. Raises ConfigError, which names the `flags`.
    """
    opened = []
    for place in host.split(","):
        try:
            if place.startswith(UNIX):
                stack.callback(await _listen_on_file(runner, Path(place.removeprefix(UNIX))))
            else:
                port = await _listen_on_address(runner, place, port, reuse_port)
        except (OSError, UnicodeError) as error:
            raise ConfigError(
                f"{flags}: cannot listen on {_url(place, port)}: {_reason(error)}."
            ) from None
        opened.append(_url(place, port))
    return ", ".join(opened)


async def _listen_on_address(
    runner: web.AppRunner, host: str, port: int, reuse_port: bool
) -> int:
    if host == BOTH_FAMILIES:
        # asyncio would take IPv6 alone.
        listener = socket.create_server(
            (host, port),
            family=socket.AF_INET6,
            backlog=_BACKLOG,
            reuse_port=reuse_port,
            dualstack_ipv6=True,
        )
        await _start(web.SockSite(runner, listener, backlog=_IN_ONE_TURN))
        return int(listener.getsockname()[1])
    # False would be refused where the platform has no such option.
    site = web.TCPSite(runner, host, port, backlog=_IN_ONE_TURN, reuse_port=reuse_port or None)
    await _start(site)
    return site.port


async def _start(site: web.BaseSite) -> None:
    await site.start()
    server = site._server
    assert isinstance(server, asyncio.Server)
    for listener in server.sockets:
        with socket.socket(fileno=os.dup(listener.fileno())) as same:
            same.listen(_BACKLOG)


async def _listen_on_file(runner: web.AppRunner, path: Path) -> Callable[[], None]:
    _refuse_if_answered(path)
    # asyncio takes away what is left of a server that was killed.
    await _start(web.UnixSite(runner, path, backlog=_IN_ONE_TURN))
    path.chmod(_MODE)
    made = path.stat().st_ino

    def remove() -> None:
        if path.exists() and path.stat().st_ino == made:
            path.unlink()

    return remove


def _refuse_if_answered(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return
    raise OSError(0, "another server listens there")


def _url(place: str, port: int) -> str:
    if place.startswith(UNIX):
        return place
    return f"http://[{place}]:{port}" if ":" in place else f"http://{place}:{port}"


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "not a host name"
    # The loop words a failed bind at length, the number says it shortly; look-ups have none.
    number = error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or str(error)
