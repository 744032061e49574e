"""What an administrator types about an app, and what it must be."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from aiohttp import web

from presence_server.apps import tokens
from presence_server.apps.permissions import is_pattern
from presence_server.apps.register import App, AppSettings
from presence_server.apps.settings import read_grace, read_origin, read_visits, read_webhook
from presence_server.web.forms import Refused, read_form

T = TypeVar("T")

SETTINGS = ("origins", "webhook", "grace", "visits")
CLAIMS = ("user", "room", "permission")


def said(app: App) -> dict[str, str]:
    """What the form begins with."""
    settings = app.settings
    return {
        "origins": "\n".join(settings.origins),
        "webhook": settings.webhook or "",
        "grace": "" if settings.grace is None else f"{settings.grace:g}",
        "visits": str(settings.visits),
    }


async def typed_in(request: web.Request, names: tuple[str, ...]) -> dict[str, str]:
    fields = await read_form(request)
    return {name: fields.get(name, "").strip() for name in names}


def read_settings(typed: Mapping[str, str]) -> AppSettings:
    """Raises Refused."""
    return AppSettings(
        origins=read_field(typed, "origins", _read_origins),
        webhook=read_field(typed, "webhook", read_webhook) if typed["webhook"] else None,
        grace=read_field(typed, "grace", read_grace) if typed["grace"] else None,
        visits=read_field(typed, "visits", read_visits) if typed["visits"] else 0,
    )


def read_field(typed: Mapping[str, str], name: str, read: Callable[[str], T]) -> T:
    try:
        return read(typed[name])
    except ValueError as problem:
        raise Refused(400, fields={name: f"This must be {problem}."}) from None


def _read_origins(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(read_origin, text.split())))


def read_pattern(text: str) -> str:
    if not is_pattern(text):
        raise ValueError("a room, or the beginning of names followed by *")
    return text


def read_user(text: str) -> str:
    if problem := tokens.user_problem(text):
        raise ValueError(f"1 to 128 printable characters, not {problem}")
    return text
