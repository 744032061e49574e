"""Reading and answering forms: whatever bytes come, the answer is a 4xx, never a 500."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from unicodedata import normalize
from urllib.parse import parse_qsl

from aiohttp import web

from presence_server.storage.database import DatabaseUnavailable
from presence_server.accounts.queues import PasswordsBusy
from presence_server.web.bodies import is_utf8, read_body
from presence_server.web.cookies import cookie_problem, csrf_ok

TOO_OLD = "This page had become too old. Please try again."

_MAX_FIELDS = 20
_FIELDS = web.RequestKey("FIELDS", dict)


@dataclass(slots=True)
class Form:
    """What a template shows: what was typed (never a password), what is wrong with it, and what
    went well just before."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    done: str | None = None


class Refused(Exception):
    """A form that was not accepted: the status, and sentences for the form or for its fields."""

    def __init__(
        self,
        status: int,
        error: str | None = None,
        *,
        fields: Mapping[str, str | None] | None = None,
        retry_after: float = 0,
    ) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = error
        self.errors = {name: text for name, text in (fields or {}).items() if text}
        self.headers = {"Retry-After": str(math.ceil(retry_after))} if retry_after else {}

    def form(self, values: Mapping[str, str]) -> Form:
        return Form(values, self.errors, self.error)


@contextmanager
def trouble_is_told() -> Iterator[None]:
    """What is nobody's fault becomes a sentence above the form, which keeps what was typed."""
    try:
        yield
    except PasswordsBusy as busy:
        sentence = "The site is very busy. Please try again in a moment."
        raise Refused(503, sentence, retry_after=2) from busy
    except DatabaseUnavailable as unavailable:
        sentence = "This cannot be saved right now. Please try again in a moment."
        raise Refused(503, sentence, retry_after=5) from unavailable


def repetition_problem(fields: Mapping[str, str]) -> str | None:
    # A phone's keyboard may compose letters, and what fills in passwords may not.
    typed = {normalize("NFC", fields.get(name, "")) for name in ("password1", "password2")}
    return None if len(typed) == 1 else "The two passwords are not the same."


def too_often(wait: float) -> Refused:
    seconds = math.ceil(wait)
    span = "a second" if seconds == 1 else f"{seconds} seconds"
    sentence = f"Too many attempts. Please try again in {span}."
    return Refused(429, sentence, retry_after=seconds)


async def check_token(request: web.Request, fields: Mapping[str, str]) -> None:
    if not await csrf_ok(request, fields.get("csrf_token", "")):
        raise Refused(403, cookie_problem(request) or TOO_OLD)


def typed_name(fields: Mapping[str, str]) -> str:
    """Without the blank that a phone's keyboard puts behind every word."""
    return fields.get("username", "").strip()


async def read_form(request: web.Request) -> dict[str, str]:
    """The fields of an urlencoded UTF-8 body; a second call gives the same.

    aiohttp's own request.post() answers bad bodies with a 500, takes other charsets and multipart
    files, keeps the last of several same-named fields, and waits for a body without end.
    """
    if _FIELDS not in request:
        request[_FIELDS] = await _read_fields(request) if request.body_exists else {}
    return request[_FIELDS]


async def _read_fields(request: web.Request) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType()
    if not is_utf8(request):
        raise web.HTTPUnsupportedMediaType()
    try:
        pairs = parse_qsl(
            (await read_body(request)).decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError as error:
        raise web.HTTPBadRequest() from error
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise web.HTTPBadRequest()
    return fields
