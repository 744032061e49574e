"""The lines of apps' users: what is checked before one opens, and how it is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

from aiohttp import web

from presence_server.apps.line import Line
from presence_server.apps.permissions import Permission
from presence_server.apps.rooms import BLIND
from presence_server.apps.saying import LONGEST_LINE_NAME, is_line_name
from presence_server.apps.tokens import Token
from presence_server.keys import APPS, APP_LINES, LINES, METRICS, PRESENCE, ROOMS, SEATS
from presence_server.live.dialects import PRESENCE_V1
from presence_server.live.farewells import BAD_REQUEST, REFUSALS, Farewell
from presence_server.live.observer import Observer
from presence_server.live.seats import RETRY_SEAT
from presence_server.live.wire import Wire
from presence_server.presence.client_messages import ClientMessage
from presence_server.presence.members import Who
from presence_server.presence.names import key_of, session_of
from presence_server.presence.states import Status
from presence_server.web.bearers import identify_line
from presence_server.web.connection import Connection
from presence_server.web.event_stream import open_event_stream
from presence_server.web.problems import Problem
from presence_server.web.proxies import client_address
from presence_server.web.queries import bad_request, one, room_in_path, switch, whole
from presence_server.web.sockets import end_socket, open_web_socket, read_messages
from presence_server.web.upgrade import check_upgrade

_STATUSES: dict[str | None, Status | None] = {
    None: None, "online": "online", "busy": "busy", "away": "away"
}


class _Asked(NamedTuple):
    """A line that may be opened."""

    token: Token
    permission: Permission
    room: str
    cursor: str | None
    status: Status | None
    begins_with_nobody: bool
    name: str | None


async def open_socket(request: web.Request) -> web.StreamResponse:
    """A page cannot read why an upgrade failed: so it succeeds, and the refusal is said then."""
    check_upgrade(request)
    try:
        asked = _ask(request)
    except Problem as problem:
        if problem.code not in REFUSALS:
            raise
        return await _refuse(request, problem)
    with _seated(request, session_of(asked.token.app, asked.token.user), asked):
        ws, wire = await open_web_socket(request)
        lines, line = request.app[LINES], _line(request, asked, wire)
        await _hear_of(request, asked, line)
        lines.open(line, asked.cursor, asked.status)

        def take(message: ClientMessage) -> None:
            lines.hear(line, message)

        try:
            await read_messages(request, ws, wire, line.observer, take)
        finally:
            dismissed = line.observer.dismissed
            lines.close(line)
            end_socket(request, ws, dismissed=dismissed)
    return ws


async def open_events(request: web.Request) -> web.StreamResponse:
    asked = _ask(request)
    with _seated(request, session_of(asked.token.app, asked.token.user), asked):
        response, wire = await open_event_stream(request)
        lines, line = request.app[LINES], _line(request, asked, wire)
        await _hear_of(request, asked, line)
        lines.open(line, asked.cursor, asked.status)
        try:
            await cast(Connection, request.protocol).gone
        finally:
            lines.close(line)
    return response


async def _hear_of(request: web.Request, asked: _Asked, line: Line) -> None:
    if asked.status is None and asked.permission.is_seen:
        await request.app[PRESENCE].hear_of(line.key, request.app[LINES].who_by(line))


async def _refuse(request: web.Request, problem: Problem) -> web.StreamResponse:
    # Of refusals, too, an address has only so many at a time.
    with _seated(request, f"refused {client_address(request)}"):
        ws, wire = await open_web_socket(request)
        observer = Observer(session="", user="", room=BLIND, dialect=PRESENCE_V1, wire=wire)
        hub = request.app[PRESENCE].hub
        hub.dismiss(observer, _farewell(problem))
        try:
            await read_messages(request, ws, wire, observer, _unheard)
        finally:
            hub.remove(observer)
            end_socket(request, ws, dismissed=True)
    return ws


def _unheard(message: ClientMessage) -> None:
    """What is said over a line that was refused."""


def _farewell(problem: Problem) -> Farewell:
    farewell = REFUSALS[problem.code]
    return farewell._replace(words=problem.detail[:100]) if farewell is BAD_REQUEST else farewell


def _ask(request: web.Request) -> _Asked:
    room = room_in_path(request)
    token = identify_line(request)
    permission = permission_in(request, token, room)
    if permission.is_seen:
        check_space(request, token.app, token.user, room)
    status, name = one(request, "status"), one(request, "line")
    if status not in _STATUSES:
        raise bad_request("status must be online, busy or away.")
    if name is not None and not is_line_name(name):
        raise bad_request(f"line must have 1 to {LONGEST_LINE_NAME} characters.")
    # An EventSource that comes back keeps the cursor that its address began with.
    cursor = request.headers.get("Last-Event-ID") or request.query.get("cursor")
    return _Asked(
        token,
        permission,
        room,
        cursor,
        _STATUSES[status],
        _begins_with_nobody(request, token.app, room, cursor),
        name,
    )


def _begins_with_nobody(request: web.Request, app: int, room: str, cursor: str | None) -> bool:
    """Always, or where more are here than a page wants to be told of at first."""
    most = whole(request, "above", 0, 10**6)
    if switch(request, "watch", "some"):
        return True
    if most is None or cursor:
        return False
    return len(request.app[ROOMS].get(app, room).roster.here) > most


def permission_in(request: web.Request, token: Token, room: str) -> Permission:
    """What a token allows in a room. Raises Problem when that is nothing."""
    permission = token.permissions.of(room)
    if permission is None:
        raise Problem(403, "not_allowed", "The token does not open this room.")
    if request.app[APPS].is_revoked(token, room):
        sentence = "The user was removed from this room after the token was issued."
        raise Problem(401, "revoked", sentence)
    return permission


def check_space(request: web.Request, app: int, user: str, room: str) -> None:
    """Raises Problem when a user can be in no further room, or the room has no more place."""
    refusal = request.app[ROOMS].refusal(app, user, room)
    if refusal is not None:
        raise Problem(409, "full", refusal)


def _line(request: web.Request, asked: _Asked, wire: Wire) -> Line:
    token = asked.token
    observer = Observer(
        session=session_of(token.app, token.user),
        user=token.user,
        room=request.app[ROOMS].get(token.app, asked.room) if asked.permission.sees else BLIND,
        dialect=PRESENCE_V1,
        wire=wire,
        view=frozenset() if asked.begins_with_nobody else None,
    )
    return Line(token, asked.room, observer, asked.name)


@contextmanager
def _seated(request: web.Request, user: str, asked: _Asked | None = None) -> Iterator[None]:
    """Hold a seat while a line is open. Raises Problem when there is none."""
    seats, of_app, address = request.app[SEATS], request.app[APP_LINES], client_address(request)
    app = None if asked is None else asked.token.app
    limit: str | None = seats.refusal(user, address)
    if limit is None and app is not None and of_app.is_full(app):
        limit = "app"
    if limit is not None:
        request.app[METRICS].refused_sockets.labels(limit).inc()
        if limit == "process" and asked is not None:
            room = key_of(asked.token.app, asked.room)
            request.app[PRESENCE].send_away(room, Who(user, asked.token.user), RETRY_SEAT)
        status, code = (503, "busy") if limit == "process" else (429, "too_many")
        raise Problem(status, code, f"Too many lines of this {limit} are open.", RETRY_SEAT)
    seats.take(user, address)
    if app is not None:
        of_app.take(app)
    try:
        yield
    finally:
        seats.give_back(user, address)
        if app is not None:
            of_app.give_back(app)
