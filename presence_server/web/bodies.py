"""Reading the bodies of requests: whatever bytes come, the answer is a 4xx, never a 500."""

import asyncio
from typing import Any

from aiohttp import HttpVersion11, web

from presence_server.presence.objects import MessageError, parse_object
from presence_server.web.problems import Problem, problem_response
from presence_server.web.turnstile import TURNSTILE

LARGEST = 16 * 1024  # bytes
BODY_TIMEOUT = 10  # seconds
# A table that an administrator sends, and the same in a form, where nine bytes may stand
# for two.
LARGEST_TABLE = 1024 * 1024
# A thousand names of 128 characters, each of which may take up to twelve bytes.
_LARGEST_QUERY = 1600 * 1024
_LARGER = {
    "/api/v1/users/query": _LARGEST_QUERY,
    "/admin/import/": LARGEST_TABLE + 4096,
    "/admin/import/make": 5 * LARGEST_TABLE,
}


def largest_body(path: str) -> int:
    """How many bytes a body may have at an address, whatever the site's begin with."""
    return next((most for end, most in _LARGER.items() if path.endswith(end)), LARGEST)


async def read_body(request: web.Request) -> bytes:
    room = largest_body(request.path)
    if (request.content_length or 0) > room:
        raise _too_large(request.content_length or 0, room)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > room:
                    raise _too_large(len(body), room)
    except TimeoutError as error:
        slow = web.HTTPRequestTimeout()
        slow.force_close()
        raise slow from error
    except (web.PayloadAccessError, web.RequestPayloadError) as error:
        raise web.HTTPBadRequest() from error
    return bytes(body)


async def heed_expect(request: web.Request) -> web.StreamResponse | None:
    """Asks a client of the API for the body with which it waits, and for nothing else."""
    if request.version != HttpVersion11:
        return None
    if request.headers["Expect"].lower() != "100-continue":
        sentence = "Of what a client may expect only 100-continue is known."
        return problem_response(Problem(417, "bad_request", sentence))
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # Nothing of the answer is under way yet.
    request.writer.output_size = 0
    return None


def is_utf8(request: web.Request) -> bool:
    """Whether a body of text can be read as it comes."""
    return (request.charset or "utf-8").lower() == "utf-8" and (
        "Content-Encoding" not in request.headers
    )


async def read_json(request: web.Request) -> dict[str, Any]:
    """The object in the body of a request to the API. Raises Problem."""
    if request.content_type != "application/json" or not is_utf8(request):
        raise Problem(415, "not_json", "The body must be application/json, in UTF-8.")
    body = await read_body(request)
    await request.app[TURNSTILE].go_on()
    try:
        return parse_object(body.decode())
    except UnicodeDecodeError:
        raise Problem(400, "bad_request", "The body is not UTF-8.") from None
    except MessageError as error:
        raise Problem(400, "bad_request", f"The body is no JSON object: {error}.") from None


def _too_large(size: int, room: int) -> web.HTTPRequestEntityTooLarge:
    # The rest of the body is not waited for.
    refusal = web.HTTPRequestEntityTooLarge(room, size)
    refusal.force_close()
    return refusal
