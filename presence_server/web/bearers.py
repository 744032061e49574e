"""Who asks the API: a user of an app with a token, or the backend of an app with its key."""

import time
from collections.abc import Iterator

from aiohttp import web

from presence_server.apps.register import App
from presence_server.apps.tokens import Token, TokenRefused
from presence_server.keys import APPS
from presence_server.web.problems import Problem
from presence_server.web.upgrade import asks_for_upgrade

EVENT_STREAM = "text/event-stream"

# Set once it is known who asks.
TOKEN = web.RequestKey("TOKEN", Token)
BACKEND = web.RequestKey("BACKEND", App)

_IN_SUBPROTOCOL = "token."


def wants_events(request: web.Request) -> bool:
    """Whether an EventSource asks."""
    return request.method == "GET" and EVENT_STREAM in request.headers.get("Accept", "")


def identify(request: web.Request) -> Token | App:
    """Who asks. Raises Problem."""
    text = _credentials(request)
    if _is_key(text):
        app = request.app[APPS].of_key(text)
        if app is None:
            raise _invalid("This is the key of no app, or not with its secret.")
        request[BACKEND] = app
        return app
    try:
        token = request.app[APPS].token(text, time.time())
    except TokenRefused as refused:
        raise Problem(401, refused.reason, str(refused)) from refused
    request[TOKEN] = token
    return token


def identify_user(request: web.Request) -> Token:
    """The token of whoever asks, who must be a user. Raises Problem."""
    asking = identify(request)
    if isinstance(asking, App):
        raise Problem(403, "not_allowed", "This takes the token of a user, not the key of an app.")
    return asking


def identify_backend(request: web.Request) -> App:
    """The app whose backend asks. Raises Problem."""
    asking = identify(request)
    if isinstance(asking, Token):
        raise Problem(403, "not_allowed", "This takes the key of an app, not the token of a user.")
    return asking


def shows_key(request: web.Request) -> bool:
    """Whether a key is shown, good or not: what is answered is for no page."""
    return any(_is_key(text) for text in _in_header(request))


def _credentials(request: web.Request) -> str:
    found = [*_in_header(request), *_in_subprotocols(request)]
    if wants_events(request):
        found += request.query.getall("token", ())
    if not found:
        raise _invalid("No token and no key was sent.")
    if len(found) > 1:
        raise _invalid("More than one token or key was sent.")
    return found[0]


def _in_header(request: web.Request) -> Iterator[str]:
    for line in request.headers.getall("Authorization", ()):
        scheme, _, value = line.partition(" ")
        if scheme.lower() == "bearer":
            yield value.strip()


def _in_subprotocols(request: web.Request) -> Iterator[str]:
    if not asks_for_upgrade(request):
        return
    for line in request.headers.getall("Sec-WebSocket-Protocol", ()):
        for offer in line.split(","):
            name = offer.strip()
            if name.startswith(_IN_SUBPROTOCOL):
                yield name.removeprefix(_IN_SUBPROTOCOL)


def _is_key(text: str) -> bool:
    # A token has two dots.
    return text.count(".") == 1


def _invalid(detail: str) -> Problem:
    return Problem(401, "token_invalid", detail)
