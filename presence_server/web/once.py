"""A form that is sent twice acts once, and both times has the same answer.

Whoever presses a button twice never sees the answer to the first press: their browser has let go of
it. What has been done is remembered for a while. What was refused is remembered only while others
wait for the same answer: a later try may be accepted. Where several processes share a port the
database says which of them acts, in the very transaction in which it does.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from aiohttp import web

from presence_server.collector import untie
from presence_server.endings import Endings
from presence_server.keys import CONFIG, DATABASE, ENDINGS, KEYRING
from presence_server.submissions import ActedAlready, Submission
from presence_server.web import cookies
from presence_server.web.forms import read_form
from presence_server.web.queueing import waiter
from presence_server.web.turnstile import TURNSTILE

Handler = Callable[[web.Request], Awaitable[web.Response]]

_REMEMBERED = 20.0  # seconds
_MOST = 1000
_NOTHING: Mapping[str, str] = {}
_LOOK_EVERY = 0.05  # seconds
_SUBMISSION = web.RequestKey("_SUBMISSION", Submission)


class _Form(NamedTuple):
    """Tells a form from all others, but not what it says; `place` is who sent it where."""

    place: str
    said: str


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
        self._answers: dict[_Form, asyncio.Future[_Answer | None]] = {}

    def __call__(self, handler: Handler, *, but: Mapping[str, str] = _NOTHING) -> Handler:
        """`but` is what a form says that means something else each time: it is not remembered."""

        async def answer(request: web.Request) -> web.Response:
            form = await _form(request)
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
            if each_time:
                return await self._first(form, _answered(handler, request), 0)
            return await self._first(form, _answered_by_one(handler, request, form), _REMEMBERED)

        return answer

    async def _first(
        self, form: _Form, answering: Awaitable[_Answer], remembered: float
    ) -> web.Response:
        loop = asyncio.get_running_loop()
        self._answers[form] = waiting = loop.create_future()
        if len(self._answers) > _MOST:
            del self._answers[next(iter(self._answers))]
        answer = None
        try:
            answer = await answering
            return answer.response()
        finally:
            # Nothing is done for whoever has gone while there is a line: the next one must try.
            done = answer is not None and answer.status < 500
            waiting.set_result(answer if done else None)
            if answer is not None and answer.status < 400:
                self._forget_former(form)
                loop.call_later(remembered, self._forget, form, waiting)
            else:
                self._forget(form, waiting)

    def _forget_former(self, form: _Form) -> None:
        """What changed something back and is sent anew is no second click."""
        for other in [other for other in self._answers if other.place == form.place]:
            if other != form and self._answers[other].done():
                del self._answers[other]

    def _forget(self, form: _Form, answer: "asyncio.Future[_Answer | None]") -> None:
        if self._answers.get(form) is answer:
            del self._answers[form]


def writer(request: web.Request) -> Endings:
    """What the handler of a form writes with, so that the form is acted on once."""
    return request.get(_SUBMISSION) or request.app[ENDINGS]


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


async def _answered_by_one(handler: Handler, request: web.Request, form: _Form) -> _Answer:
    """The answer of whichever process acts on the form."""
    if request.app[CONFIG].redis_url is None:
        # There is no other.
        return await _answered(handler, request)
    while True:
        submission = request[_SUBMISSION] = Submission(request.app[ENDINGS], *form)
        answer = None
        try:
            answer = await _answered(handler, request)
        except ActedAlready:
            pass
        if submission.acted and answer is not None:
            await request.app[DATABASE].attempt(_keep(request, submission, answer))
            return answer
        # What was refused because of the first one is answered like it. Whoever is turned away
        # unheard costs the database nothing.
        if answer is None or (answer.status < 500 and answer.status != 429):
            answer = await _answer_elsewhere(request, submission) or answer
        if answer is not None:
            return answer


async def _keep(request: web.Request, submission: Submission, answer: _Answer) -> None:
    if answer.status >= 400:
        await submission.take_back()
        return
    kept = {**asdict(answer), "headers": dict(answer.headers), "body": answer.body.decode()}
    await submission.keep(request.app[KEYRING].seal(json.dumps(kept)))


async def _answer_elsewhere(request: web.Request, submission: Submission) -> _Answer | None:
    acted, sealed = await submission.answer()
    while acted and sealed is None:
        await asyncio.sleep(_LOOK_EVERY)
        acted, sealed = await submission.answer()
    if sealed is None:
        return None
    kept = json.loads(request.app[KEYRING].unseal(sealed))
    answer = _Answer(**{**kept, "body": kept["body"].encode()})
    await cookies.replace(request, answer.cookie)
    return answer


async def _form(request: web.Request) -> _Form | None:
    """None if it comes from no page of ours."""
    fields = await read_form(request)
    sender = await cookies.sender(request, fields.get("csrf_token", ""))
    if sender is None:
        return None
    keyring, place = request.app[KEYRING], json.dumps([sender, request.path_qs])
    said = json.dumps([place, sorted(fields.items())])
    return _Form(keyring.token("form's place", place), keyring.token("form", said))
