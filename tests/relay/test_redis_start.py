"""What is known of Redis before the relay runs: its address, its password, its certificate."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from presence_server.relay import RelayRefused
from testing.certificate import Certificate
from testing.redis_server import RedisServer, free_port
from tests.relay.node import Node, open_relay
from testing.tcp_proxy import Proxy
from testing.waiting import STALL, first_answer

PASSWORD = "p@ss/w:rd #1?%"
ENCODED = "p%40ss%2Fw%3Ard%20%231%3F%25"


@pytest.fixture
def locked_redis() -> Iterator[RedisServer]:
    server = RedisServer(port=free_port())
    try:
        server.start()
        with server.client() as client:
            client.config_set("requirepass", PASSWORD)
            client.execute_command(
                *("ACL", "SETUSER", "bob", "on", f">{PASSWORD}"),
                *("-@all", "+publish", "+subscribe", "+ping", "&presence:*"),
            )
            client.execute_command("ACL", "SETUSER", "stranger", "on", f">{PASSWORD}", "+@all")
        yield server
    finally:
        server.remove()


def port_of(server: RedisServer) -> int:
    assert server.port is not None
    return server.port


async def works(url: str) -> None:
    relay = open_relay(url, "test", "a")
    assert await first_answer(relay.check, bool)
    async with Node(relay) as node:
        await node.hears_itself_say("hello")
        relay.send("to itself", "a")
        await node.hears("to itself")


async def refusal(url: str) -> str:
    with pytest.raises(RelayRefused) as refused:
        await open_relay(url, "test", "a").check()
    text = str(refused.value)
    assert "--redis-url" in text
    assert text.endswith(".") and "\n" not in text
    assert not any(secret in text for secret in (PASSWORD, ENCODED, "p@ss", "sesame", "w:rd"))
    return text


def test_a_server_that_is_alone_loads_no_redis() -> None:
    program = "import sys, presence_server.cli; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


async def test_a_password_with_every_odd_character(locked_redis: RedisServer) -> None:
    await works(f"redis://:{ENCODED}@127.0.0.1:{locked_redis.port}")


async def test_a_user_who_may_do_only_what_the_relay_needs(locked_redis: RedisServer) -> None:
    await works(f"redis://bob:{ENCODED}@127.0.0.1:{locked_redis.port}")


async def test_another_database_number_makes_no_difference(redis_server: RedisServer) -> None:
    await works(f"{redis_server.url}?db=3")


@pytest.mark.parametrize("account", [":sesame@", "alice:sesame@", "bob:sesame@"])
async def test_a_wrong_password_is_refused(locked_redis: RedisServer, account: str) -> None:
    text = await refusal(f"redis://{account}127.0.0.1:{locked_redis.port}")
    assert "refuses the password" in text
    assert f"127.0.0.1:{locked_redis.port}" in text


async def test_a_wrong_password_is_refused_on_a_unix_socket() -> None:
    server = RedisServer(password=PASSWORD.replace("#", "").replace("?", ""))
    folder = server.url.rpartition("@")[2]
    server.url = f"unix://:{ENCODED.replace('%23', '').replace('%3F', '')}@{folder}"
    try:
        server.start()
        assert "refuses the password" in await refusal(f"unix://:sesame@{folder}")
        await works(server.url)
    finally:
        server.remove()


async def test_no_password_where_one_is_needed_is_refused(locked_redis: RedisServer) -> None:
    text = await refusal(f"redis://127.0.0.1:{locked_redis.port}")
    assert "asks for a password" in text


async def test_a_user_without_the_channels_is_refused(locked_redis: RedisServer) -> None:
    text = await refusal(f"redis://stranger:{ENCODED}@127.0.0.1:{locked_redis.port}")
    assert "does not permit" in text


async def test_an_unknown_host_is_refused() -> None:
    assert "unknown host" in await refusal("redis://:sesame@no-such-host.invalid:6379")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis",
        "http://:sesame@localhost",
        "redis://:p@ss/w:rd@localhost",
        "redis://:sesame#1@localhost",
        "redis://:sesame@localhost:port",
        "redis://:sesame@localhost:6379?sesame=1",
        "redis://:sesame@localhost:6379?ssl_ca_certs=/ca.pem",
        "redis://:sesame@localhost:6379?socket_keepalive=perhaps&socket_type=sesame&db=sesame",
        "sentinel://:sesame@localhost:26379",
        "sentinel://:sesame@localhost:26379,localhost:sesame/service",
    ],
)
async def test_what_is_no_address_is_refused(url: str) -> None:
    await refusal(url)


async def test_a_server_that_is_not_redis_is_refused() -> None:
    async with talking(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert "does not answer as Redis does" in await refusal(f"redis://127.0.0.1:{port}")


async def test_a_server_that_quotes_the_password_does_not_bring_it_to_light() -> None:
    answer = b"-ERR unknown command 'AUTH', with args beginning with: 'sesame'\r\n"
    async with talking(answer) as port:
        assert "'***'" in await refusal(f"redis://:sesame@127.0.0.1:{port}")


@asynccontextmanager
async def talking(answer: bytes) -> AsyncIterator[int]:
    """A server with one answer to everything."""

    def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def talk() -> None:
            while await reader.read(1000):
                writer.write(answer)
            writer.close()
            await writer.wait_closed()

        talks.append(asyncio.create_task(talk()))

    talks: list[asyncio.Task[None]] = []
    server = await asyncio.start_server(welcome, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        async with asyncio.timeout(15):
            await asyncio.gather(*talks)


async def test_a_refused_connection_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    relay = open_relay(f"redis://:sesame@127.0.0.1:{free_port()}", "test", "a")
    assert await relay.check() is False
    (line,) = [record.getMessage() for record in caplog.records]
    assert "sesame" not in line
    assert "127.0.0.1" in line


@pytest.mark.parametrize(
    "answer",
    [
        "LOADING Redis is loading the dataset in memory",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "ERR max number of clients reached",
        "ERR max number of clients + cluster connections reached",
    ],
)
async def test_an_answer_that_means_not_yet_is_waited_for(answer: str) -> None:
    async with talking(f"-{answer}\r\n".encode()) as port:
        for account in "", ":sesame@":
            relay = open_relay(f"redis://{account}127.0.0.1:{port}/3", "test", "a")
            assert await relay.check() is False


async def test_a_server_that_runs_a_script_is_waited_for(tcp_redis: RedisServer) -> None:
    with tcp_redis.client() as client, tcp_redis.client(socket_timeout=60) as other:
        client.config_set("lua-time-limit", 50)
        running = asyncio.create_task(asyncio.to_thread(run_for_ever, other))
        relay = open_relay(tcp_redis.url, "test", "a")
        async with asyncio.timeout(10):
            while await relay.check():
                pass
        client.execute_command("SCRIPT", "KILL")
        await running
        async with Node(relay) as node:
            await node.hears_itself_say("hello")


def run_for_ever(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError):
        client.eval("while true do end", 0)


@pytest.mark.parametrize("failure", ["EAI_AGAIN", "EAI_FAIL", "EAI_SYSTEM"])
async def test_a_look_up_that_fails_for_the_moment_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    async def fail(*values: object, **options: object) -> None:
        raise socket.gaierror(getattr(socket, failure), "Temporary failure in name resolution")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
    assert await open_relay("redis://redis.example", "test", "a").check() is False


async def test_a_missing_unix_socket_is_waited_for(tmp_path: Path) -> None:
    assert await open_relay(f"unix://{tmp_path}/socket", "test", "a").check() is False


async def test_a_server_that_does_not_answer_is_waited_for(tcp_redis: RedisServer) -> None:
    tcp_redis.pause()
    async with asyncio.timeout(2 + STALL):
        assert await open_relay(tcp_redis.url, "test", "a").check() is False
    tcp_redis.resume()


async def test_over_tls(redis_server: RedisServer, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    async with Proxy(socket_of(redis_server), tls=certificate.context) as proxy:
        await works(f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={certificate.path}")
        # Two connections of the relay and the one of the check.
        assert proxy.accepted == 3


async def test_over_tls_a_frozen_server_is_left(own_redis: RedisServer, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    async with Proxy(socket_of(own_redis), tls=certificate.context) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={certificate.path}"
        async with Node(open_relay(url, "test", "a")) as node:
            own_redis.pause()
            await node.until(lambda: node.losses == 1)
            own_redis.resume()
            await node.until(lambda: node.subscriptions == 2)
            await node.hears_itself_say("again")


async def test_a_certificate_of_nobody_known_is_refused(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    certificate = Certificate(tmp_path)
    async with Proxy(socket_of(redis_server), tls=certificate.context) as proxy:
        text = await refusal(f"rediss://:sesame@127.0.0.1:{proxy.port}")
    assert "TLS" in text


async def test_a_certificate_of_another_host_is_refused(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    certificate = Certificate(tmp_path, "192.0.2.1")
    async with Proxy(socket_of(redis_server), tls=certificate.context) as proxy:
        text = await refusal(f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={certificate.path}")
    assert "TLS" in text


async def test_a_missing_certificate_file_is_refused(tmp_path: Path) -> None:
    text = await refusal(f"rediss://127.0.0.1:{free_port()}?ssl_ca_certs={tmp_path}/none.pem")
    assert "certificate" in text


def socket_of(server: RedisServer) -> Path:
    return Path(server.url.removeprefix("unix://"))
