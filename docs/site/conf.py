"""How `make docs` makes a site of the pages that lie in the checkout, as they are."""

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent.parent

project = "presence_server"
version = re.findall(r'"([\d.]+)"', (ROOT / "presence_server" / "__init__.py").read_text())[0]
author = copyright = "the presence_server authors"
extensions = ["myst_parser"]
include_patterns = ["*.md", "docs/*.md", "examples/README.md", "clients/js/README.md"]
exclude_patterns = [".*", "build", "dist", "mutants", "**/node_modules"]
root_doc = "README"
myst_heading_anchors = 4
html_title = f"presence_server {version}"
html_theme = "alabaster"
html_theme_options = {
    "description": "Who is here",
    "fixed_sidebar": True,
    "page_width": "72rem",
    "body_max_width": "auto",
    "font_family": "system-ui, sans-serif",
    "head_font_family": "system-ui, sans-serif",
}
html_static_path = ["."]
html_css_files = ["site.css"]
html_favicon = "../../static/favicon.svg"
html_show_sphinx = html_copy_source = False

CONTENTS = """

```{toctree}
:hidden:
:caption: In your application

docs/applications
docs/webhooks
docs/protocol
The client for pages <clients/js/README>
Two examples <examples/README>
```

```{toctree}
:hidden:
:caption: Running it

docs/operations
docs/redis
docs/several-machines
docs/security
CHANGELOG
```

```{toctree}
:hidden:
:caption: How it is done

docs/design
docs/faults
docs/benchmarks
docs/beyond-one-machine
CONTRIBUTING
docs/private-parts
Mutants <docs/mutants>
docs/releasing
```
"""


def add_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """What makes the side of each page; on other sites that show the README it has no place."""
    if name == root_doc:
        source[0] += CONTENTS


def add_what_is_not_a_page(app: Sphinx, error: Exception | None) -> None:
    """Pictures that HTML names, and a first page that is found by itself."""
    if error is None:
        shutil.copytree(ROOT / "docs/pictures", app.outdir / "docs/pictures", dirs_exist_ok=True)
        shutil.copy(app.outdir / "README.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_contents)
    app.connect("build-finished", add_what_is_not_a_page)
