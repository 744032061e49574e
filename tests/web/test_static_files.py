import json
import mimetypes
import re

import pytest

from presence_server.resources import CLIENT_FILES, STATIC
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


async def test_the_site_can_be_installed(serve: Serve, visit: Visit) -> None:
    for base in ("", "/people"):
        visitor = await visit(await serve(public_url=f"http://example.com{base}" if base else None))
        host = {"Host": "example.com"}
        page = await visitor.get(f"{base}/log_in/", headers=host)
        assert f'<link rel="manifest" href="{base}/manifest.webmanifest">' in page.text
        answer = await visitor.get(f"{base}/manifest.webmanifest", headers=host)
        assert answer.headers["Content-Type"].startswith("application/manifest+json")
        manifest = json.loads(answer.text)
        assert (manifest["name"], manifest["start_url"]) == ("Presence", f"{base}/")
        assert [icon["sizes"] for icon in manifest["icons"]] == ["192x192", "512x512"]
        for icon in manifest["icons"]:
            drawn = await visitor.get(icon["src"], headers=host)
            assert (drawn.status, drawn.headers["Content-Type"]) == (200, "image/png")


async def test_the_client_is_for_pages_of_any_origin(serve: Serve, visit: Visit) -> None:
    for base in ("", "/people"):
        visitor = await visit(await serve(public_url=f"http://example.com{base}" if base else None))
        for file in CLIENT_FILES:
            at = f"{base}/client/v1/{file.name}"
            answer = await visitor.get(at, headers={"Host": "example.com"})
            assert (answer.status, answer.text) == (200, file.read_text("utf-8"))
        for name, value in {
            "Access-Control-Allow-Origin": "*",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "X-Content-Type-Options": "nosniff",
            "Content-Type": "text/javascript; charset=utf-8",
            "Cache-Control": "public, max-age=3600",
        }.items():
            assert answer.headers[name] == value
        again = {"If-None-Match": answer.headers["ETag"], "Host": "example.com"}
        same = await visitor.get(at, headers=again)
        assert (same.status, same.text) == (304, "")
        assert same.headers["Access-Control-Allow-Origin"] == "*"
