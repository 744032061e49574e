"""What the relay does while Redis or the way to it fails, and when it is back."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis

from presence_server.relay import Relay
from presence_server.relay import listening
from presence_server.relay import contact as contact_module
from presence_server.relay.redis_server import NoContact
from testing.redis_server import RedisServer, free_port
from tests.relay.node import Node, open_relay
from testing.tcp_proxy import Proxy, Way
from testing.waiting import STALL, first_answer, until

# A frozen Redis is noticed by three seconds of silence.
NOTICED = 4 + STALL
# The longest pause between two attempts, and a handshake.
BACK = 2.5 + STALL


@pytest.fixture
async def node(own_redis: RedisServer) -> AsyncIterator[Node]:
    async with Node(open_relay(own_redis.url, "test", "a")) as node:
        await node.hears_itself_say("first")
        yield node


@pytest.fixture
async def proxy(tcp_redis: RedisServer) -> AsyncIterator[Proxy]:
    assert tcp_redis.port is not None
    async with Proxy(("127.0.0.1", tcp_redis.port)) as proxy:
        yield proxy


@pytest.fixture
async def far(proxy: Proxy) -> AsyncIterator[Node]:
    """A node whose way to Redis is the proxy."""
    async with Node(relay_through(proxy)) as far:
        await far.hears_itself_say("first")
        yield far


def relay_through(proxy: Proxy, node: str = "far") -> Relay:
    return open_relay(f"redis://127.0.0.1:{proxy.port}", "test", node)


async def talk(node: Node) -> None:
    """One number after the other, for ever."""
    number = 0
    while True:
        node.relay.send(f"number {number}")
        number += 1
        await asyncio.sleep(0.01)


def numbers(node: Node) -> list[int]:
    return [int(text.split()[1]) for text in node.heard if text.startswith("number ")]


async def fails_and_returns(
    node: Node, fail: Callable[[], object], mend: Callable[[], object]
) -> None:
    """Through a fault, while the node speaks all the time: each number once, none out of turn."""
    talking = asyncio.create_task(talk(node))
    try:
        await node.until(lambda: len(numbers(node)) > 3)
        fail()
        await node.until(lambda: node.losses == 1, NOTICED)
        mend()
        await node.until(lambda: node.subscriptions == 2, BACK)
        heard = len(node.heard)
        await node.until(lambda: len(node.heard) > heard + 3, BACK)
    finally:
        talking.cancel()
    assert numbers(node) == sorted(set(numbers(node)))
    assert (node.losses, node.subscriptions, node.relay.resubscribed) == (1, 2, 1)


async def test_redis_is_killed_and_starts_again(node: Node, own_redis: RedisServer) -> None:
    await fails_and_returns(node, own_redis.kill, own_redis.start)


async def test_redis_is_away_for_longer(node: Node, own_redis: RedisServer) -> None:
    own_redis.kill()
    await node.until(lambda: node.losses == 1)
    assert not node.relay.connected
    talking = asyncio.create_task(talk(node))
    # So long that the pauses between attempts are the longest there are.
    await asyncio.sleep(6)
    await until(lambda: node.relay.dropped > 100)
    talking.cancel()
    own_redis.start()
    await node.until(lambda: node.subscriptions == 2, BACK)
    await node.relay.flush(BACK)
    # An old queue would arrive now: only what was said in the last pause may.
    node.relay.send("back")
    await node.hears("back")
    assert len(numbers(node)) < 300
    assert node.losses == 1
    assert node.relay.connected


async def test_redis_is_frozen_and_goes_on(node: Node, own_redis: RedisServer) -> None:
    await fails_and_returns(node, own_redis.pause, own_redis.resume)


async def test_a_flush_ends_in_time_when_redis_is_frozen(
    node: Node, own_redis: RedisServer
) -> None:
    own_redis.pause()
    node.relay.send("goodbye")
    began = time.monotonic()
    await node.relay.flush(0.2)
    assert 0.2 <= time.monotonic() - began < 0.2 + STALL
    own_redis.resume()


async def test_what_a_frozen_redis_does_not_take_is_dropped(
    node: Node, own_redis: RedisServer
) -> None:
    own_redis.pause()
    node.relay.send("nobody hears this")
    began = time.monotonic()
    await node.relay.flush(10)
    assert time.monotonic() - began < NOTICED
    assert node.relay.dropped == 1
    own_redis.resume()


async def test_redis_ends_the_subscription(node: Node, own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.client_kill_filter(_type="pubsub")
    await node.until(lambda: node.subscriptions == 2)
    assert node.losses == 1
    await node.hears_itself_say("again")


async def test_nothing_is_lost_when_redis_ends_a_quiet_publishing_connection(
    node: Node, own_redis: RedisServer
) -> None:
    with own_redis.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
        client.client_kill_filter(_type="pubsub")
    # The end of both connections has been read by then.
    await node.until(lambda: node.subscriptions == 2)
    await node.hears_itself_say("again")
    assert node.relay.dropped == 0


async def test_too_much_unread_output_ends_the_subscription(
    node: Node, own_redis: RedisServer
) -> None:
    with own_redis.client() as client:
        client.config_set("client-output-buffer-limit", "pubsub 1mb 0 0")
        # The loop does not run meanwhile, so nobody reads.
        with client.pipeline(transaction=False) as pipeline:
            for number in range(2000):
                pipeline.publish("presence:test", f"number {number} ".ljust(4096))
            pipeline.execute()
    await node.until(lambda: node.subscriptions == 2)
    assert node.losses == 1
    assert numbers(node) == list(range(len(numbers(node))))
    assert len(numbers(node)) < 2000
    await node.hears_itself_say("again")


async def test_the_password_changes_meanwhile(
    node: Node, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with own_redis.client() as admin:
        admin.config_set("requirepass", "sesame")
        admin.client_kill_filter(_type="pubsub")
        admin.client_kill_filter(_type="normal", skipme=True)
        node.relay.send("nobody hears this")
        await node.until(lambda: node.losses == 1)
        await node.relay.flush(2)
        assert not node.life.done()
        admin.config_set("requirepass", "")
    await node.until(lambda: node.subscriptions == 2, BACK)
    await node.hears_itself_say("again")
    first, *others = [record.getMessage() for record in caplog.records]
    assert first.startswith("No contact with Redis at ")
    assert [text.endswith(" is back") for text in others] == [True]


@pytest.mark.parametrize("ways", [("up",), ("down",), ("up", "down")])
async def test_the_way_to_redis_falls_silent(
    far: Node, proxy: Proxy, ways: tuple[Way, ...]
) -> None:
    await fails_and_returns(far, lambda: proxy.stop(*ways), proxy.go)


async def test_the_way_to_redis_is_cut(far: Node, proxy: Proxy) -> None:
    await fails_and_returns(far, proxy.cut, proxy.go)


async def test_redis_refuses_connections_for_a_while(far: Node, proxy: Proxy) -> None:
    def fail() -> None:
        proxy.shut()
        proxy.cut()

    opening = []
    await fails_and_returns(
        far, fail, lambda: opening.append(asyncio.create_task(proxy.open()))
    )


async def test_a_slow_way_loses_nothing(proxy: Proxy) -> None:
    proxy.delay = 0.2
    async with Node(relay_through(proxy)) as far:
        for number in range(2000):
            far.relay.send(f"number {number}")
        await far.until(lambda: len(far.heard) == 2000)
        assert numbers(far) == list(range(2000))
        # Longer than the silence that would be taken for an end.
        await asyncio.sleep(3.5)
        await far.hears_itself_say("again")
        assert far.losses == 0


async def test_a_thin_way_loses_nothing(proxy: Proxy) -> None:
    proxy.rate = 1_000_000
    async with Node(relay_through(proxy)) as far:
        for number in range(30):
            far.relay.send(f"number {number} ".ljust(64 * 1024))
        await far.until(lambda: len(far.heard) == 30, 30)
        assert far.losses == 0
        assert far.relay.dropped == 0


async def test_a_pause_of_our_own_is_no_fault_of_redis(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "PING_INTERVAL", 0.05)
    # The pause between two pings that has begun is still the long one.
    await asyncio.sleep(1.2)
    for _ in range(5):
        time.sleep(0.3)
        await asyncio.sleep(0.01)
    await node.hears_itself_say("again")
    assert node.losses == 0


async def test_an_old_master_that_answers_is_left_when_the_node_is_deaf(
    far: Node, proxy: Proxy, tcp_redis: RedisServer
) -> None:
    new = RedisServer(port=free_port())
    try:
        new.start()
        assert new.port is not None
        async with Node(open_relay(new.url, "test", "near")) as near:
            proxy.to = ("127.0.0.1", new.port)
            far.relay.send("to nobody")
            await far.hears("to nobody")
            far.relay.resubscribe()
            await far.until(lambda: far.subscriptions == 2)
            far.relay.send("hello")
            await near.hears("hello")
            near.relay.send("welcome", "far")
            await far.hears("welcome")
            assert near.heard == ["hello"]
    finally:
        new.remove()


async def test_who_is_behind_reads_on_instead_of_beginning_anew(
    proxy: Proxy, tcp_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new subscription would lose what lies unread, and have all others tell all they know."""
    monkeypatch.setattr(listening, "PING_INTERVAL", 0.05)
    monkeypatch.setattr(listening, "MISSED_PINGS", 100)
    async with Node(relay_through(proxy)) as far, Node(
        open_relay(tcp_redis.url, "test", "near")
    ) as near:
        near.relay.send("hello")
        await far.hears("hello")
        proxy.rate = 400_000
        for number in range(100):
            near.relay.send(f"number {number} ".ljust(8 * 1024))
        await far.until(lambda: len(numbers(far)) > 30)
        far.relay.resubscribe()
        await far.until(lambda: len(numbers(far)) == 100)
        assert far.losses == 0
        await far.hears_itself_say("caught up")
        far.relay.resubscribe()
        await far.until(lambda: far.subscriptions == 2)


async def test_a_replica_is_not_used_before_it_is_a_master(tcp_redis: RedisServer) -> None:
    replica = RedisServer("--replicaof", "127.0.0.1", str(tcp_redis.port), port=free_port())
    try:
        replica.start()
        relay = open_relay(replica.url, "test", "a")
        assert await relay.check() is False
        with replica.client() as client:
            client.replicaof("NO", "ONE")
        assert await first_answer(relay.check, bool)
    finally:
        replica.remove()


async def test_the_log_tells_of_the_loss_and_the_return_and_not_of_each_attempt(
    node: Node, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    own_redis.kill()
    await node.until(lambda: node.losses == 1)
    for _ in range(5):
        node.relay.send("nobody hears this")
        await node.relay.flush(2)
    own_redis.start()
    await node.until(lambda: node.subscriptions == 2, BACK)
    await node.hears_itself_say("again")
    loss, back = [record.getMessage() for record in caplog.records]
    assert loss.startswith("No contact with Redis at /")
    assert back.endswith(" is back")


async def test_it_starts_without_redis_and_finds_it_later(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    own_redis.kill()
    relay = open_relay(own_redis.url, "test", "a")
    assert await relay.check() is False
    node = Node(relay)
    node.start()
    own_redis.start()
    await node.until(lambda: node.subscriptions == 1, BACK)
    await node.hears_itself_say("hello")
    assert node.losses == 0
    loss, back = [record.getMessage() for record in caplog.records]
    assert "trying again" in loss
    assert back.endswith(" is back")
    await node.end()


async def test_a_node_speaks_only_once_it_hears(
    node: Node, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others ask whoever is new whether it lives, and drop what it said if no answer comes."""
    hears, listen = asyncio.Event(), listening.Listener.run

    async def listen_late(self: listening.Listener, *told: Any) -> None:
        await hears.wait()
        await listen(self, *told)

    monkeypatch.setattr(listening.Listener, "run", listen_late)
    late = Node(open_relay(own_redis.url, "test", "late"))
    late.relay.send("good morning")
    late.start()
    await late.relay.flush(0.5)
    assert late.relay.sent == 0
    hears.set()
    await node.hears("good morning")
    await late.end()


def test_redis_keeps_nothing(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        assert isinstance(client, redis.Redis)
        assert client.dbsize() == 0


def test_one_line_when_contact_is_lost_and_one_when_it_is_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(contact_module, "LOG_INTERVAL", 0.0)
    contact = contact_module.Contact("redis.example")
    for way in ("check", "publishing", "listening", "publishing"):
        contact.lost(way, NoContact("refused"))
    contact.made("publishing")
    contact.lost("listening", NoContact("refused"))
    contact.made("listening")
    assert [record.getMessage() for record in caplog.records] == [
        "No contact with Redis at redis.example: alone for now, and trying again: refused",
        "Redis at redis.example is back",
    ]
