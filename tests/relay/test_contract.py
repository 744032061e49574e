"""What every relay does, in the process and on Redis."""

import asyncio
from collections.abc import Callable

import pytest

from presence_server.relay import Relay
from presence_server.relay.backlog import MAX_CHARACTERS, MAX_MESSAGES
from presence_server.relay.memory import MemoryBus, MemoryRelay
from testing.redis_server import RedisServer
from tests.relay.node import Node, open_relay

OpenRelay = Callable[[str], Relay]


@pytest.fixture(params=["memory", "redis"])
def relay_of(request: pytest.FixtureRequest) -> OpenRelay:
    """Opens relays that reach each other."""
    if request.param == "memory":
        bus = MemoryBus()
        return lambda node: MemoryRelay(node, bus)
    server: RedisServer = request.getfixturevalue("redis_server")
    namespace = request.node.name
    return lambda node: open_relay(server.url, namespace, node)


async def test_all_nodes_hear_all_in_the_order_of_the_sender(relay_of: OpenRelay) -> None:
    async with Node(relay_of("a")) as a, Node(relay_of("b")) as b:
        for number in range(1000):
            a.relay.send(f"a {number}")
            b.relay.send(f"b {number}")
        for node in (a, b):
            await node.until(lambda: len(node.heard) == 2000)
            for sender in ("a", "b"):
                heard = [text for text in node.heard if text.startswith(sender)]
                assert heard == [f"{sender} {number}" for number in range(1000)]
        assert a.relay.sent == 1000
        assert a.relay.received == 2000


async def test_a_directed_message_reaches_one_node_in_order_with_the_rest(
    relay_of: OpenRelay,
) -> None:
    async with Node(relay_of("a")) as a, Node(relay_of("b")) as b:
        a.relay.send("1 to all")
        a.relay.send("2 to b", "b")
        a.relay.send("3 to all")
        a.relay.send("4 to itself", "a")
        a.relay.send("5 to nobody", "c")
        a.relay.send("6 to all")
        await b.hears("6 to all")
        await a.hears("6 to all")
        assert b.heard == ["1 to all", "2 to b", "3 to all", "6 to all"]
        assert a.heard == ["1 to all", "3 to all", "4 to itself", "6 to all"]


async def test_sending_delivers_nothing_before_it_returns(relay_of: OpenRelay) -> None:
    async with Node(relay_of("a")) as a:
        a.relay.send("hello")
        assert a.heard == []
        await a.hears("hello")


async def test_too_many_messages_push_out_the_oldest(relay_of: OpenRelay) -> None:
    async with Node(relay_of("a")) as a:
        for number in range(MAX_MESSAGES + 3):
            a.relay.send(str(number))
        await a.until(lambda: len(a.heard) == MAX_MESSAGES)
        assert a.heard[0] == "3"
        assert a.heard[-1] == str(MAX_MESSAGES + 2)
        assert a.relay.dropped == 3


async def test_too_long_messages_push_out_the_oldest(relay_of: OpenRelay) -> None:
    quarter = MAX_CHARACTERS // 4
    async with Node(relay_of("a")) as a:
        for letter in "abcdef":
            a.relay.send(letter * quarter)
        await a.until(lambda: len(a.heard) == 4)
        assert [text[0] for text in a.heard] == ["c", "d", "e", "f"]
        assert a.relay.dropped == 2


async def test_a_message_longer_than_the_queue_is_dropped_alone(relay_of: OpenRelay) -> None:
    async with Node(relay_of("a")) as a:
        a.relay.send("x" * (MAX_CHARACTERS + 1))
        await a.hears_itself_say("still here")
        assert a.heard == ["still here"]
        assert a.relay.dropped == 1


@pytest.mark.parametrize("text", ["", "\n", "\0", "ü€😀", "\ud800", "*1\r\n$4\r\nQUIT\r\n"])
async def test_any_text_may_be_sent(relay_of: OpenRelay, text: str) -> None:
    async with Node(relay_of("a")) as a:
        a.relay.send(text)
        await a.until(lambda: len(a.heard) == 1)
        # What is no Unicode cannot travel as UTF-8.
        assert a.heard[0] == text or text == "\ud800"


async def test_a_new_subscription_can_be_asked_for(relay_of: OpenRelay) -> None:
    async with Node(relay_of("a")) as a:
        a.relay.resubscribe()
        await a.until(lambda: a.subscriptions == 2)
        assert a.losses == 1
        assert a.relay.resubscribed == 1
        await a.hears_itself_say("hello again")


async def test_a_new_subscription_asked_for_twice_is_made_once(relay_of: OpenRelay) -> None:
    async with Node(relay_of("a")) as a:
        a.relay.resubscribe()
        a.relay.resubscribe()
        await a.until(lambda: a.subscriptions == 2)
        await a.hears_itself_say("hello again")
        assert a.subscriptions == 2


@pytest.mark.parametrize("kind", [ValueError, OSError, TimeoutError])
async def test_an_error_in_the_hearer_ends_the_relay(
    relay_of: OpenRelay, kind: type[Exception]
) -> None:
    def deliver(text: str) -> None:
        raise kind("a defect")

    relay = relay_of("a")
    subscribed = asyncio.Event()
    life = asyncio.create_task(relay.run(deliver, subscribed.set, lambda: None))
    async with asyncio.timeout(15):
        await subscribed.wait()
        relay.send("hello")
        await asyncio.wait([life])
    error = life.exception()
    if isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert type(error) is kind


async def test_after_a_flush_everything_has_left(relay_of: OpenRelay) -> None:
    async with Node(relay_of("a")) as a, Node(relay_of("b")) as b:
        a.relay.send("hello")
        # Who is heard for the first time is heard for as long as it answers.
        await b.hears("hello")
        for number in range(2000):
            a.relay.send(str(number))
        a.relay.send("goodbye")
        await a.relay.flush(5)
        await a.end()
        await b.hears("goodbye")
        assert len(b.heard) == 2002
        a.start()


async def test_a_relay_is_connected_while_it_runs(relay_of: OpenRelay) -> None:
    relay = relay_of("a")
    states = [relay.connected]
    async with Node(relay) as a:
        await a.hears_itself_say("hello")
        states.append(relay.connected)
    states.append(relay.connected)
    assert states == [False, True, False]


@pytest.mark.parametrize("steps", range(40))
async def test_a_relay_ends_at_whatever_step_it_is_cancelled(
    relay_of: OpenRelay, steps: int
) -> None:
    node = Node(relay_of("a"))
    node.start()
    for step in range(steps):
        node.relay.send(str(step))
        await asyncio.sleep(0)
    await node.end()
