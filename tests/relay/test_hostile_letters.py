"""Somebody else writes to our channels: nobody is shown who is not here, and nothing ends."""

import asyncio
import json
import random
import re
import time
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise

import pytest
import redis

from presence_server import relay
from presence_server.accounts.keyring import open_keyring
from presence_server.presence.choices import Choice
from presence_server.presence.letters import Ask, Batch, Beat, Ended, Goodbye, Part, People, Said
from presence_server.presence.objects import MessageError
from presence_server.presence.reading import parse_letter
from presence_server.presence.writing import encode_letter
from presence_server.relay.door import Door
from presence_server.relay.seal import Seal
from tests.conftest import ServerProcesses, Visit
from testing.processes import ServerProcess
from testing.redis_server import RedisServer, lasting_port
from tests.relay.node import KEYS, Node

LETTERS = 10_000
NODE = "0123456789abcdef"
PEOPLE = People(
    {"": {"its": Said("evil", 1, "online", 1795420800), "gone": 5}},
    {0: {"evil": Choice(1, 1, "away")}},
)
GOOD = [
    encode_letter(letter)
    for letter in (
        Beat(NODE, 1, 1, 1795420800, False, {}),
        Batch(NODE, 1, 0, 1800000000, PEOPLE),
        Ask(NODE),
        Part(NODE, 1, 1, 0, 1, 1800000000, PEOPLE),
        Goodbye(NODE),
        Ended(NODE),
    )
]
ODD = [
    b"",
    b"\xff\xfe",
    b"null",
    b"[" * 50_000,
    b"{}",
    b'{"kind":"evil"}',
    b'{"kind":["beat"]}',
    b"x" * 1_000_000,
    b"NaN",
    b"\x80\x04\x95evil.",
]
VALUES: list[object] = [
    *(None, True, -1, 2**53, 1e309, "", "evil"),
    *([], {}, [[]], [{}, {}], [{"evil": 1}, {}, {}]),
]


def is_letter(data: bytes) -> bool:
    try:
        # As the relay decodes it.
        parse_letter(data.decode(errors="replace"))
    except MessageError:
        return False
    return True


def hostile_letters() -> Iterator[bytes]:
    """None of them is a letter, most of them nearly."""
    chance = random.Random(34)
    yield from ODD
    while True:
        text = chance.choice(GOOD)
        match chance.randrange(4):
            case 0:
                data = text[: chance.randrange(len(text))].encode()
            case 1:
                at = chance.randrange(len(text))
                data = text[:at].encode() + chance.randbytes(3) + text[at + 1 :].encode()
            case 2:
                fields = json.loads(text)
                fields[chance.choice(list(fields))] = chance.choice(VALUES)
                data = json.dumps(fields).encode()
            case _:
                fields = json.loads(text)
                del fields[chance.choice(list(fields))]
                data = json.dumps(fields).encode()
        if not is_letter(data):
            yield data


def keys_of(server: ServerProcess) -> list[bytes]:
    return open_keyring(server.folder / "presence.sqlite3.key").letter_keys


def channel_of_all(redis: RedisServer) -> str:
    with redis.client() as client:
        channels: list[bytes] = client.pubsub_channels("presence:*")
    return min(channels, key=len).decode()


def one_of_ours(server: ServerProcess, redis: RedisServer) -> Node:
    """A node that has our keys, and says whatever one likes."""
    namespace = channel_of_all(redis).removeprefix("presence:")
    return Node(relay.open_relay(redis.url, namespace, NODE, keys=keys_of(server)))


def said_by_nobody(seal: Seal, texts: Iterable[str], channel: str) -> list[bytes]:
    """As a node writes that does not run."""
    door = Door(NODE, seal, lambda *question: None)
    return [door.write(text, channel, 0.0) for text in texts]


def write_to_all(redis: RedisServer, letters: Iterator[bytes], count: int) -> None:
    with redis.client() as client:
        channels = client.pubsub_channels("presence:*")
        assert channels
        for _ in range(count // 100):
            with client.pipeline(transaction=False) as pipeline:
                for _ in range(100):
                    letter = next(letters)
                    for channel in channels:
                        pipeline.publish(channel, letter)
                pipeline.execute()


def is_quiet(server: ServerProcess) -> bool:
    return "ERROR" not in server.log and "Traceback" not in server.log


async def test_t34_perfect_letters_without_our_seal_show_nobody(
    server_process: ServerProcesses, visit: Visit, own_redis: RedisServer
) -> None:
    here, there = [
        await server_process(redis_url=own_redis.url, admin_port=0) for _ in range(2)
    ]
    alice, bob = await visit(here, "alice"), await visit(there, "bob")
    perfect = [
        encode_letter(Beat(NODE, 1, 1, 1795420800, False, {})),
        encode_letter(Part(NODE, 1, 1, 0, 1, 1800000000, PEOPLE)),
    ]
    ours, foreign = Seal(keys_of(here)), Seal([b"x" * 32])
    everyone = channel_of_all(own_redis)
    forged = [
        *(text.encode() for text in perfect),
        *(b"0" * 32 + text.encode() for text in perfect),
        *said_by_nobody(foreign, perfect, everyone),
        *said_by_nobody(ours, perfect, "presence:" + "0" * 32),
        # Of one letter, on another.
        *(ours.close("{}", everyone)[:32] + text.encode() for text in perfect),
    ]
    async with alice.live() as of_alice:
        await of_alice.first()
        write_to_all(own_redis, iter(forged * 10), 100)
        async with bob.live():
            await of_alice.sees("bob", "online", within=20)
        assert "evil" not in json.dumps(of_alice.received)
        # The letters themselves are good enough, of one who answers.
        async with one_of_ours(here, own_redis) as node:
            for text in perfect:
                node.relay.send(text)
            await of_alice.sees("evil", "away", within=20)
    for server in (here, there):
        assert server.log.count("are not sealed with our keys") == 1
        async with alice.http.get(f"{server.admin_url}/metrics") as answer:
            figures = await answer.text()
        # On the channel of all nodes, and on the node's own.
        assert "presence_relay_forged_total 200.0" in figures


async def hears_both(node: Node) -> None:
    await node.until(lambda: len(node.heard) == 2)


async def test_t34_a_seal_made_with_an_older_key_is_good(own_redis: RedisServer) -> None:
    old, new = KEYS[0], b"another key, of the 32 bytes too"

    def node(name: str, *keys: bytes) -> Node:
        return Node(relay.open_relay(own_redis.url, "test", name, keys=keys))

    # One step of replacing a key after the other.
    steps = {"a": (old,), "b": (old, new), "c": (new, old), "d": (new,)}
    for name, following in pairwise(steps):
        async with node(name, *steps[name]) as one, node(following, *steps[following]) as other:
            for speaker in (one, other):
                speaker.relay.send("hello")
            for hearer in (one, other):
                await hears_both(hearer)
    async with node("a", old) as a, node("d", new) as d:
        await a.hears_itself_say("a")
        await d.hears_itself_say("d")
        await a.until(lambda: a.relay.forged == 1)
        assert (a.heard, d.heard, d.relay.forged) == (["a"], ["d"], 1)


@pytest.mark.slow
async def test_t34_what_is_no_letter_shows_nobody_and_ends_nothing(
    server_process: ServerProcesses, visit: Visit, own_redis: RedisServer
) -> None:
    here, there = [await server_process(redis_url=own_redis.url) for _ in range(2)]
    alice, bob = await visit(here, "alice"), await visit(there, "bob")
    async with alice.live() as of_alice:
        await of_alice.first()
        write_to_all(own_redis, hostile_letters(), LETTERS // 2)
        async with one_of_ours(here, own_redis) as node, bob.live():
            for letter in islice(hostile_letters(), LETTERS // 2):
                node.relay.send(letter.decode(errors="replace"))
            await node.relay.flush(20)
            await of_alice.sees("bob", "online", within=20)
            assert of_alice.people == {"alice": "online", "bob": "online"}
            shown = [user["username"] for user in (await alice.api("?here=1"))["users"]]
            assert shown == ["alice", "bob"]
    assert "evil" not in json.dumps(of_alice.received)
    assert is_quiet(here) and is_quiet(there)
    # Nor is each worth a line of the log.
    assert len(here.log.splitlines()) < LETTERS / 10


async def test_t34_made_up_nodes_end_nothing(
    server_process: ServerProcesses, visit: Visit, own_redis: RedisServer
) -> None:
    here, there = [await server_process(redis_url=own_redis.url) for _ in range(2)]
    alice, bob = await visit(here, "alice"), await visit(there, "bob")
    beats = [
        encode_letter(Beat(f"{number:016x}", 1, 1, 1795420800, False, {}))
        for number in range(2000)
    ]
    async with alice.live() as of_alice:
        await of_alice.first()
        async with one_of_ours(here, own_redis) as node, bob.live():
            for beat in beats:
                node.relay.send(beat)
            await node.relay.flush(20)
            await of_alice.sees("bob", "online", within=20)
            assert of_alice.people == {"alice": "online", "bob": "online"}
    assert is_quiet(here) and is_quiet(there)


async def test_t34_whatever_is_sent_again_shows_nobody_and_makes_nobody_speak(
    server_process: ServerProcesses, visit: Visit, own_redis: RedisServer
) -> None:
    flags = {"redis_url": own_redis.url, "grace": 1, "lease": 2}
    here = await server_process(port=lasting_port(), **flags)
    there = await server_process(**flags)
    alice, bob = await visit(here, "alice"), await visit(there, "bob")
    with own_redis.client() as client, client.pubsub() as eavesdropper:
        eavesdropper.psubscribe("presence:*")
        async with alice.live() as of_alice, bob.live() as of_bob:
            await of_bob.send({"type": "status", "status": "busy", "scope": "user"})
            await of_alice.sees("bob", "busy", within=20)
            # Another one asks for everything, and is told.
            await (await server_process(**flags)).kill()
        await there.kill()
        said = heard(eavesdropper, client)
        assert {"ask", "part", "beat", "batch"} <= set(map(kind_of, said))
        # With one that heard all of it, and with one that begins anew.
        for _ in range(2):
            async with alice.live() as of_alice:
                await of_alice.first()
                await of_alice.sees("bob", "offline", within=20)
                heard(eavesdropper, client)
                before, repeated = len(of_alice.received), 0
                began = time.monotonic()
                while time.monotonic() < began + 3:
                    repeated += send_again(own_redis, said)
                    await asyncio.sleep(0.05)
                for status in ("away", "online"):
                    await of_alice.send({"type": "status", "status": status})
                    await of_alice.sees("alice", status)
                assert "bob" not in json.dumps(of_alice.received[before:])
                # Its own beats, and a question a second to each node that is gone.
                spoken = len(heard(eavesdropper, client)) - repeated
                most = 50 + 10 * (time.monotonic() - began)
                assert 0 < spoken < min(most, repeated) and repeated > 50
            await here.kill()
            await here.start()


def heard(
    eavesdropper: redis.client.PubSub, client: redis.Redis
) -> list[tuple[bytes, bytes]]:
    """Each channel, with what was said there since the last time."""
    said: list[tuple[bytes, bytes]] = []
    # On a channel that no node listens to.
    client.publish("presence:so far", "")
    while True:
        message = eavesdropper.get_message(timeout=15)
        assert message is not None
        if message["channel"] == b"presence:so far":
            return said
        if message["type"] == "pmessage":
            said.append((message["channel"], message["data"]))


def kind_of(said: tuple[bytes, bytes]) -> str | None:
    found = re.search(rb'"kind":"(\w+)"', said[1])
    return found and found[1].decode()


def send_again(redis_server: RedisServer, said: list[tuple[bytes, bytes]]) -> int:
    """Where it was said, and to everybody; how many letters that makes."""
    with redis_server.client() as client, client.pipeline(transaction=False) as pipeline:
        channels = client.pubsub_channels("presence:*")
        for where, data in said:
            for channel in {where, *channels}:
                pipeline.publish(channel, data)
        return len(pipeline.execute())
