"""Who may see the pages of administrators, and who may act on them."""

import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from aiohttp import web
from aiohttp.typedefs import Handler as Middle

from presence_server.accounts import sessions
from presence_server.accounts.audit import Actor, Audited, LastAdministrator, NoAdministrator
from presence_server.endings import Endings
from presence_server.keys import CONFIG, DATABASE, IDENTITY, SESSION
from presence_server.storage.database import Transaction
from presence_server.storage.engine import T, Work
from presence_server.web.access_log import printable
from presence_server.web.authentication import authenticate
from presence_server.web.cookies import tell_next, told
from presence_server.web.events import note
from presence_server.web.forms import (
    Form,
    Refused,
    check_token,
    read_form,
    trouble_is_told,
)
from presence_server.web.hosts import site_path
from presence_server.web.once import writer
from presence_server.web.proxies import client_address
from presence_server.web.rendering import render

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Act = Callable[[web.Request], Awaitable[web.Response]]

CONFIRMED_FOR = 15 * 60  # seconds
_PASSWORD = "confirm_password"
_OF_THE_GATE = (_PASSWORD, "csrf_token")


class _Noted(Audited):
    """What has been done, and nothing that was refused, stands in the server's own log as well."""

    def __init__(self, request: web.Request, ends: Endings, act: str, whom: str) -> None:
        identity = request[IDENTITY]
        actor = Actor(identity.account, identity.user, client_address(request))
        super().__init__(ends, actor, act, whom, int(time.time()))
        self._request, self._event = request, printable(f"administrator {act} {whom}")

    async def write(self, work: Work[T], /) -> T:
        done = await super().write(work)
        note(self._request, self._event, self._request[IDENTITY].user)
        return done


class Impossible(Exception):
    """An act that makes no sense any more: a sentence, and the page that shows how things are."""

    def __init__(self, sentence: str, page: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.page = page


def page(handler: Handler) -> Handler:
    """For administrators; to everybody else there is nothing at this address."""

    async def answer(request: web.Request) -> web.StreamResponse:
        _check_administrator(request)
        try:
            return await handler(request)
        except NoAdministrator as error:
            raise web.HTTPNotFound from error

    return answer


def act(handler: Act) -> Act:
    """As page(), for what changes something: with the password entered not long ago. Who has not
    done so is asked for it, and then the act goes on as it was sent."""

    async def answer(request: web.Request) -> web.Response:
        _check_administrator(request)
        try:
            with trouble_is_told():
                await _check_sender(request, await read_form(request))
                return await handler(request)
        except Refused as refusal:
            return await _confirm_page(request, refusal)
        except NoAdministrator as error:
            raise web.HTTPNotFound from error
        except LastAdministrator:
            return await done(
                request,
                "You are the last administrator: make somebody else one first.",
                site_path(request).rpartition("/")[0],
            )
        except Impossible as impossible:
            return await done(request, impossible.sentence, impossible.page)

    return answer


def audited(
    request: web.Request, act: str, whom: str, following: Audited | None = None
) -> Audited:
    """The way to write for an act: `act` is what stands in the log, as in "disabled". The line of
    an act that is done in the same transaction may follow."""
    return _Noted(request, following or writer(request), act, whom)


async def record(request: web.Request, act: str, whom: str) -> None:
    """Leave the line of an act that changes nothing here."""
    await audited(request, act, whom).write(_nothing)


async def _nothing(transaction: Transaction) -> None:
    pass


async def done(request: web.Request, sentence: str, page: str) -> web.Response:
    """To a page that says what was done."""
    await tell_next(request, sentence)
    raise web.HTTPSeeOther(page)


async def show(
    request: web.Request,
    template: str,
    context: Mapping[str, object],
    values: Mapping[str, str] = MappingProxyType({}),
) -> web.Response:
    """A page of administrators, with the sentence that an act has left for it, and the values that
    its form begins with."""
    sentence, _ = await told(request)
    return await render(request, template, {"form": Form(values, done=sentence), **context})


@web.middleware
def hidden(request: web.Request, handler: Middle) -> Awaitable[web.StreamResponse]:
    """Below /admin there is nothing for others, whatever they send there: before it is said which
    methods a page has, and before a body is read.

    No coroutine: it would stay for as long as a socket does.
    """
    if f"{site_path(request)}/".startswith("/admin/"):
        _check_administrator(request)
    return handler(request)


def _check_administrator(request: web.Request) -> None:
    session = request.get(SESSION)
    if session is None or not session.administrator:
        raise web.HTTPNotFound


async def _check_sender(request: web.Request, fields: Mapping[str, str]) -> None:
    await check_token(request, fields)
    if request.app[CONFIG].trusted_user_header is not None:
        # There is no password: whom the proxy names at each request is there.
        return
    now = int(time.time())
    if request[SESSION].was_confirmed(now, CONFIRMED_FOR):
        return
    password = fields.get(_PASSWORD)
    if password is None:
        raise Refused(401)
    # Guesses on this device are counted by themselves: strangers cannot use them up.
    identity = request[IDENTITY]
    if await authenticate(request, identity.user, password, identity.session) is None:
        raise Refused(401, fields={_PASSWORD: "That is not your password."})
    await sessions.confirm(request.app[DATABASE], identity.session, now)


async def _confirm_page(request: web.Request, refusal: Refused) -> web.Response:
    fields = await read_form(request)
    context = {
        "form": refusal.form({}),
        "kept": {name: text for name, text in fields.items() if name not in _OF_THE_GATE},
        "minutes": CONFIRMED_FOR // 60,
        "action": site_path(request),
    }
    return await render(
        request,
        "admin_confirm.html",
        context,
        status=refusal.status,
        headers=refusal.headers,
    )
