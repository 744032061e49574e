"""Where a request really comes from when proxies stand between."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

from aiohttp import web

from presence_server.addresses import Address, parse
from presence_server.keys import CONFIG

_Networks = tuple[IPv4Network | IPv6Network, ...]

# aiohttp's word for whoever comes by a socket file: only a proxy of ours can open that.
_UNIX_PEER = ""
_HOP = re.compile(r"\[([^]]+)\](?::[0-9]+)?|([0-9.]+)(?::[0-9]+)?|([^:]*:[^:]*:.*)")


def client_address(request: web.Request) -> str:
    """The rightmost address of X-Forwarded-For that is no trusted proxy; the peer's own when the
    peer is not trusted. Empty when that is not known."""
    address, _ = _found(request)
    return "" if address is None else str(address)


def unreadable_hop(request: web.Request) -> str | None:
    """What a trusted proxy wrote into X-Forwarded-For in place of the client's address."""
    _, unreadable = _found(request)
    return unreadable


def is_forwarded_in_vain(request: web.Request) -> bool:
    """Whether a proxy that is not trusted, or somebody who plays one, says who is behind it."""
    peer = parse(request.remote or "")
    told = "X-Forwarded-For" in request.headers
    return told and peer is not None and not _is_trusted(peer, request.app[CONFIG].trusted_proxies)


def _found(request: web.Request) -> tuple[Address | None, str | None]:
    address = parse(request.remote or "")
    if address is None and request.remote != _UNIX_PEER:
        return None, None
    trusted = request.app[CONFIG].trusted_proxies
    for hop in _hops_from_the_right(request):
        # What an untrusted address says about those before it is worth nothing.
        if address is not None and not _is_trusted(address, trusted):
            break
        before = _read_hop(hop)
        if before is None:
            return address, hop
        address = before
    return address, None


def _hops_from_the_right(request: web.Request) -> Iterator[str]:
    hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
    stripped = (hop.strip(' \t"') for hop in reversed(hops))
    # A list may have empty places (RFC 9110, 5.6.1).
    return filter(None, stripped)


def _read_hop(text: str) -> Address | None:
    """An address in any of the ways that proxies write it: with a port, and IPv6 in brackets."""
    match = _HOP.fullmatch(text)
    return None if match is None else parse(match[1] or match[2] or match[3])


def is_from_proxy(request: web.Request) -> bool:
    """Whether a proxy of ours sent this: what it says of the client is so."""
    trusted = request.app[CONFIG].trusted_proxies
    return request.remote == _UNIX_PEER or is_trusted(request.remote or "", trusted)


def is_trusted(peer: str, trusted: _Networks) -> bool:
    """Whether a connection from there is that of a proxy of ours."""
    address = parse(peer)
    return address is not None and _is_trusted(address, trusted)


def _is_trusted(address: Address, trusted: _Networks) -> bool:
    return any(address in network for network in trusted)
