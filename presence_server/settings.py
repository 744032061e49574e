"""The settings as people write them: flags, and variables of the environment."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from yarl import URL

from presence_server.config import UNIX, Config, ConfigError, Network, PostgresUrl
from presence_server.origins import read_site_url

DATABASE_SCHEMES = ("postgresql://", "postgres://")
_PREFIX = "PRESENCE_"
REDIS_SCHEMES = ("redis://", "rediss://", "unix://", "sentinel://", "sentinels://")


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of Config, and how it is read."""

    field: str
    read: Callable[[str], object]
    must_be: str
    about: str
    metavar: str = ""

    @property
    def flag(self) -> str:
        return "--" + self.field.replace("_", "-")

    @property
    def variable(self) -> str:
        return _PREFIX + self.field.upper()

    @property
    def is_switch(self) -> bool:
        return self.read is _switch

    @property
    def is_secret(self) -> bool:
        return self.field in ("database", "redis_url")


def read_config(flags: Mapping[str, str], environment: Mapping[str, str]) -> Config:
    """Config from what was given: `flags` by field name win over PRESENCE_* variables.

    An empty variable counts as unset.
    """
    fields: dict[str, Any] = {}
    for setting in SETTINGS:
        text = flags.get(setting.field)
        if text is None:
            text = environment.get(setting.variable) or None
        if text is not None:
            fields[setting.field] = _read(setting, text)
    return Config(**fields)


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A sentence about each PRESENCE_* variable that is no setting."""
    known = [setting.variable for setting in SETTINGS]
    return [
        f"{name} is no setting and changes nothing{_nearest(name, known)}."
        for name in sorted(environment)
        if name.startswith(_PREFIX) and name not in known
    ]


def _nearest(name: str, known: list[str]) -> str:
    # What all of them begin with makes nothing alike.
    ends = [variable.removeprefix(_PREFIX) for variable in known]
    found = get_close_matches(name.removeprefix(_PREFIX), ends, n=1, cutoff=0.5)
    return f": did you mean {_PREFIX}{found[0]}?" if found else ""


def read_database(text: str) -> Path | PostgresUrl:
    """Where a database is. Raises ValueError."""
    if text.startswith(DATABASE_SCHEMES):
        return PostgresUrl(text)
    if "://" in text:
        raise ValueError(text)
    return _path(text)


def _read(setting: Setting, text: str) -> object:
    try:
        return setting.read(text)
    except ValueError:
        # A URL may hold a password, and this sentence ends up in logs.
        but = "" if setting.is_secret else f", not {text!r}"
        raise ConfigError(
            f"{setting.flag} ({setting.variable}) must be {setting.must_be}{but}."
        ) from None


def _number(least: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not math.isfinite(value) or value < least:
            raise ValueError(text)
        return value

    return read


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            raise ValueError(text)
        return value

    return read


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return read


def _site_name(text: str) -> str:
    name = " ".join(text.split())
    if not 0 < len(name) <= 64 or not name.isprintable():
        raise ValueError(text)
    return name


def _switch(text: str) -> bool:
    word = text.lower()
    if word not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError(text)
    return word in ("1", "true", "yes", "on")


def _host(text: str) -> str:
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not host or any(sign.isspace() or sign in "/[]," for sign in host):
        raise ValueError(text)
    return host


def _hosts(text: str) -> str:
    """Where to listen, as listening.listen() takes it."""
    return ",".join(map(_place, text.split(",")))


def _place(text: str) -> str:
    place = text.strip()
    if not place.startswith(UNIX):
        return _host(place)
    if not _path(place.removeprefix(UNIX)).is_absolute():
        raise ValueError(text)
    return place


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError(text)
    return Path(text)


def _redis_url(text: str) -> str:
    if not text.startswith(REDIS_SCHEMES):
        raise ValueError(text)
    return text


def _header(text: str) -> str:
    # Proxies and programs behind them do not agree on which names are the same with other signs.
    if re.fullmatch("[A-Za-z][A-Za-z0-9-]*", text) is None:
        raise ValueError(text)
    return text


def _web_address(text: str) -> str:
    url = URL(text)
    if url.scheme not in ("http", "https") or not url.host or text != text.strip():
        raise ValueError(text)
    return str(url)


def _site_url(text: str) -> str:
    origin, path = read_site_url(text)
    return f"{origin}{path}"


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(_network(part.strip()) for part in text.split(",") if part.strip())


def _network(text: str) -> Network:
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED))
    return network


# Bits of an IPv6 address before the IPv4 address that it may hold.
_MAPPED = 96
_PORT = "a whole number from 0 to 65535"
_SECONDS = "a number of seconds"

SETTINGS = (
    Setting(
        "host",
        _hosts,
        "addresses, host names, or unix:/path of a socket file, with commas between them",
        "where to listen: addresses with commas between them, :: for both families, unix:/path "
        "for a socket file",
        "LIST",
    ),
    Setting("port", _whole(0, 65535), _PORT, "port to listen on; 0 picks a free one"),
    Setting(
        "reuse_port",
        _switch,
        "on or off",
        "several processes share the port; needs --redis-url",
    ),
    Setting(
        "database",
        read_database,
        "the path of a file, or a URL that starts with postgresql://",
        "accounts and sessions: an SQLite file, created on first start, or a postgresql:// URL",
        "FILE|URL",
    ),
    Setting(
        "redis_url",
        _redis_url,
        "a URL that starts with " + ", ".join(REDIS_SCHEMES[:-1]) + " or " + REDIS_SCHEMES[-1],
        "the Redis that relays between processes; without it there is one process",
        "URL",
    ),
    Setting(
        "secret_key_file",
        _path,
        "the path of a file",
        "keys of the cookies, one a line: the first encrypts, all decrypt; made on first start "
        "(default: the name of the SQLite file with .key added)",
        "FILE",
    ),
    Setting(
        "sign_up",
        _one_of("open", "closed"),
        "open or closed",
        "open: everybody can make an account; closed: accounts are made with `user add`",
        "open|closed",
    ),
    Setting(
        "grace",
        _number(0),
        f"{_SECONDS}, 0 or more",
        "how long people stay shown after their last page has closed",
        "SECONDS",
    ),
    Setting(
        "lease",
        _number(1),
        f"{_SECONDS}, 1 or more",
        "how long other processes believe one that they do not hear",
        "SECONDS",
    ),
    Setting(
        "heartbeat",
        _number(1),
        f"{_SECONDS}, 1 or more",
        "time between two pings on a live socket",
        "SECONDS",
    ),
    Setting(
        "bcrypt_cost",
        _whole(4, 16),
        "a whole number from 4 to 16",
        "how slow password hashes are: one more doubles the time",
        "N",
    ),
    Setting(
        "public_url",
        _site_url,
        "a URL such as https://example.com or https://example.com/presence",
        "where people find the site when a proxy stands in front, below a path if there is one; "
        "https there makes cookies Secure",
        "URL",
    ),
    Setting(
        "trusted_proxies",
        _networks,
        "addresses or networks such as 10.0.0.0/8, with commas between them",
        "proxies whose X-Forwarded-For is believed "
        "(default: none; with --public-url: 127.0.0.1,::1)",
        "LIST",
    ),
    Setting(
        "trusted_user_header",
        _header,
        "the name of a header such as Remote-User, of letters, digits and dashes",
        "single sign-on: the header in which a proxy of --trusted-proxies, which must be named, "
        "says whom it has let in; accounts are made at first sight, and log-in forms are off",
        "NAME",
    ),
    Setting(
        "log_out_url",
        _web_address,
        "a URL such as https://example.com/oauth2/sign_out",
        "where a log-out leads with --trusted-user-header",
        "URL",
    ),
    Setting(
        "max_sockets_per_user",
        _whole(0),
        "a whole number, 0 or more",
        "open pages a user may have; 0 = no limit",
        "N",
    ),
    Setting(
        "max_sockets_per_address",
        _whole(0),
        "a whole number, 0 or more",
        "open pages an address may have; 0 = no limit",
        "N",
    ),
    Setting(
        "max_people_per_room",
        _whole(1),
        "a whole number, 1 or more",
        "people that may be in one room of an app",
        "N",
    ),
    Setting(
        "processes",
        _whole(1, 256),
        "a whole number from 1 to 256",
        "so many processes share the port under a parent, which starts again one that ends and "
        "replaces them one by one at SIGHUP; without --redis-url it starts a Redis for them",
        "N",
    ),
    Setting(
        "allow_private_webhooks",
        _switch,
        "on or off",
        "webhooks of apps may be at private addresses, such as 127.0.0.1 or 10.0.0.1",
    ),
    Setting(
        "visits",
        _whole(0, 3650),
        "a whole number of days, 0 to 3650",
        "how long it is kept who was here when, of own accounts; 0 = not at all",
        "DAYS",
    ),
    Setting(
        "away_after",
        _number(0),
        "a number of minutes, 0 or more",
        "minutes without input after which a page says away; 0 = never",
        "MINUTES",
    ),
    Setting(
        "site_name",
        _site_name,
        "a name of 1 to 64 characters",
        "what the site is called in titles and at the head of its pages",
        "NAME",
    ),
    Setting(
        "invisible",
        _one_of("everybody", "nobody"),
        "everybody or nobody",
        "who may choose to be seen as offline",
        "everybody|nobody",
    ),
    Setting(
        "hide_last_seen",
        _switch,
        "on or off",
        "nobody is told when somebody was seen last; without it people decide for themselves",
    ),
    Setting("log_format", _one_of("text", "json"), "text or json", "form of the log", "text|json"),
    Setting(
        "admin_port",
        _whole(0, 65535),
        _PORT,
        "a second listener, for operators: /metrics, /readyz with its reasons, /roster",
    ),
    Setting("admin_host", _host, "an address or a host name", "address of the admin port"),
)
