"""What may be said of a setting: each reader raises ValueError for what it cannot be."""

import os
import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from yarl import URL

from presence_server.config import UNIX, Network, PostgresUrl
from presence_server.origins import read_site_url

_DATABASE_SCHEMES = ("postgresql://", "postgres://")
REDIS_SCHEMES = ("redis://", "rediss://", "unix://", "sentinel://", "sentinels://")
# Bits of an IPv6 address before the IPv4 address that it may hold.
_MAPPED = 96


def typed(text: str) -> str:
    """A text that is no path, as it was typed in UTF-8.

    Where the locale is another one Python hands on the bytes as they are, which paths need.
    """
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        return text


def database(text: str) -> Path | PostgresUrl:
    """Where a database is."""
    if text.startswith(_DATABASE_SCHEMES):
        return PostgresUrl(typed(text))
    if "://" in text:
        raise ValueError(text)
    return path(text)


def number(least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return read


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            raise ValueError(text)
        return value

    return read


def one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return read


def site_name(text: str) -> str:
    name = " ".join(typed(text).split())
    if not 0 < len(name) <= 64 or not name.isprintable():
        raise ValueError(text)
    return name


def switch(text: str) -> bool:
    word = text.lower()
    if word not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError(text)
    return word in ("1", "true", "yes", "on")


def host(text: str) -> str:
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not host or any(sign.isspace() or sign in "/[]," for sign in host):
        raise ValueError(text)
    return host


def hosts(text: str) -> str:
    """Where to listen, as listening.listen() takes it."""
    return ",".join(map(_place, text.split(",")))


def _place(text: str) -> str:
    place = text.strip()
    if not place.startswith(UNIX):
        return host(place)
    if not path(place.removeprefix(UNIX)).is_absolute():
        raise ValueError(text)
    return place


def path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError(text)
    return Path(text)


def redis_url(text: str) -> str:
    if not text.startswith(REDIS_SCHEMES):
        raise ValueError(text)
    return text if text.startswith(UNIX) else typed(text)


def header(text: str) -> str:
    # Proxies and programs behind them do not agree on which names are the same with other signs.
    if re.fullmatch("[A-Za-z][A-Za-z0-9-]*", text) is None:
        raise ValueError(text)
    return text


def web_address(text: str) -> str:
    url = URL(typed(text))
    if url.scheme not in ("http", "https") or not url.host or text != text.strip():
        raise ValueError(text)
    return str(url)


def site_url(text: str) -> str:
    origin, base_path = read_site_url(typed(text))
    return f"{origin}{base_path}"


def networks(text: str) -> tuple[Network, ...]:
    return tuple(_network(part.strip()) for part in text.split(",") if part.strip())


def _network(text: str) -> Network:
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED))
    return network
