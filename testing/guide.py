"""The code that stands in a guide, as it stands there."""

import re

from presence_server.resources import ROOT


def code(section: str, language: str, page: str = "applications") -> str:
    """The first block of a language in a section of a page below docs/."""
    guide = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    _, _, text = guide.partition(f"\n## {section}\n")
    found = re.search(rf"^```{language}\n(.*?)^```$", text.partition("\n## ")[0], re.M | re.S)
    assert found is not None, (section, language)
    return found[1]
