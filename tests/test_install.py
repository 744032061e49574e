"""What people install is whole: pages, static files and the schema come along."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from presence_server.resources import ROOT
from testing.installed import bare_environment, serves

NOT_SOURCE = (".*", "build", "dist", "*.egg-info", "__pycache__", "*.sqlite3*")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout: builds leave their traces in the tree."""
    tree = tmp_path_factory.mktemp("source") / "tree"
    return shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*NOT_SOURCE))


def run(*command: str | Path) -> str:
    done = subprocess.run(
        command, env=bare_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def carried() -> Iterator[str]:
    """The files that have to come along, by their path in the wheel."""
    for path in (ROOT / "presence_server").rglob("*.py"):
        yield str(path.relative_to(ROOT))
    for folder in ("templates", "static"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file():
                yield f"presence_server/_data/{path.relative_to(ROOT)}"
    yield "presence_server/_data/migrations.sql"
    yield "presence_server/_data/migrations-postgresql.sql"
    yield "presence_server/_data/openapi.json"
    for name in ("presence.js", "large.js"):
        yield f"presence_server/_data/clients/js/{name}"


@pytest.mark.skipif(os.getuid() != 0, reason="installs for another user")
def test_root_installs_no_python_that_the_service_could_not_run(tmp_path: Path) -> None:
    private = tmp_path / "private"
    run(sys.executable, "-m", "venv", "--without-pip", private)
    private.chmod(0o700)
    environment = {**bare_environment(), "PATH": f"{private}/bin:/usr/bin:/bin"}

    def planned(*arguments: str) -> str:
        command = ("make", "-n", "-C", str(ROOT), "install", "PREFIX=/opt/x", *arguments)
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        (line,) = [line for line in done.stdout.splitlines() if " -m venv " in line]
        return line.partition(" -m venv ")[0]

    # Of the machine, or none at all.
    assert planned() in ("", "/usr/bin/python3", "/usr/local/bin/python3") or planned().startswith(
        "python3."
    )
    assert planned(f"PYTHON={private}/bin/python3") == f"{private}/bin/python3"


async def test_installed_from_its_folder_it_serves_from_any_other(
    source: Path, tmp_path: Path
) -> None:
    prefix = tmp_path / "venv"
    run("make", "-C", source, "install", f"PREFIX={prefix}", f"PYTHON={sys.executable}")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    await serves(prefix / "bin" / "presence-server", elsewhere)


def test_the_wheel_carries_every_file(source: Path, tmp_path: Path) -> None:
    # The wheel is built from the sdist, so this holds for both.
    told = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, source)
    assert "Warning" not in told, told
    twine = Path(sys.prefix) / "release" / "bin" / "twine"
    if twine.exists() or "CI" in os.environ:
        run(twine, "check", "--strict", *tmp_path.iterdir())
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert set(carried()) <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"presence_server"}
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as sources:
        files = {name.partition("/")[2] for name in sources.getnames()}
    committed = run("git", "-C", ROOT, "ls-files", "--", ":!.*").splitlines()
    assert "docs/design.md" in committed
    assert set(committed) - files == set()
