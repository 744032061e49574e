"""Pages from templates."""

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import aiohttp_jinja2
import jinja2
from aiohttp import web

from presence_server.config import Config
from presence_server.keys import IDENTITY, PRESENCE, SESSION
from presence_server.presence.records import OWN
from presence_server.web.cookies import csrf_token, device_proof
from presence_server.web.static_files import StaticFiles
from presence_server.web.turnstile import TURNSTILE

_ROWS_KEPT = 1_000


def set_up_templates(
    app: web.Application, folder: Path, static: StaticFiles, config: Config
) -> None:
    environment = aiohttp_jinja2.setup(
        app,
        # Read once like the static files, or an upgrade would change the pages of a server that
        # still runs.
        loader=jinja2.DictLoader(
            {path.name: path.read_text("utf-8") for path in folder.glob("*.html")}
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Before every address of the site.
    environment.globals["base"] = config.base_path
    # Who asks for the same on a page that was loaded anew presses no button twice.
    environment.globals["form_id"] = lambda: secrets.token_hex(8)
    environment.globals["site_name"] = config.site_name
    # What the site lets people do, and says of them.
    environment.globals["away_after"] = config.away_after
    environment.globals["may_be_invisible"] = config.invisible == "everybody"
    environment.globals["site_hides_last_seen"] = config.hide_last_seen
    environment.globals["single_sign_on"] = config.trusted_user_header is not None
    environment.filters["initials"] = initials
    environment.filters["utc"] = lambda second: _utc(second).strftime("%Y-%m-%dT%H:%M:%SZ")
    environment.filters["exactly"] = lambda second: _utc(second).strftime("%Y-%m-%d %H:%M UTC")
    environment.globals["static"] = static.url
    environment.globals["static_urls"] = static.urls
    # With many here nearly all who come see the same rows at first.
    person = vars(environment.get_template("person.html").module)["person"]
    environment.globals["row"] = lru_cache(_ROWS_KEPT)(person)


def initials(name: str) -> str:
    """Two letters for a face; the same as in static/users/words.js."""
    words = [word for word in re.split(r"[\s._-]+", name) if word]
    letters = words[0][0] + words[-1][0] if len(words) > 1 else name[:2]
    return letters.upper()


def _utc(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


async def render(
    request: web.Request,
    template: str,
    context: Mapping[str, object],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A page for this visitor: every template also gets the identity, whether that is an
    administrator, how they are shown, the forms' token, the device's proof and the time.

    Without log-in only a page with a form costs a cookie. Whoever looks at a page is here.
    """
    if IDENTITY in request:
        request.app[PRESENCE].claim(OWN, request[IDENTITY].who)
    session = request.get(SESSION)
    needs_token = IDENTITY in request or "form" in context
    token = await csrf_token(request) if needs_token else ""
    await request.app[TURNSTILE].go_on()
    response = aiohttp_jinja2.render_template(
        template,
        request,
        {
            "identity": request.get(IDENTITY),
            "administrator": session is not None and session.administrator == 1,
            "own": _own(request),
            "csrf_token": token,
            "device_proof": await device_proof(request) if IDENTITY in request else "",
            "now": int(time.time()),
            **context,
        },
        status=status,
    )
    response.headers.update(headers or {})
    return response


@dataclass(frozen=True, slots=True)
class Own:
    """How one is shown, and what one has chosen oneself: `online` for nothing.

    Whoever is invisible is told so, here and nowhere else.
    """

    status: str
    choice: str


def _own(request: web.Request) -> Own | None:
    if IDENTITY not in request:
        return None
    presence, username = request.app[PRESENCE], request[IDENTITY].user
    person, choice = presence.status_of(username), presence.room.choice_of(username)
    chosen = choice.status if choice is not None and choice.status else "online"
    if chosen == "invisible" or person is None:
        return Own(chosen, chosen)
    return Own(person.status, chosen)
