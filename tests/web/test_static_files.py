import mimetypes
import re

import pytest

from presence_server.resources import STATIC
from tests.conftest import Serve, Visit


async def test_files_that_pages_link_to_are_kept_for_ever(serve: Serve, visit: Visit) -> None:
    visitor = await visit(await serve(), "alice")
    pages = [(await visitor.get(path)).text for path in ("/", "/account/", "/log_in/")]
    urls = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', "".join(pages)))
    assert len(urls) > 3
    for url in urls:
        answer = await visitor.get(url)
        assert answer.status == 200, url
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        again = await visitor.get(url, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status, again.text) == (304, "")


async def test_a_file_under_another_version_is_not_kept(serve: Serve, visit: Visit) -> None:
    visitor = await visit(await serve())
    answer = await visitor.get("/static/of-yesterday/presence.css")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-cache")
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"


async def test_pages_hold_no_script_or_style_of_their_own(serve: Serve, visit: Visit) -> None:
    visitor = await visit(await serve(), "alice")
    for path in ("/", "/account/", "/log_in/", "/sign_up/", "/nothing"):
        text = (await visitor.get(path)).text
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|https?://", text), path
        assert not re.search(r"<script(?![^>]* src=\"/static/)", text), path


async def test_types_are_ours_whatever_the_table_of_the_machine_says(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mimetypes, "guess_type", lambda name: ("text/plain", None))
    visitor = await visit(await serve())
    types = {
        path.suffix: (await visitor.get(f"/static/x/{path.relative_to(STATIC)}")).headers[
            "Content-Type"
        ]
        for path in STATIC.rglob("*.*")
    }
    assert types[".js"] == "text/javascript; charset=utf-8"
    assert types[".svg"] == "image/svg+xml; charset=utf-8"
    assert "application/octet-stream" not in types.values(), types


async def test_the_icon_is_found_by_its_oldest_name(serve: Serve, visit: Visit) -> None:
    visitor = await visit(await serve())
    found = await visitor.get((await visitor.get("/favicon.ico")).location or "")
    assert found.headers["Content-Type"].startswith("image/")
