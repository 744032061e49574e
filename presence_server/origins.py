"""Hosts and origins in one normal form, wherever two of them are compared."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from yarl import URL

_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAME = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?"
_HOST = re.compile(rf"({_NAME}|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,5}}))?")
_ORIGIN = re.compile(r"(https?)://(.+)")
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9_.~-]+)*")
_LONGEST = 260


@dataclass(frozen=True, slots=True)
class Origin:
    """`host` is in lower case, in ASCII as the DNS has it, without a last dot or brackets."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


@lru_cache(maxsize=1024)
def read_host(text: str) -> tuple[str, int | None]:
    """The host in normal form and the port of a Host header. Raises ValueError."""
    match = _HOST.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(text)
    name = match[1].lower().rstrip(".")
    if name.startswith("["):
        name = IPv6Address(name[1:-1]).compressed
    return name, None if match[2] is None else int(match[2])


def read_origin(text: str) -> Origin:
    """An Origin header: as browsers write it, and no other way. Raises ValueError."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return origin_of(match[1], match[2])


def origin_of(scheme: str, host: str) -> Origin:
    """The origin of what is asked for under this Host header. Raises ValueError."""
    name, port = read_host(host)
    return Origin(scheme, name, _DEFAULT_PORTS[scheme] if port is None else port)


@lru_cache(maxsize=16)
def read_site_url(text: str) -> tuple[Origin, str]:
    """The origin of a site and the path below which it lives: "" or one like "/presence", without
    a last slash. The name may be in any script. Raises ValueError."""
    url = URL(text)
    if url.scheme not in _DEFAULT_PORTS or not url.raw_host or url.user or url.password:
        raise ValueError(text)
    if url.raw_query_string or url.raw_fragment or url.port is None:
        raise ValueError(text)
    path = url.raw_path.removesuffix("/")
    if not _PATH.fullmatch(path):
        raise ValueError(text)
    name, _ = read_host(url.host_subcomponent or "")
    return Origin(url.scheme, name, url.port), path


def is_address(host: str) -> bool:
    """Whether a host, without brackets, is an address and not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
