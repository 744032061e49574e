"""One notion of an address for all that counts by it: throttles, seats, lines and the waiting.

Whoever has one IPv6 address has the /64 around it, a household is given a /56 or a whole /48, and
whoever rents a machine often the same. So a client is a /64, and the networks around it may do no
more than a few clients' worth together.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address

# The bytes of an IPv6 network, and of how many clients the limits hold for all of it.
_NETWORKS = ((8, 1), (7, 2), (6, 8))


@lru_cache(maxsize=128)
def parse(text: str) -> Address | None:
    """None for what is no address. IPv4 within IPv6 is IPv4, and a zone does not matter."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def networks(text: str) -> tuple[tuple[bytes, int], ...]:
    """What counts as one client and then what lies around it, each with the number of clients whose
    limits it shares."""
    address = parse(text)
    if address is None:
        return ((text.encode("utf-8", "surrogatepass"), 1),)
    if address.version == 4:
        return ((address.packed, 1),)
    return tuple((address.packed[:size], clients) for size, clients in _NETWORKS)


def neighbourhoods(text: str) -> tuple[tuple[bytes, int], ...]:
    """The same for what one person may do who has many addresses: of IPv4 a /24 is one client, and
    no network of IPv6 is more than two."""
    address = parse(text)
    if address is not None and address.version == 4:
        return ((address.packed[:3], 1),)
    return tuple((network, min(clients, 2)) for network, clients in networks(text))
