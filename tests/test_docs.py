"""What the documentation says about this repository is so."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from presence_server.config import Config
from presence_server.resources import ROOT
from presence_server.settings import SETTINGS

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
    paths = set(re.findall(r"`([\w/-]+(?:/|\.(?:py|sql|json|cfg|html|yaml|css|js|d\.ts)))`", text))
    assert len(paths) > 20
    gone = [p for p in paths if not (ROOT / p).exists() and not (PACKAGE / p).exists()]
    assert gone == []
    targets = re.findall(r"make (\w+)", text)
    makefile = (ROOT / "Makefile").read_text()
    assert [t for t in targets if not re.search(rf"^{t}:", makefile, re.MULTILINE)] == []


def test_settings_have_the_defaults_that_the_tables_name() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `(--[\w-]+)` \(`(\w+)`\) \| (.+?) \|", text, re.MULTILINE)
    assert len(rows) >= 15
    settings = {setting.flag: setting for setting in SETTINGS}
    for flag, variable, default in rows:
        assert variable == settings[flag].variable
        assert default.strip("`") == in_words(getattr(Config(), settings[flag].field)), flag


def in_words(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_map_of_the_house_shows_every_file_in_its_room() -> None:
    scripts = [*(ROOT / "static").rglob("*.js"), *(ROOT / "clients" / "js").glob("*.js")]
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (*PACKAGE.rglob("*.py"), *scripts)
        if path.name != "__init__.py" or has_code(path)
    }
    folders = {
        path.parent.relative_to(ROOT).as_posix() + "/"
        for pattern in ("*/__init__.py", "tests/*/__init__.py", "benchmarks/*/__init__.py")
        for path in ROOT.glob(pattern)
    }
    shown = set(on_the_map())
    files = {path for path in shown if not path.endswith("/")}
    assert (there - files, files - there) == (set(), set())
    assert folders - shown == set()
    assert [path for path in shown - files if not (ROOT / path).is_dir()] == []


def has_code(path: Path) -> bool:
    """Beyond the sentence that says what its folder is for."""
    return len(ast.parse(path.read_text()).body) > 1


def on_the_map() -> Iterator[str]:
    """Every file and folder, each by the rooms in whose lines it stands."""
    text = (ROOT / "docs" / "design.md").read_text()
    house = text.partition("## The house\n\n```\n")[2].partition("```")[0]
    rooms: list[tuple[int, str]] = []
    for line in house.splitlines():
        indent = len(line) - len(line.lstrip())
        while rooms and rooms[-1][0] >= indent:
            rooms.pop()
        outside = "".join(name for _, name in rooms)
        if room := re.match(r" *((?:[\w/]+/(?:, )?)+)(?: |$)", line):
            names = room[1].split(", ")
            yield from (outside + name for name in names)
            rooms.append((indent, names[-1]))
        here = "".join(name for _, name in rooms)
        for path in re.findall(r"[\w/]+\.(?:py|js)\b", line):
            yield rooms[0][1] + path if "/" in path else here + path


@pytest.mark.slow
def test_the_site_is_made_and_every_link_between_pages_leads_somewhere(tmp_path: Path) -> None:
    python = Path(sys.prefix) / "docs" / "bin" / "python"
    if not python.exists() and "CI" not in os.environ:
        pytest.skip("There is no Sphinx: make docs installs it.")
    told = subprocess.run(
        ["make", "-C", ROOT, "-n", "docs"], capture_output=True, text=True, check=True
    ).stdout
    (command,) = re.findall(r"-m sphinx (.*?) -d build", told.replace("\\\n", " "))
    done = subprocess.run(
        [python, "-m", "sphinx", *command.split(), ".", tmp_path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "webhooks" in (tmp_path / "searchindex.js").read_text()
    pages = [page.read_text() for page in tmp_path.rglob("*.html")]
    assert len(pages) > 18
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= {
        f"{page.stem}.md" for page in (tmp_path / "docs").iterdir()
    }
    loaded = re.findall(r'(?:src|srcset|<link[^>]* href)="([^"]+)"', "".join(pages))
    assert [address for address in loaded if "//" in address] == []
