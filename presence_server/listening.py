"""Opening listeners: on addresses, on both families at once, and on a socket file."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from aiohttp import web

from presence_server.config import UNIX, ConfigError
from presence_server.crowd import Crowd

BOTH_FAMILIES = "::"
_ALL_OF_FOUR = "0.0.0.0"
# So many may wait for the kernel to hand them over, as far as it allows (net.core.somaxconn), and
# so many are taken in one turn of the event loop: asyncio has one number for both, and would take
# in a whole crowd while everybody waits.
_BACKLOG = 65_535
_IN_ONE_TURN = 32
# In seconds: while more wait, nobody who is taken in is so far behind the last.
_LONGEST_TURN = 0.5
# For the service and its group, in which the proxy must be.
_MODE = 0o660


class Listener(socket.socket):
    """A socket whose queue stays long, whatever number asyncio has for it."""

    _crowd: Crowd | None = None
    # So many were taken since the queue was seen empty, the last of them then; and since when more
    # have waited than are taken in one turn.
    _taken = 0
    _taken_at = _crowded_since = 0.0

    def listen(self, backlog: int = _BACKLOG) -> None:
        super().listen(_BACKLOG)

    def tell(self, crowd: Crowd) -> None:
        """Note there for how long people wait in the queue."""
        self._crowd = crowd

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            found = super().accept()
        except BlockingIOError:
            self._taken = 0
            raise
        if self._crowd is not None:
            self._note_wait(self._crowd, monotonic())
        return found

    def _note_wait(self, crowd: Crowd, now: float) -> None:
        if now - self._taken_at > _LONGEST_TURN:
            # Nobody saw that the queue was empty after the last one.
            self._taken = 0
        self._taken, self._taken_at = self._taken + 1, now
        if self._taken == _IN_ONE_TURN:
            self._crowded_since = now
        elif self._taken > _IN_ONE_TURN:
            crowd.note(self._crowded_since, now)


class Opened(NamedTuple):
    """What listens, and where, in words for people."""

    listeners: list[Listener]
    where: str


async def open_listeners(
    stack: ExitStack, host: str, port: int, flags: str, *, reuse_port: bool = False
) -> Opened:
    """Take each place of a list with commas, but what another one of it stands for, too. Port 0
    picks a free one, the same for all.

    With `reuse_port` other servers may do so, too. Nobody comes to an address before serve_on() is
    called for it, but to a socket file. The stack takes away those; the listeners are the caller's
    to close. Raises ConfigError, which names the `flags`.
    """
    opened = Opened([], "")
    places = list(dict.fromkeys(host.split(",")))
    with ExitStack() as unfinished:
        for place in sorted(places, key=_narrowness):
            try:
                found = await _open(stack, place, port, reuse_port, opened.listeners)
                for listener in found:
                    opened.listeners.append(unfinished.enter_context(listener))
            except (OSError, UnicodeError) as error:
                raise ConfigError(
                    f"{flags}: cannot listen on {_url(place, port)}: {_reason(error)}."
                ) from None
            if found and not place.startswith(UNIX):
                port = found[0].getsockname()[1]
        unfinished.pop_all()
    return opened._replace(where=", ".join(_url(place, port) for place in places))


async def serve_at(
    runner: web.AppRunner, opened: Opened, flags: str, crowd: Crowd | None = None
) -> None:
    """Begin to listen. Raises ConfigError, which names the `flags`."""
    try:
        await serve_on(runner, opened.listeners, crowd)
    except OSError as error:
        raise ConfigError(
            f"{flags}: cannot listen on {opened.where}: {_reason(error)}."
        ) from None


def beside(listener: Listener) -> Listener:
    """Another queue at the same address; a socket file has one for all."""
    if listener.family == socket.AF_UNIX:
        return Listener(fileno=os.dup(listener.fileno()))
    # Not before it was bound: another server with --reuse-port would have shared our address.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    only_six = listener.family == socket.AF_INET6 and bool(
        listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    )
    return _bound(listener.family, listener.getsockname(), only_six=only_six, reuse_port=True)


async def serve_on(
    runner: web.AppRunner, listeners: Sequence[Listener], crowd: Crowd | None = None
) -> None:
    """Hand the listeners to the runner, which closes them in the end; and note in `crowd` for how
    long people wait.

    Raises OSError where somebody else came to listen at the same address meanwhile.
    """
    for listener in listeners:
        if crowd is not None:
            listener.tell(crowd)
        await web.SockSite(runner, listener, backlog=_IN_ONE_TURN).start()


def _narrowness(place: str) -> int:
    return (BOTH_FAMILIES, _ALL_OF_FOUR, place).index(place)


async def _open(
    stack: ExitStack, place: str, port: int, reuse_port: bool, others: Sequence[Listener]
) -> list[Listener]:
    if place.startswith(UNIX):
        path = Path(place.removeprefix(UNIX))
        listener = _on_file(path)
        stack.callback(_removal(path))
        return [listener]
    if place == BOTH_FAMILIES:
        address = (place, port)
        return [_bound(socket.AF_INET6, address, only_six=False, reuse_port=reuse_port)]
    found = await asyncio.get_running_loop().getaddrinfo(
        place, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    addresses = dict.fromkeys((info[0], info[4]) for info in found)
    new = [each for each in addresses if not any(_takes(other, *each) for other in others)]
    return list(_at_each(new, reuse_port))


def _takes(listener: Listener, family: int, address: tuple[Any, ...]) -> bool:
    """Whether it is the one who comes to an address, too."""
    if listener.family == socket.AF_UNIX:
        return False
    name = listener.getsockname()[0]
    if name == BOTH_FAMILIES and not listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        return True
    everywhere = name in (BOTH_FAMILIES, _ALL_OF_FOUR)
    return listener.family == family and (everywhere or name == address[0])


def _at_each(
    addresses: Iterable[tuple[int, tuple[Any, ...]]], reuse_port: bool
) -> Iterator[Listener]:
    """All that one name stands for; with port 0 all get the port of the first."""
    port: int | None = None
    with ExitStack() as unfinished:
        for family, (name, asked, *rest) in addresses:
            address = (name, asked if port is None else port, *rest)
            listener = _bound(family, address, only_six=True, reuse_port=reuse_port)
            port = unfinished.enter_context(listener).getsockname()[1]
            yield listener
        unfinished.pop_all()


def _bound(
    family: int, address: tuple[object, ...], *, only_six: bool, reuse_port: bool
) -> Listener:
    listener = Listener(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_six)
        listener.bind(address)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _on_file(path: Path) -> Listener:
    _refuse_if_answered(path)
    if path.is_socket():
        # What is left of a server that was killed.
        path.unlink()
    listener = Listener(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(_MODE)
        listener.listen()
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _removal(path: Path) -> Callable[[], None]:
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
