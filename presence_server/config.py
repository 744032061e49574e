"""The settings of one process: read once, checked, frozen."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Self

from yarl import URL

Network = IPv4Network | IPv6Network

DATABASE_SCHEMES = ("postgresql://", "postgres://")
REDIS_SCHEMES = ("redis://", "rediss://", "unix://", "sentinel://", "sentinels://")

# Stands for a default that follows from the other settings.
_FOLLOWS: Any = None
_LOOPBACK = (ip_network("127.0.0.1"), ip_network("::1"))


class ConfigError(ValueError):
    """A setting that cannot be used; its text is one sentence that names the setting."""


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """Where a PostgreSQL database is. As text it keeps its password to itself."""

    url: str = field(repr=False)

    def absolute(self) -> Self:
        """Itself: only paths may be relative."""
        return self

    def __str__(self) -> str:
        # The query may hold a password too.
        scheme, _, rest = self.url.partition("?")[0].partition("://")
        login, at, place = rest.rpartition("@")
        return f"{scheme}://{login.partition(':')[0]}{at}{place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    host: str = "127.0.0.1"
    port: int = 8000
    reuse_port: bool = False
    database: Path | PostgresUrl = Path("presence.sqlite3")
    redis_url: str | None = None
    # None only beside PostgreSQL, for a command that serves nobody.
    secret_key_file: Path | None = None
    sign_up: str = "open"
    grace: float = 8.0
    lease: float = 10.0
    heartbeat: float = 20.0
    bcrypt_cost: int = 12
    public_url: str | None = None
    trusted_proxies: tuple[Network, ...] = _FOLLOWS
    max_sockets_per_user: int = 20
    max_sockets_per_address: int = 200
    log_format: str = "text"
    admin_port: int | None = None
    admin_host: str = "127.0.0.1"
    cookie_name: str = "presence_session"

    def __post_init__(self) -> None:
        if self.secret_key_file is None and isinstance(self.database, Path):
            object.__setattr__(self, "secret_key_file", Path(f"{self.database}.key"))
        if self.trusted_proxies is _FOLLOWS:
            object.__setattr__(self, "trusted_proxies", _LOOPBACK if self.public_url else ())
        if self.reuse_port and self.redis_url is None:
            raise ConfigError(
                "--reuse-port (PRESENCE_REUSE_PORT) needs --redis-url: "
                "processes that share a port must hear of each other's people."
            )

    @property
    def key_file(self) -> Path:
        """The file of the secret keys. Raises ConfigError where it is nobody's to make."""
        if self.secret_key_file is None:
            raise ConfigError(
                "--secret-key-file (PRESENCE_SECRET_KEY_FILE) is needed with a PostgreSQL "
                "database: all servers must have the same keys."
            )
        return self.secret_key_file

    @property
    def https(self) -> bool:
        """Whether people reach the site by https, which only a proxy in front can give."""
        return self.public_url is not None and self.public_url.startswith("https://")

    def summary(self) -> dict[str, str]:
        """What is on and off, for the log: no secrets."""
        admin = None if self.admin_port is None else f"{self.admin_host}:{self.admin_port}"
        return {
            "database": str(self.database.absolute()),
            "keys": str(self.key_file.absolute()),
            # The rest of the URL may hold a password.
            "relay": self.redis_url.partition(":")[0] if self.redis_url else "off",
            "public_url": self.public_url or "none",
            "trusted_proxies": ",".join(map(str, self.trusted_proxies)) or "none",
            "sign_up": self.sign_up,
            "admin": admin or "off",
        }

    def risks(self) -> list[str]:
        """What is allowed but unsafe, a sentence each."""
        found = []
        is_public = not _is_loopback(self.public_host)
        if is_public and not self.https:
            found.append(
                f"Passwords and cookies travel unencrypted to {self.public_host}: "
                "put a proxy with https in front and name it with --public-url https://…"
            )
        if self.https and not self.trusted_proxies:
            found.append(
                "--trusted-proxies is empty: everybody seems to come from the proxy's address, "
                "and shares its limits."
            )
        if is_public and 0 in (self.max_sockets_per_user, self.max_sockets_per_address):
            found.append(
                "--max-sockets-per-user or --max-sockets-per-address is 0: "
                "one visitor can take all the sockets of this process."
            )
        if isinstance(self.database, PostgresUrl) and self.redis_url is None:
            found.append(
                "Without --redis-url this server does not hear of the people on other servers of "
                "its PostgreSQL database."
            )
        if any(network.prefixlen == 0 for network in self.trusted_proxies):
            found.append("--trusted-proxies trusts everybody: any client can invent its address.")
        if self.bcrypt_cost < 10:
            found.append(f"--bcrypt-cost {self.bcrypt_cost} makes stolen passwords cheap to guess.")
        if self.admin_port is not None and not _is_loopback(self.admin_host):
            found.append(
                f"The admin port on {self.admin_host} shows who is here to anybody who reaches it."
            )
        return found

    @property
    def public_host(self) -> str:
        return (URL(self.public_url).host or "") if self.public_url else self.host


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of Config as people write it: a flag, or a variable of the environment."""

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
        return "PRESENCE_" + self.field.upper()

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


def _switch(text: str) -> bool:
    word = text.lower()
    if word not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError(text)
    return word in ("1", "true", "yes", "on")


def _host(text: str) -> str:
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not host or any(sign.isspace() or sign in "/[]" for sign in host):
        raise ValueError(text)
    return host


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError(text)
    return Path(text)


def _redis_url(text: str) -> str:
    if not text.startswith(REDIS_SCHEMES):
        raise ValueError(text)
    return text


def _origin(text: str) -> str:
    url = URL(text)
    if url.scheme not in ("http", "https") or not url.host or url.user or url.password:
        raise ValueError(text)
    if url.path != "/" or url.query_string or url.fragment:
        raise ValueError(text)
    return str(url.origin())


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


_PORT = "a whole number from 0 to 65535"
_SECONDS = "a number of seconds"

SETTINGS = (
    Setting("host", _host, "an address or a host name", "address to listen on"),
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
        _origin,
        "an origin such as https://example.com, without a path",
        "the origin people use when a proxy stands in front; https there makes cookies Secure",
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
    Setting("log_format", _one_of("text", "json"), "text or json", "form of the log", "text|json"),
    Setting(
        "admin_port",
        _whole(0, 65535),
        _PORT,
        "a second listener, for operators: /metrics, /readyz with its reasons, /roster",
    ),
    Setting("admin_host", _host, "an address or a host name", "address of the admin port"),
)
