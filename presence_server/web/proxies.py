"""Where a request really comes from when proxies stand between."""

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

from presence_server.keys import CONFIG

_Address = IPv4Address | IPv6Address
_Networks = tuple[IPv4Network | IPv6Network, ...]


def client_address(request: web.Request) -> str:
    """The rightmost address of X-Forwarded-For that is no trusted proxy; the peer's own when the
    peer is not trusted. Empty for a peer without an address (a Unix socket)."""
    peer = _parse(request.remote or "")
    if peer is None:
        return ""
    trusted = request.app[CONFIG].trusted_proxies
    address = peer
    for hop in _hops_from_the_right(request):
        # What an untrusted address says about those before it is worth nothing.
        if not _is_trusted(address, trusted) or hop is None:
            break
        address = hop
    return str(address)


def is_forwarded_in_vain(request: web.Request) -> bool:
    """Whether a proxy that is not trusted, or somebody who plays one, says who is behind it."""
    peer = _parse(request.remote or "")
    told = "X-Forwarded-For" in request.headers
    return told and peer is not None and not _is_trusted(peer, request.app[CONFIG].trusted_proxies)


def _hops_from_the_right(request: web.Request) -> Iterator[_Address | None]:
    hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
    return (_parse(hop.strip()) for hop in reversed(hops))


def is_trusted(peer: str, trusted: _Networks) -> bool:
    """Whether a connection from there is that of a proxy of ours."""
    address = _parse(peer)
    return address is not None and _is_trusted(address, trusted)


def _is_trusted(address: _Address, trusted: _Networks) -> bool:
    return any(address in network for network in trusted)


@lru_cache(maxsize=4096)
def _parse(text: str) -> _Address | None:
    try:
        address = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
