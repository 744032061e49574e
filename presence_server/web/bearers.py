"""Who asks the API: a user of an app with a token, or the backend of an app with its key."""

import time
from collections.abc import Iterator

from aiohttp import web

from presence_server.apps.register import App
from presence_server.apps.tokens import Token, TokenRefused
from presence_server.keys import API_RATES, APPS, METRICS
from presence_server.web.hosts import site_path
from presence_server.web.problems import Problem, is_of_api
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
    """Who asks, and not too often. Raises Problem."""
    asking, rates = _identify(request), request.app[API_RATES]
    if isinstance(asking, App):
        wait = rates.backend(asking.id)
    else:
        wait = rates.user(asking.app, asking.user)
    if wait:
        raise Problem(429, "too_many", "Too many requests. Please slow down.", wait)
    return asking


def identify_line(request: web.Request) -> Token:
    """Who wants a line; of these only so many may be open. Raises Problem."""
    return _of_user(_identify(request))


def _identify(request: web.Request) -> Token | App:
    text = _credentials(request)
    if _is_key(text):
        app = request.app[APPS].of_key(text)
        if app is None:
            raise _invalid("There is no app with this key, or the secret is wrong.")
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
    return _of_user(identify(request))


def _of_user(asking: Token | App) -> Token:
    if isinstance(asking, App):
        raise Problem(403, "not_allowed", "This takes the token of a user, not the key of an app.")
    return asking


def identify_backend(request: web.Request) -> App:
    """The app whose backend asks. Raises Problem."""
    asking = identify(request)
    if isinstance(asking, Token):
        raise Problem(403, "not_allowed", "This takes the key of an app, not the token of a user.")
    return asking


async def count_requests(request: web.Request, response: web.StreamResponse) -> None:
    """A signal handler for on_response_prepare."""
    if not is_of_api(site_path(request)):
        return
    apps, token, app = request.app[APPS], request.get(TOKEN), request.get(BACKEND)
    if token is not None:
        app = apps.get(token.app)
    name = "" if app is None else app.name
    answer = f"{response.status // 100}xx"
    request.app[METRICS].api_requests.labels(name, answer).inc()


def shows_key(request: web.Request) -> bool:
    """Whether a key is shown, good or not: what is answered is for no page."""
    return any(_is_key(text) for text in _in_header(request))


def _credentials(request: web.Request) -> str:
    found = [*_in_header(request), *_in_subprotocols(request)]
    if wants_events(request):
        found += request.query.getall("token", ())
    if not found:
        raise _invalid("Neither a token nor a key was sent.")
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
