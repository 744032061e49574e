"""Every command that stands in the docs is run by a test, or there is a reason why not."""

import re
import shlex
from pathlib import Path

import pytest

from presence_server import cli
from presence_server.resources import ROOT

PROGRAMS = (
    "ACL|apt-get|createdb|createuser|curl|git|make|npm|pip|podman|presence-server|python|python3|"
    r"sha256sum|twine|uv|websocat|\.venv/bin/\S+"
)
COMMAND = re.compile(rf"(?:\w+=\S+ )*(?:{PROGRAMS}) .+")

# Where they are run as they stand there.
RUN_BY_OTHERS = {"README.md", "CONTRIBUTING.md", "docs/operations.md"}
# By how they begin.
NOT_RUN = {
    "apt-get install": "by `make fresh`, which has what it names and nothing else",
    ".venv/bin/python -m presence_server": "the same from a checkout",
    ".venv/bin/presence-server": "the same from a checkout",
    ".venv/bin/python backend.py": "by tests/api/test_guide.py",
    ".venv/bin/python manage.py": "by tests of the examples",
    ".venv/bin/pip install": "by the Makefile, with hashes; tests have what it names",
    "python3 -m venv .venv": "by the Makefile",
    ".venv/bin/mutmut": "hours later: it shows what `make mutants` found",
    "git tag": "of whoever releases",
    "sha256sum --check": "of whoever has downloaded a release",
    "twine upload": "publishes",
    "npm publish": "publishes",
    "npm pack": "by tests/client/test_package.py, with other flags",
    "npm install": "by the Makefile, with other flags: `make node`",
    "npm start": "by tests of the examples",
    "podman pull": "of whoever releases",
    "podman inspect": "of whoever releases",
    "twine check": "by tests/test_install.py",
    "pip install": "without hashes, which no test does; `make release` does it with the wheel",
    "createuser": "of the server of somebody else",
    "createdb": "of the server of somebody else",
    "presence-server database copy": "by tests/storage, between databases that exist",
    "presence-server backup": "by tests/operations/test_guide.py",
    "ACL SETUSER": "at the server of somebody else; tests/relay has the same permissions",
    "websocat": "another program; the same is done by every test of sockets",
    "curl -H": "against a site that does not exist; tests/api asks the same",
}


def commands() -> dict[str, list[str]]:
    """By page: those in blocks, and those between words."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples/README.md"]
    pages += sorted((ROOT / "docs").glob("*.md"))
    return {str(page.relative_to(ROOT)): list(_of(page.read_text())) for page in pages}


def _of(text: str) -> list[str]:
    blocks = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines = blocks + re.findall(r"^ {4,}(\S.*)$", rest, re.MULTILINE)
    lines += re.findall(r"`([^`\n]+)`", rest)
    return [line.partition("  #")[0].strip() for line in lines if COMMAND.fullmatch(line)]


def test_no_command_is_left_out() -> None:
    found = commands()
    assert sum(map(len, found.values())) > 60
    left = {
        command
        for page, of_page in found.items()
        if page not in RUN_BY_OTHERS
        for command in of_page
        if not command.startswith(tuple(NOT_RUN))
        and not re.match(r"(\w+=\S+ )?make ", command)
        and not command.startswith(("presence-server ", "python -m "))
    }
    assert left == set()
    everything = [command for of_page in found.values() for command in of_page]
    unneeded = [begin for begin in NOT_RUN if not any(c.startswith(begin) for c in everything)]
    assert unneeded == []


def test_what_make_is_told_to_do_it_can_do() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([\w-]+):", makefile, re.MULTILINE)
    told = {word for of_page in commands().values() for c in of_page for word in _goal(c)}
    assert len(told) > 15
    assert told <= set(targets)


def _goal(command: str) -> list[str]:
    return re.findall(r"^(?:\w+=\S+ )?make ([\w-]+)", command)


def test_the_modules_are_there() -> None:
    every = " ".join(command for of_page in commands().values() for command in of_page)
    modules = set(re.findall(r"python -m ((?:benchmarks|drill|testing|tests)\.?[\w.]*)", every))
    assert modules
    for module in modules:
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module


def test_the_commands_about_apps_and_visits_do_what_the_pages_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of the pages: what one makes, the next one shows."""
    monkeypatch.chdir(tmp_path)
    found = commands()
    pages = ("docs/applications.md", "docs/webhooks.md")
    told = [c.partition(" > ")[0] for page in pages for c in found[page]]
    told = [c.removeprefix(".venv/bin/") for c in told]
    told = [c for c in told if re.match(r"presence-server (app|visits) \S", c + " ")]
    assert len(told) > 8
    for command in dict.fromkeys(told):
        assert cli.main(shlex.split(command)[1:]) == 0, capsys.readouterr().err
    assert cli.main(["app", "list"]) == 0
    assert {"demo", "wiki"} <= set(capsys.readouterr().out.split())
