"""Somebody else writes to our channels: nobody is shown who is not here, and nothing ends."""

import json
import random
from collections.abc import Callable, Iterator

import pytest

from presence_server import relay
from presence_server.accounts.keyring import open_keyring
from presence_server.presence.choices import Choice
from presence_server.presence.letters import (
    Ask,
    Batch,
    Beat,
    Ended,
    Goodbye,
    Part,
    People,
    encode_letter,
    Said,
    parse_letter,
)
from presence_server.presence.messages import MessageError
from presence_server.relay.seal import Seal
from tests.conftest import ServerProcesses, Visit
from testing.processes import ServerProcess
from testing.redis_server import RedisServer
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
        Batch(NODE, 1, 0, PEOPLE),
        Ask(NODE),
        Part(NODE, 1, 1, 0, 1, PEOPLE),
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


def seal_of(server: ServerProcess, redis: RedisServer) -> Seal:
    with redis.client() as client:
        channels = [name.decode() for name in client.pubsub_channels("presence:*")]
    keyring = open_keyring(server.folder / "presence.sqlite3.key")
    return Seal(keyring.letter_keys, min(channels, key=len).removeprefix("presence:"))


def sealed(letters: Iterator[bytes], seal: Seal) -> Iterator[bytes]:
    """As one of our own nodes would say it."""
    return (seal.close(letter.decode(errors="replace")) for letter in letters)


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
        encode_letter(Part(NODE, 1, 1, 0, 1, PEOPLE)),
    ]
    ours = seal_of(here, own_redis)
    foreign_key = Seal([b"x" * 32], "some other namespace")
    another_site = Seal(open_keyring(here.folder / "presence.sqlite3.key").letter_keys, "0" * 32)
    seals: list[Callable[[str], bytes]] = [
        lambda text: text.encode(),
        lambda text: b"0" * 32 + text.encode(),
        foreign_key.close,
        another_site.close,
        # Of one letter, on another.
        lambda text: ours.close("{}")[:32] + text.encode(),
    ]
    async with alice.live() as of_alice:
        await of_alice.first()
        forged = [seal(text) for seal in seals for text in perfect]
        write_to_all(own_redis, iter(forged * 10), 100)
        async with bob.live():
            await of_alice.sees("bob", "online", within=20)
        assert "evil" not in json.dumps(of_alice.received)
        # The letters themselves are good enough.
        write_to_all(own_redis, iter([ours.close(text) for text in perfect] * 50), 100)
        await of_alice.sees("evil", "away", within=20)
    for server in (here, there):
        assert server.log.count("are not sealed with our keys") == 1
        async with alice.http.get(f"{server.admin_url}/metrics") as answer:
            figures = await answer.text()
        # On the channel of all nodes, and on the node's own.
        assert "presence_relay_forged_total 200.0" in figures


async def test_t34_a_seal_made_with_an_older_key_is_good(own_redis: RedisServer) -> None:
    old, new = KEYS[0], b"another key, of the 32 bytes too"

    def node(name: str, *keys: bytes) -> Node:
        return Node(relay.open_relay(own_redis.url, "test", name, keys=keys))

    async with (
        node("a", old) as a,
        node("b", old, new) as b,
        node("c", new, old) as c,
        node("d", new) as d,
    ):
        for speaker, name in ((a, "a"), (b, "b"), (c, "c"), (d, "d")):
            await speaker.hears_itself_say(name)
        for both in (b, c):
            await both.until(lambda both=both: len(both.heard) == 4)  # type: ignore[misc]
        await a.until(lambda: a.relay.forged == 2)
        assert a.heard == ["a", "b"]
        assert d.heard == ["c", "d"] and d.relay.forged == 2


@pytest.mark.slow
async def test_t34_what_is_no_letter_shows_nobody_and_ends_nothing(
    server_process: ServerProcesses, visit: Visit, own_redis: RedisServer
) -> None:
    here, there = [await server_process(redis_url=own_redis.url) for _ in range(2)]
    alice, bob = await visit(here, "alice"), await visit(there, "bob")
    async with alice.live() as of_alice:
        await of_alice.first()
        write_to_all(own_redis, hostile_letters(), LETTERS // 2)
        seal = seal_of(here, own_redis)
        write_to_all(own_redis, sealed(hostile_letters(), seal), LETTERS // 2)
        async with bob.live():
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
    beats = (
        encode_letter(Beat(f"{number:016x}", 1, 1, 1795420800, False, {})).encode()
        for number in range(2000)
    )
    async with alice.live() as of_alice:
        await of_alice.first()
        write_to_all(own_redis, sealed(beats, seal_of(here, own_redis)), 2000)
        async with bob.live():
            await of_alice.sees("bob", "online", within=20)
            assert of_alice.people == {"alice": "online", "bob": "online"}
    assert is_quiet(here) and is_quiet(there)
