"""The client for pages: its own tests, its size, its types, and what the package holds."""

import gzip
import json
import re
import subprocess
from pathlib import Path

import pytest

from presence_server.resources import ROOT
from testing.install_node_packages import FOLDER

CLIENT = ROOT / "clients" / "js"
SOURCE = (CLIENT / "presence.js").read_text("utf-8")
README = (CLIENT / "README.md").read_text("utf-8")
SIZE = 13.5 * 1024
BUNDLED = ("--bundle", "--format=esm", "--minify-syntax", "--log-level=warning")
HOLDS = {"LICENSE", "README.md", "large.js", "package.json", "presence.d.ts", "presence.js"}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=110
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_its_own_tests(node: str) -> None:
    tests = sorted((CLIENT / "test").glob("*.test.js"))
    assert len(tests) > 3
    assert re.search(r"^# skipped 0$", run(node, "--test", *tests, cwd=CLIENT), re.MULTILINE)


def test_it_is_small() -> None:
    assert len(gzip.compress(SOURCE.encode(), 9, mtime=0)) < SIZE
    assert len(gzip.compress((CLIENT / "large.js").read_bytes(), 9, mtime=0)) < 2 * 1024


def test_the_license_is_ours() -> None:
    assert (CLIENT / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.slow
def test_the_package_is_just_this_and_works_from_a_project(node: str, tmp_path: Path) -> None:
    (packed,) = json.loads(run("npm", "pack", "--json", "--pack-destination", tmp_path, cwd=CLIENT))
    assert {file["path"] for file in packed["files"]} == HOLDS
    project = tmp_path / "project"
    project.mkdir()
    (project / "package.json").write_text('{"private": true, "type": "module"}')
    quiet = ("--offline", "--no-audit", "--no-fund", "--ignore-scripts")
    run("npm", "install", *quiet, tmp_path / packed["filename"], cwd=project)
    script = 'console.log(Object.keys(await import("presence-server-client")).join())'
    names = run(node, "--input-type=module", "--eval", script, cwd=project).strip()
    assert names == "Presence,Room,TokenError,tokenFetcher"
    check_types(project)
    check_bundle(node, project)


def check_bundle(node: str, project: Path) -> None:
    """Of whoever imports it for its elements only, a bundler drops nothing that it needs."""
    (project / "page.js").write_text('import "presence-server-client";\n')
    (project / "bot.js").write_text(
        'import { Presence } from "presence-server-client";\nconsole.log(Presence.name);\n'
    )
    esbuild = FOLDER / "node_modules" / ".bin" / "esbuild"
    run(esbuild, "page.js", "bot.js", *BUNDLED, "--outdir=out", cwd=project)
    assert "presence-dot" in (project / "out" / "page.js").read_text("utf-8")
    assert run(node, "out/bot.js", cwd=project) == "Presence\n"


def check_types(project: Path) -> None:
    """What the types say and what the code has are the same, and are used as the README says."""
    (project / "use.ts").write_text((CLIENT / "test" / "types.ts").read_text())
    strict = ("--strict", "--noEmit", "--module", "nodenext", "--target", "es2022")
    libraries = ("--types", "", "--lib", "es2022,dom,dom.iterable", "use.ts")
    run(FOLDER / "node_modules" / ".bin" / "tsc", *strict, *libraries, cwd=project)


def test_types_name_what_the_code_has(node: str) -> None:
    script = """
        import * as client from "./presence.js";
        const members = ({ prototype }) => Object.getOwnPropertyNames(prototype);
        const { Presence, Room } = client;
        console.log(JSON.stringify(
            { exports: Object.keys(client), Presence: members(Presence), Room: members(Room) }));
    """
    has = json.loads(run(node, "--input-type=module", "--eval", script, cwd=CLIENT))
    types = (CLIENT / "presence.d.ts").read_text("utf-8")
    assert set(re.findall(r"^export (?:class|function) (\w+)", types, re.MULTILINE)) == set(
        has["exports"]
    )
    for name in ("Presence", "Room"):
        (body,) = re.findall(rf"^export class {name} .*?^}}", types, re.MULTILINE | re.DOTALL)
        said = set(re.findall(r"^  (?:private |readonly )?(\w+)[(:]", body, re.MULTILINE))
        # Inherited, and fields.
        assert said - {"addEventListener", "choice", "counts", "name"} == set(has[name])


def test_the_readme_names_every_attribute_part_and_variable() -> None:
    attributes = set(re.findall(r'"([\w-]+)"', re.findall(r"observedAttributes = (.*)", SOURCE)[0]))
    variables = set(re.findall(r"var\((--presence-\w+)", SOURCE))
    made = " ".join(re.findall(r'make\("\w+", "([\w ]+)"', SOURCE)).split()
    parts = set(made) - {"unseen", "faces"}
    for names in (attributes, variables, parts):
        assert len(names) > 2
        assert {name for name in names if f"`{name}`" not in README} == set()
