"""What pages on other origins may read: answers to a token, for the origins of its app.

An app's key gets none of this: it must not work in pages.
"""

from collections.abc import Collection

from aiohttp import web

from presence_server.apps.register import App
from presence_server.keys import APPS
from presence_server.web.bearers import TOKEN, shows_key

_HEADERS = "authorization, content-type, last-event-id"
_MAX_AGE = "7200"  # seconds


def preflight_headers(
    origin: str | None, origins: Collection[str], methods: Collection[str]
) -> dict[str, str]:
    """The answer to OPTIONS, which carries no token: `origins` are those of all apps."""
    headers = answer_headers(origin, origins)
    if "Access-Control-Allow-Origin" in headers:
        headers |= {
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": _MAX_AGE,
        }
    return headers


def answer_headers(origin: str | None, origins: Collection[str]) -> dict[str, str]:
    """For an answer: `origins` are those of the token's app, or of all apps when it is of none."""
    # Vary also where nothing is allowed: or a cache would hand that on to an origin that may.
    headers = {"Vary": "Origin"}
    if origin is not None and origin in origins:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = "Retry-After, WWW-Authenticate"
        # The rest of the site is closed to other origins.
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return headers


async def preflight(request: web.Request) -> web.Response:
    """OPTIONS on a route that pages may use."""
    methods = [method for method in _methods(request) if method not in ("OPTIONS", "HEAD")]
    origins = _origins(request.app[APPS].all())
    headers = preflight_headers(request.headers.get("Origin"), origins, methods)
    return web.Response(status=204, headers=headers)


async def allow_origins(request: web.Request, response: web.StreamResponse) -> None:
    """A signal handler for on_response_prepare: refusals must be read by pages, too."""
    if "OPTIONS" not in _methods(request) or request.method == "OPTIONS" or shows_key(request):
        return
    apps = request.app[APPS]
    token = request.get(TOKEN)
    app = None if token is None else apps.get(token.app)
    origins = _origins(apps.all() if app is None else [app])
    response.headers.update(answer_headers(request.headers.get("Origin"), origins))


def _methods(request: web.Request) -> list[str]:
    resource = request.match_info.route.resource
    return [] if resource is None else [route.method for route in resource]


def _origins(apps: Collection[App]) -> set[str]:
    return {origin for app in apps for origin in app.settings.origins}
