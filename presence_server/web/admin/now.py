"""How the site is at this moment: the first page of administrators."""

from collections.abc import Iterable

from aiohttp import web

from presence_server.accounts import users
from presence_server.keys import DATABASE, PRESENCE, PULSE
from presence_server.nodes.pulse import EVERY, KEPT, Vitals, advice
from presence_server.web.admin.gate import show as show_page

# The size of a small picture, in its own units.
_WIDTH, _HEIGHT = 120, 28
# What a picture reaches at least up to, so that nothing looks like much.
_LEAST = {"sockets": 4, "changes": 1, "delay": 0.25, "lag": 0.25, "database": 0.25}


async def show(request: web.Request) -> web.Response:
    vitals = await request.app[PULSE].all()
    context = {
        "section": "",
        "here": len(request.app[PRESENCE].here),
        "accounts": await users.count(request.app[DATABASE]),
        "connected": sum(each.last.sockets for each in vitals),
        "advice": advice(vitals),
        "processes": [(each, _pictures(each)) for each in vitals],
        "minutes": EVERY * KEPT // 60,
        "width": _WIDTH,
        "height": _HEIGHT,
    }
    return await show_page(request, "admin_now.html", context)


def _pictures(vitals: Vitals) -> dict[str, str]:
    """For each figure the points of its curve."""
    return {
        name: curve((getattr(sample, name) for sample in vitals.samples), least)
        for name, least in _LEAST.items()
    }


def curve(values: Iterable[float], least: float) -> str:
    """As SVG takes points, the newest at the right edge."""
    shown = list(values)
    top, start = max([least, *shown]), KEPT - len(shown)
    step = _WIDTH / (KEPT - 1)
    return " ".join(
        f"{(start + place) * step:.1f},{(1 - value / top) * (_HEIGHT - 2) + 1:.1f}"
        for place, value in enumerate(shown)
    )
