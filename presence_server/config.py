"""What one process is told to do: read once, checked, frozen."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Self

from presence_server.origins import Origin, is_address, read_site_url

Network = IPv4Network | IPv6Network

# Stands for a default that follows from the other settings.
_FOLLOWS: Any = None
# What a socket file's path begins with among the addresses to listen on.
UNIX = "unix:"
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
    # Several with commas between them.
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
    # Single sign-on: in which header such a proxy names whom it lets in; where the log-out leads.
    trusted_user_header: str | None = None
    log_out_url: str | None = None
    max_sockets_per_user: int = 20
    max_sockets_per_address: int = 200
    max_people_per_room: int = 100_000
    max_people_placed: int = 100_000
    processes: int = 1
    allow_private_webhooks: bool = False
    # Days for which visits of own accounts are kept; 0: not at all.
    visits: int = 0
    # Minutes.
    away_after: float = 10.0
    site_name: str = "Presence"
    invisible: str = "everybody"
    hide_last_seen: bool = False
    log_format: str = "text"
    admin_port: int | None = None
    admin_host: str = "127.0.0.1"
    # None: after the database, so that two servers of one host do not share it.
    cookie_name: str | None = None

    def __post_init__(self) -> None:
        if self.secret_key_file is None and isinstance(self.database, Path):
            object.__setattr__(self, "secret_key_file", Path(f"{self.database}.key"))
        if self.trusted_user_header is not None and not self.trusted_proxies:
            raise ConfigError(
                "--trusted-user-header (PRESENCE_TRUSTED_USER_HEADER) needs --trusted-proxies: "
                "only proxies that are named there are believed who somebody is."
            )
        if self.trusted_proxies is _FOLLOWS:
            object.__setattr__(self, "trusted_proxies", _LOOPBACK if self.public_url else ())
        if self.reuse_port and UNIX in self.host:
            raise ConfigError(
                "--reuse-port (PRESENCE_REUSE_PORT) cannot be used with unix: in --host: "
                "each process needs a socket file of its own."
            )
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

    @property
    def public_origin(self) -> Origin | None:
        return None if self.public_url is None else read_site_url(self.public_url)[0]

    @property
    def site_url(self) -> str:
        """Where people find the site, without a slash at its end. Raises ConfigError."""
        if self.public_url is not None:
            return self.public_url
        host = next((host for host in self.host.split(",") if not host.startswith(UNIX)), None)
        if host is None:
            raise ConfigError(
                "--public-url (PRESENCE_PUBLIC_URL) is needed where --host is a socket file: "
                "nothing else says where people find the site."
            )
        if is_address(host) and ip_address(host).is_unspecified:
            # Of all the addresses of this machine.
            host = "localhost"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def base_path(self) -> str:
        """Below which the site lives: empty, or such as "/presence"."""
        return "" if self.public_url is None else read_site_url(self.public_url)[1]

    def summary(self) -> dict[str, str]:
        """What is on and off, for the log: no secrets."""
        admin = None if self.admin_port is None else f"{self.admin_host}:{self.admin_port}"
        return {
            "database": _absolute(self.database),
            "keys": _absolute(self.key_file),
            # The rest of the URL may hold a password.
            "relay": self.redis_url.partition(":")[0] if self.redis_url else "off",
            "public_url": self.public_url or "none",
            "trusted_proxies": ",".join(map(str, self.trusted_proxies)) or "none",
            "sign_up": self.sign_up,
            "single_sign_on": self.trusted_user_header or "off",
            "admin": admin or "off",
        }

    def risks(self) -> list[str]:
        """What is allowed but unsafe, a sentence each."""
        found = []
        is_public = not _is_loopback(self.public_host)
        if self.public_url is None and UNIX in self.host:
            found.append(
                "Without --public-url a proxy in front of the socket file is taken for plain http."
            )
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
        if self.trusted_user_header and any(n.prefixlen == 0 for n in self.trusted_proxies):
            found.append(
                "--trusted-user-header with --trusted-proxies that trusts everybody: "
                "any client can be anybody."
            )
        if self.bcrypt_cost < 10:
            found.append(f"--bcrypt-cost {self.bcrypt_cost} makes stolen passwords cheap to guess.")
        if self.admin_port is not None and not _is_loopback(self.admin_host):
            found.append(
                f"The admin port on {self.admin_host} shows who is here to anybody who reaches it."
            )
        return found

    @property
    def public_host(self) -> str:
        """Under which everybody finds the site, unless only this machine does."""
        if self.public_origin is not None:
            return self.public_origin.host
        return next((host for host in self.host.split(",") if not _is_loopback(host)), "localhost")


def _absolute(place: Path | PostgresUrl) -> str:
    try:
        return str(place.absolute())
    except FileNotFoundError:
        # The current folder is no more, which whoever opens the file says.
        return str(place)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.startswith(UNIX):
        return True
    return is_address(host) and ip_address(host).is_loopback
