"""A real site to break: server processes on one database, each with a way of its own to Redis."""

import asyncio
import random
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from contextvars import ContextVar
from itertools import cycle
from pathlib import Path
from time import monotonic, time
from types import TracebackType
from typing import Any, Self

import aiohttp
import asyncpg

from testing.populate import populate
from drill.evidence import Evidence
from drill.people import ROOM, Choice, Door, Observer, Person
from presence_server.accounts.keyring import open_keyring
from presence_server.apps import register
from presence_server.apps.register import AppSettings
from presence_server.config import Config, PostgresUrl
from presence_server.storage.database import open_database
from testing.app_client import AppClient
from testing.processes import KEYS, ServerProcess, on_database
from testing.redis_server import RedisServer, lasting_port
from testing.tcp_proxy import Proxy

NODES = "abcdefgh"
# Enough that short pauses of a busy machine are no faults, and short enough to wait for.
LEASE = 2.5
GRACE = 2.0


@contextmanager
def _file(folder: Path) -> Iterator[Path]:
    yield folder / "presence.sqlite3"


# Gives each site a database of its own: a file in its folder, unless something else is set.
DATABASES: ContextVar[Callable[[Path], AbstractContextManager[Path | PostgresUrl]]] = ContextVar(
    "DATABASES", default=_file
)


class Node:
    """One server process, with its way to Redis."""

    def __init__(self, name: str, server: ServerProcess, way: Proxy | None) -> None:
        self.name = name
        self.server = server
        self.way = way
        self.up = False


class Site:
    """Use as `async with Site(...) as site`: everything runs and everybody is there.

    With `guests`, so many further people are in a room of an app, which is judged by itself.
    """

    def __init__(
        self,
        *,
        nodes: int = 3,
        people: int = 30,
        lease: float = LEASE,
        grace: float = GRACE,
        heartbeat: float = 20,
        seed: int = 0,
        spare: int = 0,
        guests: int = 0,
        home: str | None = None,
        prefix: str = "user",
        redis_url: str | None = None,
        flags: dict[str, Any] | None = None,
        sabotage: dict[str, dict[str, str]] | None = None,
    ) -> None:
        self.lease, self.grace, self.heartbeat = lease, grace, heartbeat
        self.random = random.Random(seed)
        self.evidence = Evidence(lease, grace)
        self.room = Evidence(lease, grace, dark=self.evidence.dark)
        self.nodes: dict[str, Node] = {}
        self.people: list[Person] = []
        self.observers: list[Observer] = []
        self.redis = RedisServer(port=lasting_port())
        self.folder = Path()
        self.database: Path | PostgresUrl = Path()
        self.http: aiohttp.ClientSession
        # Cookies of everybody, and of those who are logged in and not there.
        self.cookies: dict[str, str] = {}
        self.spare: dict[str, str] = {}
        self._sizes = (nodes, people, spare)
        self._guests = guests
        self._home = home
        self._prefix = prefix
        self._redis_url = redis_url
        self._flags = flags or {}
        self._sabotage = sabotage or {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _open(self) -> None:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="drill-"))
        self.folder = Path(folder)
        self.database = self._stack.enter_context(DATABASES.get()(self.folder))
        if self._redis_url is None:
            self._stack.callback(self.redis.remove)
            await asyncio.to_thread(self.redis.start)
        count, people, spare = self._sizes
        config = Config(database=self.database, secret_key_file=self.folder / KEYS)
        cookies = await populate(config, self._prefix, people + spare, people + spare)
        eyes = await populate(config, "observer", count, count)
        tokens = await self._add_app(config) if self._guests else {}
        for name in NODES[:count]:
            await self._add_node(name)
        await asyncio.gather(*(self.start(name) for name in self.nodes))
        connector = aiohttp.TCPConnector(limit=0)
        self.http = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        )
        names = [f"{self._prefix}{number}" for number in range(people + spare)]
        self.cookies = dict(zip(names, cookies, strict=True))
        self.spare = {name: self.cookies[name] for name in names[people:]}
        self._stack.push_async_callback(self._everybody_leaves)
        for number, (node, cookie) in enumerate(zip(self.nodes.values(), eyes, strict=True)):
            door = (node.name, node.server)
            self.observers.append(
                Observer(self.http, self.evidence, f"observer{number}", cookie, door)
            )
        homes = cycle([self._home] if self._home else self.nodes)
        for username, home in zip(names[:people], homes, strict=False):
            self.people.append(self.person(username, self.cookies[username], home))
        self._place_guests(tokens)
        await self.all_come([*self.observers, *self.people])
        # A busy machine may need its time before anything is done to it.
        assert await self.agree(30), "not everybody was shown before the fault"

    async def _add_app(self, config: Config) -> dict[str, str]:
        """The tokens of its people, and of one more for each node, who looks on."""
        now = int(time())
        async with open_database(self.database) as database:
            keyring = open_keyring(config.key_file)
            made = await register.add(database, keyring, "wiki", AppSettings(), now)
        async with aiohttp.ClientSession() as http:
            app = AppClient("", http, {"name": "wiki", "key": made.key, "secret": made.secret})
            names = [f"guest{number}" for number in range(self._guests)]
            names += [f"looker-{name}" for name in NODES[: self._sizes[0]]]
            # Good for long enough also by a clock that is ten minutes ahead.
            return {name: app.token(name, ROOM, exp=now + 3600) for name in names}

    def _place_guests(self, tokens: dict[str, str]) -> None:
        homes = cycle(self.nodes)
        for username, token in tokens.items():
            is_guest, _, name = username.rpartition("-")
            if is_guest:
                door = (name, self.nodes[name].server)
                looker = Observer(self.http, self.room, username, "", door, token=token)
                self.observers.append(looker)
            else:
                choice = self.choice(next(homes))
                guest = Person(self.http, self.room, username, "", choice, token=token)
                self.people.append(guest)

    async def _add_node(self, name: str) -> None:
        way = None
        url = self._redis_url
        if url is None:
            port = int(self.redis.url.rpartition(":")[2])
            way = await self._stack.enter_async_context(Proxy(("127.0.0.1", port)))
            url = f"redis://127.0.0.1:{way.port}"
        server = ServerProcess(
            self.folder,
            name,
            **{
                "port": lasting_port(),
                "redis_url": url,
                "lease": self.lease,
                "grace": self.grace,
                "heartbeat": self.heartbeat,
                "max_sockets_per_address": 0,
                **on_database(self.database, self.folder),
                **self._flags,
            },
        )
        if name in self._sabotage:
            server.module, server.environment = "drill.saboteur", self._sabotage[name]
        self._stack.push_async_callback(server.kill)
        self.nodes[name] = Node(name, server, way)

    @staticmethod
    def now() -> float:
        return monotonic()

    # People

    def person(self, username: str, cookie: str, home: str | None = None) -> Person:
        return Person(self.http, self.evidence, username, cookie, self.choice(home))

    def choice(self, home: str | None = None) -> Choice:
        """Home while it runs, else any other node that does."""

        def choose() -> list[tuple[str, Door]]:
            up = [node for node in self.nodes.values() if node.up]
            self.random.shuffle(up)
            up.sort(key=lambda node: node.name != home)
            return [(node.name, node.server) for node in up or self.nodes.values()]

        return choose

    def observers_at(self, *nodes: str) -> list[Observer]:
        return [observer for observer in self.observers if observer.view.node in nodes]

    def people_at(self, *nodes: str) -> list[Person]:
        return [person for person in self.people if person.node in nodes]

    async def all_come(self, people: Sequence[Person], at_once: int = 100) -> None:
        for start in range(0, len(people), at_once):
            async with asyncio.TaskGroup() as coming:
                for person in people[start : start + at_once]:
                    coming.create_task(person.come(30))

    async def all_open(self, people: Sequence[Person], within: float = 15) -> None:
        async with asyncio.TaskGroup() as opening:
            for person in people:
                opening.create_task(person.opened(within))

    async def all_leave(self, people: Sequence[Person]) -> None:
        await asyncio.gather(*(person.leave() for person in people))

    async def _everybody_leaves(self) -> None:
        await self.all_leave([*self.people, *self.observers])

    async def agree(self, within: float) -> bool:
        """Wait until every observer is shown exactly who has a socket open."""
        deadline = monotonic() + within
        while monotonic() < deadline:
            open_ones = [observer for observer in self.observers if observer.is_open]
            if all(observer.is_told for observer in open_ones):
                return True
            await asyncio.sleep(0.02)
        return False

    async def quiet(self) -> None:
        """Wait until all is right, and then until what is wrong by then would have shown."""
        await self.agree(self.lease + self.grace + 6)
        await asyncio.sleep(self.lease + self.grace + 0.5)

    def close_the_record(self) -> None:
        for observer in self.observers:
            observer.view.close(monotonic())

    @asynccontextmanager
    async def life(self, *nodes: str, every: float = 0.1) -> AsyncIterator[None]:
        """People reload, move between these nodes (all if none is named), leave and come back.

        Two of five stay where they are. In the end everybody is there.
        """
        among = nodes or tuple(self.nodes)
        busy = [person for number, person in enumerate(self.people) if number % 5 > 1]
        busy = [person for person in busy if person.node in among]
        self.random.shuffle(busy)
        async with asyncio.TaskGroup() as moves:
            living = moves.create_task(self._live(busy, among, every, moves))
            try:
                yield
            finally:
                living.cancel()

    async def _live(
        self, busy: list[Person], among: Sequence[str], every: float, moves: asyncio.TaskGroup
    ) -> None:
        acts = cycle(("reload", "move", "pause"))
        for person in cycle(busy):
            await asyncio.sleep(every)
            if person.is_open:
                moves.create_task(self._act(person, next(acts), among))

    async def _act(self, person: Person, act: str, among: Sequence[str]) -> None:
        home = person.node
        await person.leave()
        if act == "pause":
            await asyncio.sleep(self.grace + self.random.uniform(0.5, 1.5))
        else:
            await asyncio.sleep(self.random.uniform(0, 0.4 * self.grace))
        if act == "move":
            home = self.random.choice([name for name in among if name != home] or [home])
        person.choice = self.choice(home)
        await person.come()

    # Faults

    async def start(self, name: str) -> None:
        node = self.nodes[name]
        await node.server.start()
        node.up = True
        self.light(name)
        for evidence in (self.evidence, self.room):
            evidence.start(name, monotonic())

    async def kill(self, name: str) -> None:
        self.nodes[name].up = False
        self._silence(name, ended=True)
        await self.nodes[name].server.kill()

    async def terminate(self, name: str) -> tuple[int, float]:
        """SIGTERM: the exit status, and the seconds it took."""
        node = self.nodes[name]
        node.up = False
        begun = monotonic()
        status = await node.server.terminate()
        return status, monotonic() - begun

    def pause(self, name: str) -> None:
        self.nodes[name].up = False
        self.darken(name)
        self.nodes[name].server.pause()

    def resume(self, name: str) -> None:
        self.nodes[name].server.resume()
        self.nodes[name].up = True
        self.light(name)

    def cut(self, name: str, *ways: Any) -> None:
        """Nothing passes between a node and Redis, or nothing in one way; connections stay open."""
        self.way(name).stop(*ways)
        self.darken(name)

    def mend(self, name: str) -> None:
        self.way(name).go()
        self.light(name)

    def move_off(self, name: str, seconds: float) -> None:
        """Let a node be so far from Redis, each way."""
        self.way(name).delay = seconds
        for evidence in (self.evidence, self.room):
            evidence.farthest = max(evidence.farthest, seconds)

    def way(self, name: str) -> Proxy:
        way = self.nodes[name].way
        assert way is not None
        return way

    def darken(self, name: str) -> None:
        """The others cannot hear this node from now on."""
        self.light(name)
        self._silence(name)
        self.evidence.dark[name].append((monotonic(), float("inf")))

    def _silence(self, name: str, *, ended: bool = False) -> None:
        for evidence in (self.evidence, self.room):
            evidence.silence(name, monotonic(), ended=ended)

    def light(self, name: str) -> None:
        spans = self.evidence.dark[name]
        if spans and spans[-1][1] == float("inf"):
            spans[-1] = (spans[-1][0], monotonic())

    async def start_redis(self) -> None:
        await asyncio.to_thread(self.redis.start)

    async def hold_database(self, seconds: float) -> None:
        """Another program writes in it meanwhile, and nobody else can."""
        if isinstance(self.database, Path):
            holding = sqlite3.connect(self.database, isolation_level=None)
            try:
                holding.execute("BEGIN IMMEDIATE")
                await asyncio.sleep(seconds)
            finally:
                holding.close()
            return
        connection = await asyncpg.connect(self.database.url)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE nodes, here IN EXCLUSIVE MODE")
                await asyncio.sleep(seconds)
        finally:
            await connection.close()
