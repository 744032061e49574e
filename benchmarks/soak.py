"""`make soak`: an hour of people who come and go, and whether the servers are as they were before.

Two servers with one Redis. Sockets open, close politely or break off, people turn away and come
back, and guests sign up, read pages, resume with a cursor and log out. Memory must not grow while
the load stays the same, nor that of a page with the client; tasks, timers and descriptors must be
back where they were after it.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from urllib.request import urlopen

from testing.meters import cpu_seconds, resident_bytes
from benchmarks.page_soak import churned, growth, soak_page
from benchmarks.servers import SERVERS, Running, populate, redis_server, running
from testing.swarm import Swarm
from testing.redis_server import free_port
from testing.visitor import PASSWORD, Visitor

# Acts a second: half of them open or close a socket. On average half of the people are here.
PEOPLE = 600
ACTS = 40
GUEST_EACH = 2.0  # seconds
GUEST_WAITS = 60.0
SAMPLE_EACH = 5.0
# The first part fills caches and pools, and is not judged.
WARM_UP = 0.25
# Memory may move by this much, or by this part of it, without being called growth.
STEADY_BYTES = 3 * 1024 * 1024
STEADY_SHARE = 0.03
# Seconds of the same load before, and of rest after it, until all that stays is there.
FIRST = 10.0
IDLE = 15.0
SETTLED_WITHIN = 90.0

# What must be back after the load, by its metric.
BACK = {
    "tasks": "presence_tasks",
    "timers": "presence_timers",
    "descriptors": "presence_process_open_fds",
    "sockets": "presence_sockets",
}
# Timers come and go by the second; what leaks does so by the thousand.
SLACK = {"timers": 5, "descriptors": 2}


@dataclass(slots=True)
class Watched:
    """One server, as it was before the load and while it lasted."""

    server: Running
    metrics_url: str
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    memory: list[tuple[float, int]] = field(default_factory=list)

    def read(self) -> dict[str, float]:
        with urlopen(self.metrics_url, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        found = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(found[metric]) for name, metric in BACK.items()}

    def sample(self, elapsed: float) -> None:
        self.memory.append((elapsed, resident_bytes(self.server.pid)))


def faults(watched: Watched, warm_up: float) -> list[str]:
    """What is not as it should be after a soak, a sentence each."""
    found = []
    judged = [sample for sample in watched.memory if sample[0] >= warm_up]
    grown = growth(judged)
    if judged and grown > max(STEADY_BYTES, STEADY_SHARE * judged[0][1]):
        found.append(f"memory grew by {grown / 2**20:.1f} MiB under a load that stayed the same")
    for name, before in watched.before.items():
        if watched.after[name] > before + SLACK.get(name, 0):
            found.append(f"{watched.after[name]:.0f} {name}, before {before:.0f}")
    return found


class Churn:
    """People with a session each, over raw sockets to both servers."""

    def __init__(self, servers: Sequence[Running], cookies: Sequence[str]) -> None:
        self.cookies = cookies
        self.acts: Counter[str] = Counter()
        self._swarms = [
            Swarm(server.target.address, server.target.dialect.subprotocol, self._heard)
            for server in servers
        ]
        for swarm in self._swarms:
            swarm.on_close = lambda client, reason: self.acts.update([f"lost: {reason}"])

    def act(self) -> None:
        number = random.randrange(len(self.cookies))
        swarm = next((s for s in self._swarms if number in s.clients), None)
        if swarm is None:
            random.choice(self._swarms).connect(number, self.cookies[number])
            self.acts["opened"] += 1
        elif swarm.clients[number].open:
            self._move(swarm, number, random.random())

    def _move(self, swarm: Swarm, number: int, chance: float) -> None:
        if chance < 0.3:
            status = random.choice(("away", "online"))
            swarm.send(number, b'{"type":"status","status":"%s"}' % status.encode())
            self.acts["moved"] += 1
        elif chance < 0.5:
            swarm.break_off(number)
            self.acts["broke off"] += 1
        else:
            swarm.close(number)
            self.acts["closed"] += 1

    def turn(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for swarm in self._swarms:
                swarm.turn(left / len(self._swarms))

    def leave(self) -> None:
        for swarm in self._swarms:
            for number in list(swarm.clients):
                swarm.close(number)

    def _heard(self, number: int, payload: bytes | None, now: float) -> None:
        self.acts["messages"] += 1


class Guests(threading.Thread):
    """Visitors with browsers, one after the other: what comes before and after a socket."""

    def __init__(self, urls: Sequence[str]) -> None:
        super().__init__(name="guests")
        self.visits = 0
        self.given_up = 0
        self.error: Exception | None = None
        self._urls = urls
        self._over = threading.Event()

    def run(self) -> None:
        try:
            while not self._over.is_set():
                try:
                    asyncio.run(self._visit(random.choice(self._urls)))
                except TimeoutError:
                    # A machine may be too busy for an hour; that is told, and no leak.
                    self.given_up += 1
                self.visits += 1
                self._over.wait(GUEST_EACH)
        except Exception as error:
            self.error = error

    def leave(self) -> None:
        self._over.set()
        self.join()
        if self.error is not None:
            raise self.error

    async def _visit(self, url: str) -> None:
        async with asyncio.timeout(GUEST_WAITS), Visitor.at(url) as visitor:
            name = f"guest{self.visits % 50}"
            answer = await visitor.log_in(name, PASSWORD)
            if answer.status == 401:
                await visitor.sign_up(name)
                answer = await visitor.log_in(name, PASSWORD)
            assert answer.status == 303, answer.status
            await visitor.get("/")
            await visitor.api("?q=user1")
            async with visitor.live() as socket:
                await socket.sees(name, "online", within=20)
                cursor = socket.cursor
            async with visitor.live(cursor) as socket:
                await socket.first(within=20)
            await visitor.log_out()


def soak(minutes: float) -> list[str]:
    """What is not as it was before, a sentence each."""
    seconds = minutes * 60
    with tempfile.TemporaryDirectory() as name, redis_server() as redis:
        database = Path(name) / "presence.sqlite3"
        with contextlib.ExitStack() as stack:
            watched = [_start(stack, database, redis.url) for _ in range(2)]
            servers = [each.server for each in watched]
            cookies = populate(SERVERS["ours"], database, PEOPLE, PEOPLE)
            churn = Churn(servers, cookies)
            urls = [f"http://{s.target.address[0]}:{s.target.address[1]}" for s in servers]
            # Once through everything, so that every thread and connection that stays is there.
            with _guests(urls):
                _run(churn, watched, FIRST)
            churn.leave()
            for each in watched:
                each.memory.clear()
                each.before = _settled(churn, each, {})
            churn.acts.clear()
            busy = [cpu_seconds(server.pid) for server in servers]
            with _guests(urls) as guests, ThreadPoolExecutor(1) as pool:
                page = pool.submit(churned, seconds)
                _run(churn, watched, seconds)
                of_page = page.result()
            busy = [cpu_seconds(server.pid) - was for server, was in zip(servers, busy)]
            churn.leave()
            for each in watched:
                each.after = _settled(churn, each, each.before)
            print(
                f"{minutes:g} minutes, {guests.visits} guests ({guests.given_up} gave up); "
                f"{_in_words(churn.acts)}"
            )
            found = [_report(each, seconds, spent) for each, spent in zip(watched, busy)]
    return [*chain.from_iterable(found), *of_page]


def _start(stack: contextlib.ExitStack, database: Path, redis_url: str) -> Watched:
    port = free_port()
    flags = [f"--admin-port={port}", "--bcrypt-cost=4"]
    server = stack.enter_context(running(SERVERS["ours"], database, redis_url, flags))
    return Watched(server, f"http://127.0.0.1:{port}/metrics")


@contextlib.contextmanager
def _guests(urls: Sequence[str]) -> Iterator[Guests]:
    guests = Guests(urls)
    guests.start()
    try:
        yield guests
    finally:
        guests.leave()


def _run(churn: Churn, watched: Sequence[Watched], seconds: float) -> None:
    begun = time.monotonic()
    sampled = 0.0
    while (elapsed := time.monotonic() - begun) < seconds:
        churn.act()
        churn.turn(1 / ACTS)
        if elapsed >= sampled:
            sampled = elapsed + SAMPLE_EACH
            for each in watched:
                each.sample(elapsed)
    for each in watched:
        each.sample(elapsed)


def _settled(churn: Churn, watched: Watched, before: dict[str, float]) -> dict[str, float]:
    """The counts once they are no more than before; what they are if that does not come."""
    deadline = time.monotonic() + (SETTLED_WITHIN if before else IDLE)
    while True:
        churn.turn(1.0)
        now = watched.read()
        calm = before and all(now[n] <= before[n] + SLACK.get(n, 0) for n in now)
        if calm or time.monotonic() > deadline:
            return now


def _report(watched: Watched, seconds: float, busy: float) -> list[str]:
    warm_up = seconds * WARM_UP
    judged = [sample for sample in watched.memory if sample[0] >= warm_up]
    hours = (judged[-1][0] - judged[0][0]) / 3600 if len(judged) > 2 else 1.0
    print(
        f"server {watched.server.pid}: CPU {100 * busy / seconds:.1f} %; "
        f"memory {judged[0][1] / 2**20:.1f} MiB, then {judged[-1][1] / 2**20:.1f}, "
        f"slope {growth(judged) / 2**20 / hours:+.2f} MiB/h; "
        + ", ".join(f"{n} {b:.0f} -> {watched.after[n]:.0f}" for n, b in watched.before.items())
    )
    return faults(watched, warm_up)


def _in_words(acts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {act}" for act, count in sorted(acts.items()))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--part", choices=PARTS, default="all", help="page: only the client's")
    options = parser.parse_args(argv)
    found = PARTS[options.part](options.minutes)
    print("NOT STEADY: " + "; ".join(found) if found else "steady")
    return 1 if found else 0


PARTS: dict[str, Callable[[float], list[str]]] = {"all": soak, "page": soak_page}

if __name__ == "__main__":
    sys.exit(main())
