"""The code that stands in a guide, as it stands there."""

import re

from presence_server.resources import ROOT


def code(section: str, language: str) -> str:
    """The first block of a language in a section of docs/applications.md."""
    guide = (ROOT / "docs" / "applications.md").read_text("utf-8")
    _, _, text = guide.partition(f"\n## {section}\n")
    found = re.search(rf"^```{language}\n(.*?)^```$", text.partition("\n## ")[0], re.M | re.S)
    assert found is not None, (section, language)
    return found[1]
