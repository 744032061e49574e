"""What the documentation says about this repository is so."""

import re

from presence_server.resources import ROOT

SECURITY = (ROOT / "docs" / "security.md").read_text()


def test_every_threat_has_its_row() -> None:
    rows = re.findall(r"^\| (T\d+) \|", SECURITY, re.MULTILINE)
    assert rows == [f"T{number}" for number in range(1, 38)]


def test_every_named_test_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", SECURITY)
    assert len(named) >= 37
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / path).read_text(), re.M)
    ]
    assert missing == []
