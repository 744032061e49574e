"""What is published of a version agrees with itself."""

import configparser
import json
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from presence_server import __version__
from presence_server.resources import ROOT
from testing import release
from tests.test_supply_chain import pins


def declared() -> dict[str, list[Requirement]]:
    """What is installed with a wheel, without any extra ("") and with each."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"].items()
    texts = {"": setup["options"]["install_requires"], **dict(extras)}
    return {name: list(map(Requirement, text.split())) for name, text in texts.items()}


def test_all_name_the_same_version() -> None:
    package = json.loads((ROOT / "clients" / "js" / "package.json").read_text())
    document = json.loads((ROOT / "openapi.json").read_text())
    newest = re.findall(r"^## (\d\S*)", release.changelog(), re.MULTILINE)[0]
    assert {package["version"], document["info"]["version"], newest} == {__version__}


@pytest.mark.parametrize("extra", ["", "postgresql", "valkey"])
def test_what_is_depended_on_has_bounds_that_hold(extra: str) -> None:
    versions = pins("constraints.txt")
    for requirement in declared()[extra]:
        pinned = versions[re.sub(r"[-_.]+", "-", requirement.name).lower()]
        assert requirement.specifier.contains(pinned), requirement
        assert any(bound.operator == "<" for bound in requirement.specifier), requirement


def test_a_tag_that_is_not_of_this_version_is_refused() -> None:
    told = release.wrong_with("v0.9")
    assert told == f"The tag is v0.9, but this is {__version__}: call it v{__version__}."


def test_the_versions_of_python_are_those_that_are_promised() -> None:
    setup = (ROOT / "setup.cfg").read_text()
    assert tuple(re.findall(r":: (3\.\d+)$", setup, re.MULTILINE)) == release.PYTHONS


def test_the_bill_of_materials_says_what_it_is_of_and_what_that_asks_for() -> None:
    names = [requirement.name for requirement in declared()[""]]
    found = release.completed(
        {
            "metadata": {"component": {"bom-ref": "root", "name": "presence-server"}},
            "components": [{"name": name.title(), "bom-ref": name} for name in [*names, "other"]],
            "dependencies": [{"ref": "root"}, {"ref": "other"}],
        }
    )
    assert found["metadata"]["component"]["version"] == __version__
    assert found["dependencies"] == [{"ref": "root", "dependsOn": sorted(names)}, {"ref": "other"}]


def test_the_hashes_are_such_as_sha256sum_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.whl").write_bytes(b"abc")
    monkeypatch.setattr(release, "DIST", tmp_path)
    release.write_hashes()
    assert (tmp_path / "SHA256SUMS").read_text() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a.whl\n"
    )
