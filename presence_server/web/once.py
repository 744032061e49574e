"""A form that is sent twice acts once, and both times has the same answer.

Whoever presses a button twice never sees the answer to the first press: their browser has let go of
it. What has been done is remembered for a while, by this process; what was refused only while
others wait for the same answer, for a later try may be accepted.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from presence_server.collector import untie
from presence_server.keys import KEYRING
from presence_server.web import cookies
from presence_server.web.forms import read_form
from presence_server.web.runner import waiter
from presence_server.web.turnstile import TURNSTILE

Handler = Callable[[web.Request], Awaitable[web.Response]]

_REMEMBERED = 20.0  # seconds
_MOST = 1000
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    cookie: Mapping[str, object]

    def response(self) -> web.Response:
        return web.Response(status=self.status, headers=self.headers, body=self.body)


class Once:
    """Wraps handlers of forms. Forms are the same when they come from one browser, to one address,
    and say the same, within a short time."""

    def __init__(self) -> None:
        # By form, the oldest first; None for a form that was not dealt with after all.
        self._answers: dict[str, asyncio.Future[_Answer | None]] = {}

    def __call__(self, handler: Handler, *, but: Mapping[str, str] = _NOTHING) -> Handler:
        """`but` is what a form says that means something else each time: it is not remembered."""

        async def answer(request: web.Request) -> web.Response:
            form = await _identity(request)
            if form is None:
                # The handler says what is wrong with it.
                return await handler(request)
            while form in self._answers:
                known = await _wait_for(self._answers[form], request)
                if known is not None:
                    await cookies.replace(request, known.cookie)
                    return known.response()
            fields = await read_form(request)
            each_time = bool(but) and but.items() <= fields.items()
            return await self._first(form, handler, request, 0 if each_time else _REMEMBERED)

        return answer

    async def _first(
        self, form: str, handler: Handler, request: web.Request, remembered: float
    ) -> web.Response:
        loop = asyncio.get_running_loop()
        self._answers[form] = waiting = loop.create_future()
        if len(self._answers) > _MOST:
            del self._answers[next(iter(self._answers))]
        answer = None
        try:
            answer = await _answered(handler, request)
            return answer.response()
        finally:
            # Nothing is done for whoever has gone while there is a line: the next one must try.
            done = answer is not None and answer.status < 500
            waiting.set_result(answer if done else None)
            if answer is not None and answer.status == 303:
                loop.call_later(remembered, self._forget, form, waiting)
            else:
                self._forget(form, waiting)

    def _forget(self, form: str, answer: "asyncio.Future[_Answer | None]") -> None:
        if self._answers.get(form) is answer:
            del self._answers[form]


async def _wait_for(
    answer: "asyncio.Future[_Answer | None]", request: web.Request
) -> _Answer | None:
    gone = waiter(request).gone
    awaited: set[asyncio.Future[Any]] = {answer} if gone is None else {answer, gone}
    await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    if not answer.done():
        raise ConnectionResetError("gone before the first one was answered")
    # Thousands may have waited for it.
    await request.app[TURNSTILE].go_on()
    return answer.result()


async def _answered(handler: Handler, request: web.Request) -> _Answer:
    try:
        response = await handler(request)
    except web.HTTPSeeOther as redirect:
        # It holds the request, which holds it.
        untie(redirect)
        response = redirect
    assert isinstance(response.body, bytes)
    cookie = await cookies.content(request)
    return _Answer(response.status, response.headers.copy(), response.body, cookie)


async def _identity(request: web.Request) -> str | None:
    """Tells a form from all others, but not what it says; None if it comes from no page of ours."""
    fields = await read_form(request)
    sender = await cookies.sender(request, fields.get("csrf_token", ""))
    if sender is None:
        return None
    said = json.dumps([sender, request.path_qs, sorted(fields.items())])
    return request.app[KEYRING].token("form", said)
