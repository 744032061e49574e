"""People who use the site: forms, pages and live sockets as a browser would use them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any, Self

import aiohttp

PASSWORD = "johnson123"
# So long anybody waits for what must come: a machine that runs tests has other work to do. How soon
# something is promised is measured where it is promised.
WITHIN = 15.0

Message = dict[str, Any]


class Page:
    """An answer read to its end."""

    def __init__(self, response: aiohttp.ClientResponse, text: str) -> None:
        self.status = response.status
        self.headers = response.headers
        self.location = response.headers.get("Location")
        self.text = text

    @property
    def csrf_token(self) -> str:
        return hidden_field(self.text, "csrf_token")


class Visitor:
    """One browser: a cookie jar, and `username` once it has logged in."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url.rstrip("/")
        self.http = http
        self.username = ""

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str) -> AsyncIterator[Self]:
        # Cookies of a bare address are refused otherwise.
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            yield cls(url, http)

    async def get(self, path: str, **options: Any) -> Page:
        return await self._ask("GET", path, **options)

    async def post(self, path: str, fields: dict[str, str], **options: Any) -> Page:
        """Send a form as it is, without a token of its own."""
        return await self._ask("POST", path, data=fields, **options)

    async def submit(self, path: str, fields: dict[str, str], form: str | None = None) -> Page:
        """Fill in the form that the page at `form` (else `path`) shows, and send it to `path`."""
        shown = await self.get(form or path)
        return await self.post(path, {"csrf_token": shown.csrf_token, **fields})

    async def sign_up(self, username: str, password: str = PASSWORD) -> Page:
        fields = {"username": username, "password1": password, "password2": password}
        return await self.submit("/sign_up/", fields)

    async def log_in(self, username: str, password: str = PASSWORD) -> Page:
        answer = await self.submit("/log_in/", {"username": username, "password": password})
        if answer.status == 303:
            self.username = username
        return answer

    async def enter(self, username: str, password: str = PASSWORD) -> Self:
        """Sign up and log in; both must work."""
        signed_up = await self.sign_up(username, password)
        assert (signed_up.status, signed_up.location) == (303, "/log_in/"), signed_up.text
        logged_in = await self.log_in(username, password)
        assert (logged_in.status, logged_in.location) == (303, "/"), logged_in.text
        return self

    async def log_out(self) -> Page:
        return await self.submit("/log_out/", {}, form="/")

    async def api(self, query: str = "") -> Any:
        async with self.http.get(f"{self.url}/api/users{query}") as response:
            assert response.status == 200, await response.text(errors="replace")
            return await response.json()

    @asynccontextmanager
    async def live(
        self, cursor: str | None = None, query: str = "", **options: Any
    ) -> "AsyncIterator[LiveSocket]":
        """A socket that speaks presence.v1."""
        if cursor is not None:
            query = f"cursor={cursor}&{query}"
        async with self._socket(f"?{query}", protocols=("presence.v1",), **options) as socket:
            assert socket.protocol == "presence.v1"
            yield LiveSocket(socket)

    @asynccontextmanager
    async def tutorial(self, **options: Any) -> "AsyncIterator[TutorialSocket]":
        """A socket that speaks as the tutorial's page does."""
        async with self._socket("", **options) as socket:
            yield TutorialSocket(socket)

    @asynccontextmanager
    async def _socket(
        self, query: str, **options: Any
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        headers = {"Origin": self.url, **options.pop("headers", {})}
        async with self.http.ws_connect(
            f"{self.url}/users/{query}", headers=headers, **options
        ) as socket:
            yield socket

    async def _ask(self, method: str, path: str, **options: Any) -> Page:
        options.setdefault("allow_redirects", False)
        async with self.http.request(method, self.url + path, **options) as response:
            return Page(response, await response.text(errors="replace"))


class Socket:
    """What both dialects share. `close_code` is known once the server has closed it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.raw = socket
        self.received: list[Message] = []

    @property
    def close_code(self) -> int | None:
        return self.raw.close_code

    async def receive(self) -> Message:
        """The next message, taken into account."""
        frame = await self.raw.receive()
        assert frame.type is aiohttp.WSMsgType.TEXT, (
            f"{frame.type.name} {self.close_code} after {self.received}"
        )
        message: Message = json.loads(frame.data)
        self.received.append(message)
        self._apply(message)
        return message

    async def until(self, true: Callable[[], bool], within: float = WITHIN) -> None:
        """Receive until `true()` says so of what is known by now."""
        try:
            async with asyncio.timeout(within):
                while not true():
                    await self.receive()
        except TimeoutError:
            raise AssertionError(f"not within {within} s; received: {self.received}") from None

    async def message(
        self, fits: Callable[[Message], bool], within: float = WITHIN
    ) -> Message:
        """Receive until a message `fits`, and return it."""
        await self.until(lambda: bool(self.received) and fits(self.received[-1]), within)
        return self.received[-1]

    async def closed(self, within: float = WITHIN) -> int | None:
        """Receive until the server closes, and return the close code."""
        async with asyncio.timeout(within):
            while True:
                frame = await self.raw.receive()
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    return self.close_code
                message = json.loads(frame.data)
                self.received.append(message)
                self._apply(message)

    def _apply(self, message: Message) -> None:
        raise NotImplementedError


class LiveSocket(Socket):
    """`people` is what a page would show: the status of everybody who is not offline."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__(socket)
        self.people: dict[str, str] = {}
        self.since: dict[str, int] = {}
        # What stands beside a status, also of those who are offline, as far as it was told.
        self.about: dict[str, Message] = {}
        # What the user has chosen.
        self.choice: Message = {}
        self.cursor: str | None = None
        self.degraded = False

    async def send(self, message: Message) -> None:
        await self.raw.send_json(message)

    async def first(self, within: float = WITHIN) -> Message:
        async with asyncio.timeout(within):
            return await self.receive()

    async def sees(self, username: str, status: str, within: float = WITHIN) -> None:
        await self.until(lambda: self.people.get(username, "offline") == status, within)

    def _apply(self, message: Message) -> None:
        self.cursor = message.get("cursor", self.cursor)
        if message["type"] == "snapshot":
            self.people.clear()
            self.since.clear()
            self.about.clear()
        if message["type"] in ("snapshot", "changes"):
            for status in ("online", "busy", "away"):
                for username, since in message.get(status, {}).items():
                    self.people[username] = status
                    self.since[username] = since
            for status in ("offline", "deleted"):
                for username in message.get(status, {}):
                    self.people.pop(username, None)
                    self.since.pop(username, None)
                    self.about.pop(username, None)
            self.about.update(message.get("about", {}))
        if message["type"] == "choice":
            self.choice = {name: value for name, value in message.items() if name != "type"}
        if message["type"] == "degraded":
            self.degraded = message["value"]


class TutorialSocket(Socket):
    """`here` is the set of names that the tutorial's page would show as online."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__(socket)
        self.here: set[str] = set()

    async def sees(self, username: str, is_logged_in: bool, within: float = WITHIN) -> None:
        await self.until(lambda: (username in self.here) is is_logged_in, within)

    def _apply(self, message: Message) -> None:
        assert message.keys() == {"username", "is_logged_in"}, message
        if message["is_logged_in"]:
            self.here.add(message["username"])
        else:
            self.here.discard(message["username"])


def hidden_field(page: str, name: str) -> str:
    reader = _HiddenFields()
    reader.feed(page)
    assert name in reader.found, f"no field {name} in:\n{page}"
    return reader.found[name]


class _HiddenFields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        field = dict(attrs)
        if tag == "input" and field.get("type") == "hidden":
            self.found[field.get("name") or ""] = field.get("value") or ""
