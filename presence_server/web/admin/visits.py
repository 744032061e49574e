"""Visits: who was here at a time, a day as a picture, one person's history, all of it as a table.

Days and times are those of UTC: the server knows no others.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from aiohttp import web

from presence_server.apps.permissions import is_room
from presence_server.apps.register import App
from presence_server.csv_text import csv_rows
from presence_server.keys import APPS, CONFIG, DATABASE
from presence_server.presence.names import key_of
from presence_server.presence.records import OWN
from presence_server.presence.visits import Visit
from presence_server.visits import written
from presence_server.visits.written import Asked, Kept
from presence_server.web.admin.gate import record, show as show_page
from presence_server.web.admin.tables import begin_table

_DAY = 24 * 60 * 60
# What a page shows; a table has all.
_MOST, _PEOPLE = 5_000, 200
# A point of the curve each ten minutes.
_STEP = 600
# Minutes that are as wide on a phone as what can be seen.
_LEAST = 6.0


class Place(NamedTuple):
    """A room, the days for which its visits are kept, and how an address names it."""

    app: App | None
    room: str
    key: str
    kept: int


class Row(NamedTuple):
    """A person's day: from where to where they were here, in minutes, and in words."""

    user: str
    bars: list[tuple[float, float]]
    words: str


async def show(request: web.Request) -> web.Response:
    place, query = _place(request), request.query
    day = _day(query.get("day", ""))
    moment = _moment(day, query.get("time", ""))
    context: dict[str, object] = {
        "section": "visits",
        "place": place,
        "apps": [app for app in request.app[APPS].all() if app.settings.visits],
        "day": day,
        "time": query.get("time", "") if moment is not None else "",
        "user": None,
    }
    if user := _user(request):
        context |= await _history(request, place, user)
    elif moment is not None:
        context |= await _at(request, place, moment)
    else:
        context |= await _picture(request, place, day)
    return await show_page(request, "admin_visits.html", context)


async def _at(request: web.Request, place: Place, moment: int) -> dict[str, object]:
    asked = Asked(place.key, begin=moment, end=moment)
    found = await _find(request, place, asked, _MOST)
    there = (kept.visit for kept in found)
    here = {visit.user for visit in there if visit.left is None or visit.left > moment}
    people = sorted(here, key=str.lower)
    return {"moment": moment, "people": people, "cut": len(found) == _MOST}


async def _history(request: web.Request, place: Place, user: str) -> dict[str, object]:
    asked = Asked(place.key, user=user)
    found = await _find(request, place, asked, _PEOPLE, newest_first=True)
    return {"user": user, "history": [kept.visit for kept in found]}


async def _find(
    request: web.Request, place: Place, asked: Asked, limit: int, *, newest_first: bool = False
) -> list[Kept]:
    """None from when they were still kept, which may not all be deleted yet."""
    if not place.kept:
        return []
    return await written.find(request.app[DATABASE], asked, limit, newest_first=newest_first)


async def _picture(request: web.Request, place: Place, day: date) -> dict[str, object]:
    begin = _second(day)
    asked = Asked(place.key, begin=begin, end=begin + _DAY - 1)
    until = min(begin + _DAY, int(datetime.now(UTC).timestamp()))
    # Of days to come nothing is known, also of those who are here.
    kept = await _find(request, place, asked, _MOST) if begin < until else []
    found = [each.visit for each in kept]
    stays: dict[str, list[tuple[int, int]]] = {}
    for visit in found:
        stays.setdefault(visit.user, []).append(_within(visit, begin, until))
    people = sorted(stays, key=str.lower)
    numbers = _numbers([stay for each in stays.values() for stay in each], begin)
    most = max(numbers, default=0)
    return {
        "rows": [_row(user, stays[user], begin) for user in people[:_PEOPLE]],
        "more": len(people) - min(len(people), _PEOPLE),
        "most": most,
        "curve": _curve(numbers, max(most, 1)),
        "cut": len(found) == _MOST,
        "before": day - timedelta(days=1),
        "after": day + timedelta(days=1),
    }


def _within(visit: Visit, begin: int, until: int) -> tuple[int, int]:
    came = max(visit.came, begin)
    return came, max(came, until if visit.left is None else min(visit.left, until))


def _row(user: str, stays: Sequence[tuple[int, int]], begin: int) -> Row:
    bars = [_bar((came - begin) / 60, (left - came) / 60) for came, left in stays]
    words = ", ".join(f"{_clock(came)} to {_clock(left)}" for came, left in stays)
    return Row(user, bars, words)


def _bar(begin: float, minutes: float) -> tuple[float, float]:
    """Also a moment can be seen, and the last one of the day."""
    shown = max(minutes, _LEAST)
    return min(begin, _DAY / 60 - shown), shown


def _numbers(stays: Sequence[tuple[int, int]], begin: int) -> list[int]:
    """How many were here at once, at most, in each part of the day."""
    most = [0] * (_DAY // _STEP)
    here = before = 0
    for second, change in _comings_and_goings(stays, begin):
        for part in range(before // _STEP, min(-(-second // _STEP), len(most))):
            most[part] = max(most[part], here)
        here, before = here + change, second
    return most


def _comings_and_goings(stays: Sequence[tuple[int, int]], begin: int) -> list[tuple[int, int]]:
    """In their order; who came and left in the same second was here for it."""
    comings = [(came - begin, 1) for came, _ in stays]
    return sorted(comings + [(max(left, came + 1) - begin, -1) for came, left in stays])


def _curve(numbers: Sequence[int], most: int) -> str:
    """As SVG takes points, a unit a minute, a hundred high."""
    step = _STEP / 60
    heights = [100 - 100 * number / most for number in numbers]
    corners = ((at, height) for n, height in enumerate(heights) for at in (n, n + 1))
    return " ".join(f"{at * step:.0f},{height:.1f}" for at, height in corners)


async def export(request: web.Request) -> web.StreamResponse:
    """The visits of a day, or of a person, as CSV."""
    place, user = _place(request), _user(request)
    begin = _second(_day(request.query.get("day", "")))
    asked = Asked(place.key, user=user) if user else Asked(place.key, begin, begin + _DAY - 1)
    await record(request, "exported visits of", user or (place.app.name if place.app else ""))
    response = await begin_table(request, "visits.csv", ("user", "came", "left"))
    if place.kept:
        async for some in written.batches(request.app[DATABASE], asked):
            await response.write(csv_rows(map(_exported, some)))
    await response.write_eof()
    return response


def _exported(visit: Visit) -> tuple[str, str, str]:
    return visit.user, _written(visit.came), "" if visit.left is None else _written(visit.left)


def _place(request: web.Request) -> Place:
    name, room = request.query.get("app", ""), request.query.get("room", "")
    if not name:
        return Place(None, "", OWN, request.app[CONFIG].visits)
    app = request.app[APPS].named(name)
    if app is None or not is_room(room):
        raise web.HTTPNotFound
    return Place(app, room, key_of(app.id, room), app.settings.visits)


def _user(request: web.Request) -> str | None:
    """Not everybody: who can be asked for. Some databases take no NUL."""
    text = request.query.get("user", "")
    return text if text and text.isprintable() else None


def _day(text: str) -> date:
    try:
        # The days before and after it are shown, too.
        day = date.fromisoformat(text)
        return day if 1970 < day.year < 9999 else _today()
    except ValueError:
        return _today()


def _today() -> date:
    return datetime.now(UTC).date()


def _moment(day: date, text: str) -> int | None:
    try:
        clock = time.fromisoformat(text)
    except ValueError:
        return None
    return _second(day) + clock.hour * 3600 + clock.minute * 60 + clock.second


def _second(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())


def _clock(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%H:%M")


def _written(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")
