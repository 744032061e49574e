"""What others made is installed as it was seen, or not at all."""

import re
import shutil
import subprocess
import tomllib

import pytest

from presence_server.resources import ROOT

_PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    found = _PIN.findall((ROOT / name).read_text())
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}


@pytest.mark.parametrize(
    "name", sorted(file.name for file in ROOT.glob("requirements*.txt"))
)
def test_what_is_installed_is_pinned_and_has_hashes(name: str) -> None:
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
    entries = text.replace("\\\n", " ").splitlines()
    assert len(entries) > 20
    for entry in entries:
        assert re.match(r"\S+==\S+( ;[^-]+)?( +--hash=sha256:[0-9a-f]{64})+$", entry), entry[:80]


def test_all_say_the_same_versions() -> None:
    versions = pins("constraints.txt")
    assert pins("requirements-test.txt") == versions
    assert pins("requirements.txt").items() <= versions.items()
    for tools in ("mutants", "docs", "release"):
        others = pins(f"requirements-{tools}.txt")
        shared = others.keys() & versions.keys()
        assert {name: others[name] for name in shared}.items() <= versions.items()


def test_the_build_backend_is_pinned_too() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        (backend,) = tomllib.load(file)["build-system"]["requires"]
    assert backend == f"setuptools=={pins('requirements.txt')['setuptools']}"


def test_no_version_has_a_known_hole() -> None:
    audit = shutil.which("pip-audit")
    if audit is None:
        pytest.skip("pip-audit is not installed: it asks for known holes over the network")
    command = [audit, "--require-hashes", "-r", str(ROOT / "requirements.txt")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
