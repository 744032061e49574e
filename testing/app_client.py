"""An application with users of its own: its backend, and its users' lines."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import aiohttp
import jwt

from testing.visitor import LiveSocket, Message
from testing.waiting import first_answer


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class AppClient:
    """Speaks to one server; `at` another gives the same app there."""

    def __init__(
        self, url: str, http: aiohttp.ClientSession, secrets: Mapping[str, str], origin: str = ""
    ) -> None:
        self.url = url
        self.http = http
        self.name = secrets["name"]
        self.key = secrets["key"]
        self.secret = secrets["secret"]
        self.headers = {"Origin": origin} if origin else {}

    def at(self, url: str) -> Self:
        secrets = {"name": self.name, "key": self.key, "secret": self.secret}
        return type(self)(url, self.http, secrets, self.headers.get("Origin", ""))

    def token(
        self, user: str, rooms: Mapping[str, str] | str = "doc", **claims: Any
    ) -> str:
        """`rooms`: names with permissions, or one room to join."""
        now = int(time.time())
        said = {
            "aud": "presence",
            "sub": user,
            "iat": now,
            "exp": now + 600,
            "rooms": {rooms: "join"} if isinstance(rooms, str) else dict(rooms),
            **claims,
        }
        return jwt.encode(said, self.secret, "HS256", headers={"kid": self.key})

    # As a backend

    async def ask(
        self, method: str, path: str, body: Any = None, bearer: str | None = None, **options: Any
    ) -> Answer:
        """With the key, unless there is another bearer."""
        shown = f"{self.key}.{self.secret}" if bearer is None else bearer
        headers = {"Authorization": f"Bearer {shown}"} if shown else {}
        headers |= self.headers | options.pop("headers", {})
        if body is not None:
            options["json"] = body
        url = f"{self.url}/api/v1{path}"
        async with self.http.request(method, url, headers=headers, **options) as response:
            return Answer(response.status, response.headers, await response.text())

    async def until_known(self) -> Self:
        """Waits until its server has read of it: within a second, on a machine that is free."""
        await first_answer(lambda: self.ask("GET", "/rooms"), lambda said: said.status == 200, 10)
        return self

    async def room(self, room: str = "doc", query: str = "") -> Any:
        answer = await self.ask("GET", f"/rooms/{room}{query}")
        assert answer.status == 200, answer
        return answer.json

    async def here(self, room: str = "doc") -> dict[str, str]:
        """The statuses of those who are in a room."""
        users = (await self.room(room))["users"]
        return {user: person["status"] for user, person in users.items()}

    async def put(self, room: str, user: str, **body: Any) -> Answer:
        return await self.ask("PUT", f"/rooms/{room}/users/{quote(user, safe='')}", body)

    # As a user

    async def say(self, user: str, room: str = "doc", bearer: str = "", **body: Any) -> Answer:
        token = bearer or self.token(user, room)
        return await self.ask("POST", f"/rooms/{room}/me", body, bearer=token)

    @asynccontextmanager
    async def line(
        self, user: str, room: str = "doc", *, query: str = "", token: str | None = None
    ) -> AsyncIterator[LiveSocket]:
        """A socket to a room, which it may join, if no token says otherwise."""
        shown = self.token(user, room) if token is None else token
        protocols = ("presence.v1", f"token.{shown}") if shown else ("presence.v1",)
        url = f"{self.url}/api/v1/rooms/{room}{query}"
        async with self.http.ws_connect(url, protocols=protocols, headers=self.headers) as socket:
            assert socket.protocol == "presence.v1"
            yield LiveSocket(socket)

    @asynccontextmanager
    async def events(
        self, user: str, room: str = "doc", *, query: str = "", token: str | None = None
    ) -> AsyncIterator["Events"]:
        """A stream of events from a room."""
        shown = self.token(user, room) if token is None else token
        headers = {"Accept": "text/event-stream", **self.headers}
        url = f"{self.url}/api/v1/rooms/{room}?token={shown}{query.replace('?', '&')}"
        async with self.http.get(url, headers=headers) as response:
            yield Events(response)


class Events:
    """Server-Sent Events, read as a browser does. `people` is what a page would show."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.status = response.status
        self.last_id: str | None = None
        self.people: dict[str, str] = {}

    async def event(self) -> Message:
        """The next message; fields are held against it."""
        kind, data = "", ""
        while True:
            line = (await self.response.content.readline()).decode()
            assert line, "the stream has ended"
            name, _, value = line.rstrip("\n").partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                kind = value
            elif name == "id":
                self.last_id = value
            elif name == "data":
                data += value
            elif line == "\n" and data:
                break
        message: Message = json.loads(data)
        assert kind == message["type"]
        self._apply(message)
        return message

    async def sees(self, user: str, status: str) -> None:
        while self.people.get(user, "offline") != status:
            await self.event()

    def _apply(self, message: Message) -> None:
        if message["type"] == "snapshot":
            self.people.clear()
        for status in ("online", "busy", "away"):
            self.people |= dict.fromkeys(message.get(status, {}), status)
        for user in message.get("offline", {}):
            self.people.pop(user, None)
