"""Where Redis is, and how to get a connection to it that never waits for ever."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from socket import EAI_NODATA, EAI_NONAME, gaierror
from typing import Any
from urllib.parse import urlsplit

from redis import asyncio as aioredis
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from presence_server.relay import RelayRefused

TIMEOUT = 1.0
REDIS_PORT = 6379
SENTINEL_PORT = 26379

# redis-py alone would try for up to a minute and reconnect behind our back; the relay has a loop
# of its own. No socket_timeout: it is asyncio.wait_for, which on Python 3.11 loses a cancellation
# that comes while the write ends, and the server would never stop; asyncio.timeout does it instead.
# RESP2, because redis-py formats each RESP3 push for a debug line that nobody reads.
BOUNDS: dict[str, Any] = {
    "socket_connect_timeout": TIMEOUT,
    "socket_timeout": None,
    "retry": Retry(NoBackoff(), 0),
    "health_check_interval": 0,
    "protocol": 2,
    "decode_responses": False,
    "encoding_errors": "replace",
    "driver_info": None,
}

# The first word of answers that pass by themselves.
_NOT_YET = {"BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "OOM", "TRYAGAIN"}
_FULL = "max number of clients"
# All other failures of a look-up are those of the moment.
_UNKNOWN_HOST = {EAI_NODATA, EAI_NONAME}


class NoContact(Exception):
    """Redis cannot be used now. The text is for the log: it holds no password."""


class RedisServer:
    """One Redis, or the master that Sentinels name.

    redis://[user:password@]host[:port][/db], rediss:// for TLS, unix://[user:password@]/path
    sentinel://[user:password@]host[:port],host[:port]/service[?db=0], sentinels:// for TLS; the
    Sentinels' own account: sentinel_username=, sentinel_password= after the question mark.
    """

    def __init__(self, url: str) -> None:
        self._sentinels: list[tuple[str, int]] = []
        self._sentinel_options: dict[str, Any] = {}
        self._service = ""
        try:
            if urlsplit(url).fragment:
                raise ValueError("a # ends the address")
            if url.startswith(("sentinel://", "sentinels://")):
                self._read_sentinel_url(url)
            else:
                self._read_url(url)
            self._connection_class(**self._options)
        except (ValueError, TypeError):
            # Neither the cause nor its text is shown: they may quote the password.
            raise RelayRefused(
                "--redis-url is not a redis://, rediss://, unix:// or sentinel:// address with"
                " known options (in a password, write @ / : # ? % as %40 %2F %3A %23 %3F %25)."
            ) from None

    def _read_url(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "unix" and not re.fullmatch(r"(/\d*)?", parts.path):
            # redis-py passes over it, and what is left of a password with a slash names a host.
            raise ValueError("no database number")
        options: dict[str, Any] = dict(parse_url(url))
        self._connection_class: type[AbstractConnection] = options.pop(
            "connection_class", aioredis.Connection
        )
        self._options = options | BOUNDS
        self.name: str = options.get("path") or _address(
            options.setdefault("host", "localhost"), options.get("port", REDIS_PORT)
        )

    def _read_sentinel_url(self, url: str) -> None:
        parts = urlsplit(url)
        tls = parts.scheme == "sentinels"
        account, _, hosts = parts.netloc.rpartition("@")
        self._service = parts.path.strip("/")
        if not self._service:
            raise ValueError("no service")
        options: dict[str, Any] = dict(
            parse_url(f"redis{'s' * tls}://{account and account + '@'}sentinel?{parts.query}")
        )
        own = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
        self._connection_class = options.pop("connection_class", aioredis.Connection)
        self._options = options | BOUNDS
        self._sentinel_options = self._options | own | {"db": 0}
        for each in (urlsplit(f"//{host}") for host in hosts.split(",")):
            self._sentinels.append((each.hostname or "localhost", each.port or SENTINEL_PORT))
        self.name = f"{self._service} of Sentinel " + ",".join(
            _address(*each) for each in self._sentinels
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AbstractConnection]:
        """A connection to the master, ready for commands."""
        address = await self._master() if self._sentinels else {}
        async with self._connected(self._options | address) as connection:
            with self.contact():
                async with asyncio.timeout(TIMEOUT):
                    await _refuse_replica(connection)
            yield connection

    async def _master(self) -> dict[str, Any]:
        """Ask the Sentinels one by one."""
        failure = NoContact(f"no Sentinel knows a master named {self._service!r}")
        for number, (host, port) in enumerate(self._sentinels):
            try:
                address = self._sentinel_options | {"host": host, "port": port}
                async with self._connected(address) as sentinel:
                    with self.contact():
                        async with asyncio.timeout(TIMEOUT):
                            await sentinel.send_command(
                                "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service
                            )
                            answer = await sentinel.read_response()
            except NoContact as error:
                failure = error
                continue
            if answer is not None:
                # The next time this one is asked first.
                self._sentinels.insert(0, self._sentinels.pop(number))
                return {"host": answer[0].decode(), "port": int(answer[1])}
        raise failure

    @asynccontextmanager
    async def _connected(self, options: dict[str, Any]) -> AsyncIterator[AbstractConnection]:
        connection = self._connection_class(**options)
        try:
            with self.contact():
                async with asyncio.timeout(2 * TIMEOUT):
                    await connection.connect()  # type: ignore[no-untyped-call]  # redis-py has none
            yield connection
        finally:
            abort(connection)
            await connection.disconnect(nowait=True)

    @contextmanager
    def contact(self) -> Iterator[None]:
        """Every way in which Redis can fail becomes NoContact, and nothing else does."""
        try:
            yield
        except (RedisError, OSError) as error:
            raise self.no_contact(error) from error

    def no_contact(self, error: Exception) -> NoContact:
        text = str(error) or type(error).__name__
        # An odd server quotes the command that it does not know.
        for options in (self._options, self._sentinel_options):
            if secret := options.get("password"):
                text = text.replace(secret, "***")
        return NoContact(text)

    def refusal(self, failure: NoContact) -> RelayRefused | None:
        """What only the operator can mend, as a sentence; None for what may mend itself."""
        error = failure.__cause__
        cause = error and error.__context__
        match error, cause:
            # On a Unix socket redis-py wraps it.
            case (AuthenticationError() as denied, _) | (_, AuthenticationError() as denied):
                asks = _code(denied) == "NOAUTH"
                reason = "asks for a password" if asks else "refuses the password"
            case ResponseError(), _ if _code(error) in _NOT_YET or _FULL in str(error):
                return None
            case NoPermissionError(), _:
                reason = f"does not permit what the relay needs: {failure}"
            case (ResponseError() | InvalidResponse()), _:
                reason = f"does not answer as Redis does: {failure}"
            case _, gaierror() if cause.errno in _UNKNOWN_HOST:
                reason = f"is an unknown host: {cause.strerror}"
            case _, ssl.SSLError():
                reason = f"gives no trusted TLS connection: {cause}"
            case _, FileNotFoundError() if self._connection_class is aioredis.SSLConnection:
                reason = "cannot be asked over TLS: a certificate file is missing"
            case _:
                return None
        return RelayRefused(f"--redis-url: Redis at {self.name} {reason}.")


def _code(error: RedisError) -> str:
    # redis-py takes the codes that it knows out of the text.
    return getattr(error, "status_code", None) or str(error).partition(" ")[0]


def abort(connection: AbstractConnection) -> None:
    """End a connection at once; whoever reads from it sees its end."""
    # disconnect() alone would wait for a frozen peer to take what is still to be written.
    if connection._writer is not None:
        connection._writer.transport.abort()


async def _refuse_replica(connection: AbstractConnection) -> None:
    # What is published on a replica reaches nobody on the master, and no error says so. Sentinels
    # name the old master for a moment after a fail-over. The answer is also a fence: the server
    # has by now read what an earlier connection of ours had written, so nothing overtakes it.
    await connection.send_command("ROLE")
    try:
        role = await connection.read_response()
    except ResponseError:
        return  # not permitted to ask, or unknown to a proxy
    if role[0] != b"master":
        raise RedisError("it is a replica, not the master")


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
