"""Somebody else writes to our channels: nobody is shown who is not here, and nothing ends."""

import json
import random
from collections.abc import Iterator

import pytest

from presence_server.presence.letters import (
    Ask,
    Batch,
    Beat,
    Ended,
    Goodbye,
    Part,
    People,
    encode_letter,
    parse_letter,
)
from presence_server.presence.messages import MessageError
from presence_server.presence.roster import Choice
from tests.conftest import ServerProcesses, Visit
from tests.processes import ServerProcess
from tests.redis_server import RedisServer

LETTERS = 10_000
NODE = "0123456789abcdef"
PEOPLE = People({"evil": ("online", 1795420800)}, {"gone": 5}, {"evil": Choice(1, "away")})
GOOD = [
    encode_letter(letter)
    for letter in (
        Beat(NODE, 1, 1.5),
        Batch(NODE, 1, PEOPLE),
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


@pytest.mark.slow
async def test_t34_what_is_no_letter_shows_nobody_and_ends_nothing(
    server_process: ServerProcesses, visit: Visit, own_redis: RedisServer
) -> None:
    here, there = [await server_process(redis_url=own_redis.url) for _ in range(2)]
    alice, bob = await visit(here, "alice"), await visit(there, "bob")
    async with alice.live() as of_alice:
        await of_alice.first()
        write_to_all(own_redis, hostile_letters(), LETTERS)
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
    beats = (encode_letter(Beat(f"{number:016x}", 1, 1.0)).encode() for number in range(2000))
    async with alice.live() as of_alice:
        await of_alice.first()
        write_to_all(own_redis, beats, 2000)
        async with bob.live():
            await of_alice.sees("bob", "online", within=20)
            assert of_alice.people == {"alice": "online", "bob": "online"}
    assert is_quiet(here) and is_quiet(there)
