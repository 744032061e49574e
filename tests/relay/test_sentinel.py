"""Redis behind Sentinel: the relay follows the master."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from presence_server.relay import RelayRefused
from testing.redis_server import RedisServer, free_port, redis_binary
from tests.relay.node import Node, open_relay
from testing.tcp_proxy import Proxy
from testing.waiting import first_answer, until


@pytest.fixture
def replica(tcp_redis: RedisServer) -> Iterator[RedisServer]:
    server = RedisServer("--replicaof", "127.0.0.1", str(tcp_redis.port), port=free_port())
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
async def sentinel(tcp_redis: RedisServer, tmp_path: Path) -> AsyncIterator[int]:
    """The port of a Sentinel that alone decides on a fail-over."""
    with sentinel_of(tcp_redis, tmp_path) as port:
        await until(lambda: ask(port, "PING") is not None)
        yield port


@contextmanager
def sentinel_of(master: RedisServer, folder: Path, *settings: str) -> Iterator[int]:
    port = free_port()
    configuration = folder / "sentinel.conf"
    configuration.write_text(
        "\n".join(
            [
                f"port {port}",
                "bind 127.0.0.1",
                f"dir {folder}",
                f"logfile {folder}/sentinel.log",
                f"sentinel monitor service 127.0.0.1 {master.port} 1",
                "sentinel down-after-milliseconds service 1500",
                "sentinel failover-timeout service 2000",
                *settings,
                "",
            ]
        )
    )
    process = subprocess.Popen([redis_binary(), str(configuration), "--sentinel"])
    try:
        yield port
    finally:
        process.kill()
        process.wait(10)


def ask(port: int, *command: str) -> object:
    try:
        with redis.Redis(port=port, socket_timeout=2) as client:
            return client.execute_command(*command)
    except (redis.ConnectionError, redis.TimeoutError):
        return None


async def test_the_master_is_found_though_one_sentinel_is_away(sentinel: int) -> None:
    relay = open_relay(
        f"sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel}/service?db=2", "test", "a"
    )
    assert await first_answer(relay.check, bool)
    async with Node(relay) as node:
        await node.hears_itself_say("hello")


async def test_a_silent_sentinel_is_asked_last_the_next_time(sentinel: int) -> None:
    async with Proxy(("127.0.0.1", sentinel)) as proxy:
        proxy.stop()
        relay = open_relay(
            f"sentinel://127.0.0.1:{proxy.port},127.0.0.1:{sentinel}/service", "test", "a"
        )
        assert await relay.check() is True
        assert await relay.check() is True
        assert proxy.accepted == 1


async def test_a_fail_over_is_followed(
    tcp_redis: RedisServer, replica: RedisServer, sentinel: int
) -> None:
    def replicates() -> bool:
        with replica.client() as client:
            return bool(client.info("replication")["master_link_status"] == "up")

    def sentinel_knows() -> bool:
        return bool(ask(sentinel, "SENTINEL", "REPLICAS", "service"))

    await until(replicates)
    await until(sentinel_knows)
    url = f"sentinel://127.0.0.1:{sentinel}/service"
    async with (
        Node(open_relay(url, "test", "a")) as a,
        Node(open_relay(url, "test", "b")) as b,
    ):
        tcp_redis.kill()
        for node in (a, b):
            await node.until(lambda: node.subscriptions >= 2, 40)
        a.relay.send("hello b", "b")
        await b.hears("hello b")
        b.relay.send("hello all")
        await a.hears("hello all")
        with replica.client() as client:
            assert client.role()[0] == b"master"


async def test_an_unknown_service_is_waited_for(
    sentinel: int, caplog: pytest.LogCaptureFixture
) -> None:
    relay = open_relay(f"sentinel://127.0.0.1:{sentinel}/another", "test", "a")
    assert await relay.check() is False
    (line,) = [record.getMessage() for record in caplog.records]
    assert "no Sentinel knows a master named 'another'" in line


async def test_a_sentinel_and_a_redis_with_passwords(
    tcp_redis: RedisServer, tmp_path: Path
) -> None:
    with tcp_redis.client() as client:
        client.config_set("requirepass", "sesame")
    settings = ("requirepass open", "sentinel auth-pass service sesame")
    with sentinel_of(tcp_redis, tmp_path, *settings) as port:
        # It answers, if only that it wants its password.
        await until(lambda: asks_for_a_password(port))
        url = f"sentinel://:sesame@127.0.0.1:{port}/service"
        relay = open_relay(f"{url}?sentinel_password=open", "test", "a")
        assert await first_answer(relay.check, bool)
        async with Node(relay) as node:
            await node.hears_itself_say("hello")
        for wrong in (
            f"{url}?sentinel_password=shut",
            url,
            f"sentinel://:simsalabim@127.0.0.1:{port}/service?sentinel_password=open",
        ):
            with pytest.raises(RelayRefused, match="(asks for|refuses) [a-z]+ password") as refused:
                await open_relay(wrong, "test", "a").check()
            assert not {"open", "shut", "sesame", "simsalabim"} & set(str(refused.value).split())


def asks_for_a_password(port: int) -> bool:
    try:
        with redis.Redis(port=port, socket_timeout=2) as client:
            client.ping()
    except redis.AuthenticationError:
        return True
    except (redis.ConnectionError, redis.TimeoutError):
        pass
    return False
