"""The server and the script say the same of the same time."""

import jinja2
import pytest

from presence_server.resources import TEMPLATES
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
SAMPLES = [
    (status, then)
    for status in ("online", "away", "offline")
    for then in (*(NOW - age for age in AGES), None)
]


async def test_the_script_uses_the_words_of_the_server(serve: Serve, window: OpenWindow) -> None:
    alice = await window(await serve(), "alice")
    await alice.is_live()
    folder = await alice.page.locator('script[src$="main.js"]').get_attribute("src")
    assert folder is not None
    said = await alice.page.evaluate(
        """async ([url, now, samples]) => {
            const { sinceWords } = await import(url);
            return samples.map(([status, then]) => sinceWords(status, then, now));
        }""",
        [folder.replace("main.js", "words.js"), NOW, SAMPLES],
    )
    templates = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True)
    # A macro becomes an attribute that no type knows of.
    since = templates.get_template("words.html").make_module().since  # type: ignore[attr-defined]
    assert said == [str(since(status, then, NOW)) for status, then in SAMPLES]
    assert {"here for 5 h", "for 5 h", "last seen yesterday", "not seen yet"} <= set(said)
