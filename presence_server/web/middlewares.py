"""What happens to every request before and after its handler."""

import logging
import secrets
from collections.abc import Awaitable, Mapping
from typing import NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler

from presence_server.storage.database import DatabaseUnavailable
from presence_server.collector import untie
from presence_server.keys import CONFIG
from presence_server.web.hosts import sent_by_our_pages, sent_without_https, site_path
from presence_server.web.problems import Problem, is_of_api, problem_of, problem_response
from presence_server.web.rendering import render

log = logging.getLogger(__name__)

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_RETRY_DATABASE = 5  # seconds
_TOLD_WITH_ERRORS = ("Allow", "Retry-After", "Sec-WebSocket-Version", "Upgrade")
# What programs ask for: their errors are JSON.
_JSON_PATHS = ("/api/", "/users/")

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With no-referrer browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class _Words(NamedTuple):
    title: str
    sentence: str


_ERRORS = {
    400: _Words(
        "This was not understood",
        "Your browser sent something that this site does not understand.",
    ),
    401: _Words("You are not logged in", "Please log in first."),
    403: _Words("This is not allowed", "Request refused."),
    404: _Words("Nothing here", "There is nothing at this address."),
    405: _Words("This is no page", "This address cannot be used like that."),
    408: _Words("This took too long", "Your browser took too long to send the request."),
    413: _Words("This is too large", "You sent more than this site accepts."),
    415: _Words("This was not understood", "This site does not accept data of that kind."),
    421: _Words("No such site", "There is no site of that name here."),
    426: _Words(
        "This was not understood", "This site speaks version 13 of the WebSocket protocol."
    ),
    429: _Words("Too often", "Too many requests. Please wait a moment."),
    500: _Words("This did not work", "Something went wrong on our side."),
    503: _Words("Too busy", "The site is busy. Please try again in a moment."),
}
_OTHER = _Words("This did not work", "The request could not be answered.")
_CALL = " If it happens again, please tell whoever runs this site: error {}."


class BadValue(web.HTTPBadRequest):
    """Whose sentence says which value is bad, and what it must be."""

    def __init__(self, sentence: str) -> None:
        super().__init__()
        self.sentence = sentence


class NotAllowed(web.HTTPForbidden):
    """Whose sentence says why, and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__()
        self.sentence = sentence


async def secure_headers(request: web.Request, response: web.StreamResponse) -> None:
    """A signal handler for on_response_prepare: whatever answers, also a 404 or a 101."""
    add_secure_headers(response)
    if request.app[CONFIG].https:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"


async def below_base_path(request: web.Request, response: web.StreamResponse) -> None:
    """A signal handler for on_response_prepare: redirects are written as if the site had no
    path."""
    location = response.headers.get("Location", "")
    if location.startswith("/"):
        response.headers["Location"] = request.app[CONFIG].base_path + location


def add_secure_headers(response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    # aiohttp would tell its version.
    response.headers.pop("Server", None)


@web.middleware
async def error_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as problem:
        untie(problem)
        _cut_what_is_under_way(request)
        return problem_response(problem)
    except web.HTTPError as error:
        # It holds the request, which holds it.
        untie(error)
        _cut_what_is_under_way(request)
        return await _error_page(request, error.status, _sentence(error), headers=_kept(error))
    except DatabaseUnavailable as error:
        # It has said so itself, here and below.
        untie(error)
        _cut_what_is_under_way(request)
        headers = {"Retry-After": str(_RETRY_DATABASE)}
        return await _error_page(request, 503, _ERRORS[503].sentence, headers=headers)
    except (web.HTTPException, ConnectionError):
        # A redirect; a client that has gone.
        raise
    except Exception as error:
        number = secrets.token_hex(4)
        log.exception("error %s", number)
        untie(error)
        _cut_what_is_under_way(request)
        return await _error_page(request, 500, _ERRORS[500].sentence + _CALL.format(number))


def _cut_what_is_under_way(request: web.Request) -> None:
    """An answer, or a socket: a page in its middle would be taken for a part of it."""
    if request.writer.output_size:
        raise ConnectionResetError("answer under way") from None


def _kept(error: web.HTTPError) -> Mapping[str, str]:
    return {name: error.headers[name] for name in _TOLD_WITH_ERRORS if name in error.headers}


def _sentence(error: web.HTTPError) -> str:
    if isinstance(error, BadValue | NotAllowed):
        return error.sentence
    return _ERRORS.get(error.status, _OTHER).sentence


async def _error_page(
    request: web.Request, status: int, sentence: str, *, headers: Mapping[str, str] | None = None
) -> web.Response:
    path = site_path(request)
    response: web.Response
    if is_of_api(path):
        response = problem_response(problem_of(status, sentence), headers)
    elif path.startswith(_JSON_PATHS):
        response = web.json_response({"error": sentence}, status=status, headers=headers)
    else:
        title = _ERRORS.get(status, _OTHER).title
        context = {"status": status, "title": title, "sentence": sentence}
        response = await render(request, "error.html", context, status=status, headers=headers)
    if status in (408, 413):
        response.force_close()
    return response


@web.middleware
def same_origin(request: web.Request, handler: Handler) -> Awaitable[web.StreamResponse]:
    """Refuses what another site made a browser send, before its body is looked at.

    No coroutine: it would stay for as long as a socket does.
    """
    changes = request.method not in _SAFE_METHODS and not is_of_api(site_path(request))
    if changes and not sent_by_our_pages(request):
        raise _from_elsewhere(request)
    return handler(request)


def _from_elsewhere(request: web.Request) -> web.HTTPForbidden:
    if not sent_without_https(request):
        return web.HTTPForbidden()
    # It will never have a cookie.
    ours = request.app[CONFIG].public_url
    return NotAllowed(f"This site works with https only: open {ours} instead.")
