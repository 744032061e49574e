"""Times that cannot be misread, wherever one lives; and the server says the same as the script."""

from datetime import datetime
from zoneinfo import ZoneInfo

import jinja2
import pytest
from playwright.async_api import Page

from presence_server.resources import TEMPLATES
from presence_server.web.rendering import initials
from tests.browser.conftest import OpenWindow
from tests.conftest import Serve

pytestmark = pytest.mark.browser

NOW = 1_795_420_800 + 43_210
DAY = 86_400
DAYS = (1, 2, 6, 7, 13, 14, 55, 56, 59, 60, 61, 89, 90, 400, 729, 730, 2000)
AGES = [
    *(-5, 0, 59, 60, 119, 3599, 3600, 18_000, 43_209, 43_211, DAY - 1, 2 * DAY - 1),
    *(days * DAY for days in DAYS),
    *(days * DAY + 50_000 for days in DAYS),
]


async def words(page: Page, script: str, given: object) -> list[str]:
    """What a function of words.js makes of each of these arguments."""
    address = await page.locator('script[src*="/static/"]').first.get_attribute("src")
    assert address is not None
    said: list[str] = await page.evaluate(
        """async ([url, script, given]) => {
            const words = await import(url);
            const say = new Function("words", "given", `return ${script}`);
            return given.map((each) => say(words, each));
        }""",
        ["/".join(address.split("/")[:3]) + "/users/words.js", script, given],
    )
    return said


async def test_the_script_uses_the_words_of_the_server(serve: Serve, window: OpenWindow) -> None:
    alice = await window(await serve(), bypass_csp=True)
    await alice.goto("/log_in/")
    samples = [[NOW - age, NOW] for age in AGES]
    said = await words(alice.page, "words.ago(...given)", samples)
    templates = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True)
    templates.filters["initials"] = initials
    # A macro becomes an attribute that no type knows of.
    ago = templates.get_template("words.html").make_module().ago  # type: ignore[attr-defined]
    assert said == [str(ago(*sample)) for sample in samples]
    assert {"5 h ago", "yesterday", "2 weeks ago", "just now"} <= set(said)
    names = ["alice", "aaron-m", "Ada Lovelace", "Ñandú García Márquez", "李小龍", "x", "_._"]
    faces = await words(alice.page, "words.initials(given)", names)
    assert faces == [initials(name) for name in names]
    assert faces == ["AL", "AM", "AL", "ÑM", "李小", "X", "_."]


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Kolkata", "Pacific/Auckland"])
async def test_times_are_told_by_the_days_and_the_clock_of_the_visitor(
    serve: Serve, window: OpenWindow, zone: str
) -> None:
    there = ZoneInfo(zone)
    alice = await window(await serve(), bypass_csp=True, timezone_id=zone, locale="en-GB")
    await alice.goto("/log_in/")

    def at(month: int, day: int, hour: int, minute: int) -> int:
        return int(datetime(2026, month, day, hour, minute, tzinfo=there).timestamp())

    now = at(11, 26, 10, 30)
    expected = {
        ("online", at(11, 26, 9, 40)): "online since 9:40",
        ("busy", at(11, 26, 0, 0)): "busy since 0:00",
        ("online", at(11, 25, 23, 59)): "online since yesterday, 23:59",
        ("away", now - 1200): "away for 20 min",
        ("away", now - 20): "away just now",
        ("away", now - 26 * 3600): "away for 1 day",
        ("offline", at(11, 26, 8, 5)): "last seen today, 8:05",
        ("offline", at(11, 25, 17, 5)): "last seen yesterday, 17:05",
        ("offline", at(11, 21, 0, 1)): "last seen Saturday, 0:01",
        ("offline", at(11, 19, 23, 59)): "last seen 19 Nov",
        ("offline", None): "offline",
        ("offline", 0): "offline",
        ("busy", 0): "busy",
    }
    script = "Object.values(words.statusWords(...given)).join('')"
    asked = [[status, since, now] for status, since in expected]
    assert await words(alice.page, script, asked) == list(expected.values())
    ends = {
        at(11, 26, 15, 0): "until 15:00",
        at(11, 27, 0, 0): "today",
        at(11, 27, 9, 0): "until tomorrow, 9:00",
        at(11, 30, 9, 0): "until Monday, 9:00",
        at(12, 3, 9, 0): "until 3 Dec",
    }
    asked = [[end, now] for end in ends]
    assert await words(alice.page, "words.untilWords(...given)", asked) == list(ends.values())
