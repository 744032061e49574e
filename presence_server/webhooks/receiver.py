"""One request to somebody else's server: slow, hostile, or where it should not be."""

import socket
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, NamedTuple

import aiohttp

from presence_server.webhooks.answers import Connector

# Seconds in which it must have answered.
PATIENCE = 15.0
# Bytes of an answer that are read: of what is said in it nothing is needed.
_MOST_READ = 16 * 1024
# A receiver may ask to be left alone for so long.
_LONGEST_WAIT = 3600.0
# IPv6 addresses that stand for an IPv4 address, which is in their last bits.
_TRANSLATED = ip_network("64:ff9b::/96")
# What some versions of Python take for the open internet: one site's own addresses, as they were
# once, and those that its own translator maps to others; what is for documents and routers only.
_OF_NOBODY = [
    ip_network(each) for each in ("fec0::/10", "64:ff9b:1::/48", "3fff::/20", "5f00::/16")
]


class Answer(NamedTuple):
    """`text` says what came, for people; `status` is 0 when nothing did."""

    status: int
    text: str
    retry_after: float
    seconds: float

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        return self.status == 410


class PrivateAddress(OSError):
    """An address that is not on the public internet."""


class Receivers:
    """Opens connections to receivers; close() ends them."""

    def __init__(self, *, allow_private: bool) -> None:
        # Checked when a socket is made for it, so that no name can lead elsewhere in between.
        self._http = aiohttp.ClientSession(
            connector=Connector(
                socket_factory=None if allow_private else _public_socket,
                # Each is asked one thing at a time.
                limit=0,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        began = time.monotonic()
        status, text, retry_after = await self._post(url, body, headers)
        return Answer(status, text, retry_after, time.monotonic() - began)

    async def close(self) -> None:
        await self._http.close()

    async def _post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, str, float]:
        try:
            patience = aiohttp.ClientTimeout(total=PATIENCE)
            async with self._http.post(
                url, data=body, headers=headers, allow_redirects=False, timeout=patience
            ) as response:
                await _read_some(response)
                return response.status, str(response.status), _retry_after(response.headers)
        except TimeoutError:
            return 0, "no answer in time", 0.0
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return 0, _reason(error), 0.0


async def _read_some(response: aiohttp.ClientResponse) -> None:
    left = _MOST_READ
    while left > 0 and (data := await response.content.read(left)):
        left -= len(data)
    if left <= 0:
        response.close()


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds; 0 if nothing is asked that can be understood."""
    text = headers.get("Retry-After", "")
    try:
        wait = float(text) if text.isdigit() else _seconds_until(text)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(wait, 0.0), _LONGEST_WAIT)


def _seconds_until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(
        error.os_error, PrivateAddress
    ):
        return "a private address: those need --allow-private-webhooks"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no such host"
    if isinstance(error, aiohttp.ClientSSLError):
        return "its certificate is not valid"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed without an answer"
    return f"no answer that is HTTP ({type(error).__name__})"


def _public_socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, (host, *_) = address
    if not is_public(host):
        raise PrivateAddress(f"{host} is not on the public internet")
    return socket.socket(family, kind, protocol)


def is_public(host: str) -> bool:
    """Whether an address is of the open internet, also one that stands for another."""
    address = ip_address(host.partition("%")[0])
    if address in _TRANSLATED:
        return is_public(str(IPv4Address(int(address) & 0xFFFFFFFF)))
    return not any(address in network for network in _OF_NOBODY) and all(
        meant.is_global and not meant.is_multicast and not meant.is_reserved
        for meant in (address, *_meant(address))
    )


def _meant(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, IPv6Address):
        found = (address.ipv4_mapped, address.sixtofour, *(address.teredo or ()))
        yield from (meant for meant in found if meant is not None)
