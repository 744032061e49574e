"""What the documentation says about this repository is so."""

import re
from pathlib import Path

from presence_server.resources import ROOT

PACKAGE = ROOT / "presence_server"
SECURITY = (ROOT / "docs" / "security.md").read_text()


def test_every_threat_has_its_row() -> None:
    rows = re.findall(r"^\| (T\d+) \|", SECURITY, re.MULTILINE)
    assert rows == [f"T{number}" for number in range(1, len(rows) + 1)]


def test_every_named_test_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", SECURITY)
    assert len(named) >= 37
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / path).read_text(), re.M)
    ]
    assert missing == []


def test_what_contributors_are_told_to_look_into_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = set(re.findall(r"`([\w/]+(?:/|\.py|\.sql|\.json|\.cfg|\.html|\.yaml))`", text))
    assert len(paths) > 20
    gone = [p for p in paths if not (ROOT / p).exists() and not (PACKAGE / p).exists()]
    assert gone == []
    targets = re.findall(r"make (\w+)", text)
    makefile = (ROOT / "Makefile").read_text()
    assert [t for t in targets if not re.search(rf"^{t}:", makefile, re.MULTILINE)] == []


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    broken = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        if not link.startswith("http") and not _leads_somewhere(page, link)
    ]
    assert broken == []


def _leads_somewhere(page: Path, link: str) -> bool:
    name, _, heading = link.partition("#")
    target = page.parent / name if name else page
    if not target.exists():
        return False
    headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if heading else []
    anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings]
    return not heading or heading in anchors
