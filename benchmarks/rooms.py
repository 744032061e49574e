"""What rooms cost: changes in-process, for the kernel's part is the same with one and with many."""

import asyncio
import json
import secrets
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from benchmarks.flush import Nowhere
from benchmarks.servers import ROOT, Running
from presence_server.apps.rooms import AppRooms
from presence_server.live.dialects import PRESENCE_V1
from presence_server.live.flushing import Flush
from presence_server.live.observer import Observer
from presence_server.live.service import PresenceService
from presence_server.live.wire import WebSocketWire
from presence_server.presence.letters import Part, Said
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.names import key_of, session_of
from presence_server.presence.node import Node
from presence_server.presence.records import OWN
from presence_server.presence.writing import cut, encode_letter
from presence_server.relay.memory import MemoryRelay

_APP = 1
_NAME = "0" * 16
_CHANGES = 500
# More than a processor's last cache holds.
_OTHER_WORK = b"x" * (64 << 20)


def change_cost(rooms: int, people: int, *, other_work: bool = True) -> float:
    """Microseconds for a change that all people of a room are told: the median.

    Between two changes a server does other work. Without it a room of ten people lies in the
    processor's cache from one change to the next, and of many rooms none does: that would compare
    caches, for the same functions are called as often, which a test holds.
    """
    return asyncio.run(_change_cost(rooms, people, other_work))


async def _change_cost(rooms: int, people: int, other_work: bool) -> float:
    presence = PresenceService(_NAME, MemoryRelay(_NAME), grace=8, lease=10, heartbeat=20)
    of_app = AppRooms(presence, most_people=100_000)
    hub = presence.hub
    lines = [_join(of_app, presence, f"room{n % rooms}", n) for n in range(rooms * people)]
    told = asyncio.Event()

    def flushed(flush: Flush) -> None:
        told.set()

    hub.flushing.tell(flushed)
    running = asyncio.create_task(presence.run())
    await _quiet(told)
    spent = []
    step = max(1, len(lines) // _CHANGES)
    for number in range(_CHANGES):
        key, who = lines[number * step % len(lines)]
        await asyncio.sleep(0.005)
        if other_work:
            _OTHER_WORK.count(b"y")
        told.clear()
        began = time.thread_time()
        of_app.describe(key, who.session, who.user, {"data": {"row": number}})
        await told.wait()
        spent.append(time.thread_time() - began)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return 1e6 * statistics.median(spent)


async def _quiet(told: asyncio.Event) -> None:
    """Until all have been told of all."""
    while True:
        told.clear()
        try:
            await asyncio.wait_for(told.wait(), 1.0)
        except TimeoutError:
            return


def _join(
    rooms: AppRooms, presence: PresenceService, room: str, number: int
) -> tuple[str, Who]:
    user = f"user{number}"
    key, who = key_of(_APP, room), Who(session_of(_APP, user), user)
    wire = WebSocketWire(Nowhere(), presence.hub.heartbeat.turn)
    observer = Observer(
        session=who.session, user=user, room=rooms.get(_APP, room), dialect=PRESENCE_V1, wire=wire
    )
    rooms.observe(observer, None)
    rooms.appear(key, who, None)
    return key, who


def idle_room() -> float:
    """Bytes that a room takes in which nobody is, while somebody looks."""
    node = Node(_NAME, grace=8, lease=10, now=Moment(0, 1_800_000_000))
    node.watch(key_of(_APP, "first"))
    count = 10_000
    names = [key_of(_APP, f"room{number}") for number in range(count)]
    tracemalloc.start()
    for name in names:
        node.watch(name)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken / count


def known_person(ordered: bool = False) -> float:
    """Bytes that a node takes for somebody who is here by way of another one: of a hundred thousand
    at five others, as in `make hundred-thousand`; or when pages of them are asked for, too."""
    people, now = 100_000, 1_800_000_000
    node = Node(_NAME, grace=8, lease=10, now=Moment(0, now))
    node.subscribed(Moment(0, now))
    others = [f"{number:016x}" for number in range(1, 6)]
    letters = [text for other in others for text in _snapshot(other, people // 5, now)]
    tracemalloc.start()
    for text in letters:
        node.receive(text, Moment(1, now + 1))
    if ordered:
        assert node.rooms.own.ordered.count() == people
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(node.rooms.own.roster.here) == people
    return taken / people


def _snapshot(node: str, people: int, now: int) -> Iterator[str]:
    """The letters in which a node tells of its people, who came within some minutes."""
    said = (
        Said(f"user{node[-1]}{number:05}", 1_000 + number, "online", now - number % 300)
        for number in range(people)
    )
    pieces = list(cut(((OWN, secrets.token_hex(10), one) for one in said), ()))
    for number, piece in enumerate(pieces):
        yield encode_letter(Part(node, 1, 1, number, len(pieces), now, piece))


def add_app(database: Path) -> str:
    """What its backend shows."""
    command = [sys.executable, "-m", "presence_server", "app", "add", "bench", "--json"]
    out = subprocess.check_output([*command, f"--database={database}"], cwd=ROOT)
    made = json.loads(out)
    return f"{made['key']}.{made['secret']}"


def query_time(server: Running, bearer: str, users: int) -> tuple[float, int]:
    """Milliseconds (the median) until a backend knows of so many users, and how many are here."""
    return asyncio.run(_query_time(server, bearer, users))


async def _query_time(server: Running, bearer: str, users: int) -> tuple[float, int]:
    host, port = server.target.address
    api = f"http://{host}:{port}/api/v1"
    names = [f"user{number}" for number in range(users)]
    headers = {"Authorization": f"Bearer {bearer}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        for name in names:
            async with http.put(f"{api}/rooms/doc/users/{name}", json={"ttl": 600}) as put:
                put.raise_for_status()
            # Below the rate at which a backend may ask.
            await asyncio.sleep(0.0025)
        times = []
        for _ in range(50):
            began = time.monotonic()
            async with http.post(f"{api}/users/query", json={"users": names}) as answer:
                found = await answer.json()
            times.append(1000 * (time.monotonic() - began))
            await asyncio.sleep(0.02)
    here = sum(person["status"] == "online" for person in found["users"].values())
    return statistics.median(times), here
