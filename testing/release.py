"""What is published of a version, in dist/: `python -m testing.release`.

From what is committed and nothing else: the sdist and the wheel, the package for npm, a bill of
materials, and the hashes of all of them. What strangers would meet is tried before.
"""

import argparse
import asyncio
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from presence_server import __version__
from presence_server.resources import ROOT
from testing.installed import bare_environment, serves

DIST = ROOT / "dist"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# With what make installs there.
_TOOLS = Path(sys.prefix) / "release" / "bin"
_SUMS = "SHA256SUMS"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tag", help="which is to be released, and must name this very commit")
    parser.add_argument("--bill", action="store_true", help="write the bill of materials only")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        if arguments.bill:
            DIST.mkdir(exist_ok=True)
            bill_of_materials(Path(folder))
        else:
            release(arguments.tag, Path(folder))


def release(tag: str | None, folder: Path) -> None:
    if tag is not None and (wrong := wrong_with(tag)):
        sys.exit(wrong)
    source = folder / "source"
    take_what_is_committed(source)
    shutil.rmtree(DIST, ignore_errors=True)
    build(source)
    bill_of_materials(folder)
    for python in pythons():
        asyncio.run(starts_from_the_wheel(python, Path(tempfile.mkdtemp(dir=folder))))
    write_hashes()
    print(f"{DIST} has what belongs to {__version__}.")


def wrong_with(tag: str) -> str | None:
    if tag != f"v{__version__}":
        return f"The tag is {tag}, but this is {__version__}: call it v{__version__}."
    if _said("git", "rev-parse", f"{tag}^{{commit}}") != _said("git", "rev-parse", "HEAD"):
        return f"{tag} names another commit than the one that is checked out."
    if not re.search(rf"^## {re.escape(__version__)} - \d{{4}}-\d\d-\d\d$", changelog(), re.M):
        return f"CHANGELOG.md has no heading for {__version__} with its date."
    return None


def changelog() -> str:
    return (ROOT / "CHANGELOG.md").read_text()


def take_what_is_committed(folder: Path) -> None:
    folder.mkdir()
    archive = folder.with_suffix(".tar")
    _run("git", "archive", f"--output={archive}", "HEAD")
    _run("tar", "-xf", archive, "-C", folder)


def build(source: Path) -> None:
    """Twice the same commit gives twice the same wheel."""
    committed = _said("git", "log", "-1", "--format=%ct")
    _run(
        *(_TOOLS / "python", "-m", "build", "--no-isolation", "--outdir", DIST, source),
        SOURCE_DATE_EPOCH=committed,
    )
    _run(_TOOLS / "python", "-m", "twine", "check", "--strict", *DIST.iterdir())
    if shutil.which("npm"):
        _run("npm", "pack", "--silent", "--pack-destination", DIST, source / "clients" / "js")
    else:
        print("There is no npm, so the package for it is left out.", file=sys.stderr)


def pythons() -> Iterator[Path]:
    """Of each version that we promise one, where it is at hand."""
    for version in PYTHONS:
        found = next(filter(_runs, _places(version)), None)
        if found is None:
            print(f"There is no Python {version}: not tried with it.", file=sys.stderr)
        else:
            yield found


def _places(version: str) -> Iterator[Path]:
    if (on_path := shutil.which(f"python{version}")) is not None:
        yield Path(on_path)
    for folder in (".pyenv/versions", ".local/share/uv/python"):
        yield from Path.home().glob(f"{folder}/*{version}.*/bin/python{version}")


def _runs(python: Path) -> bool:
    return not subprocess.run([python, "-c", "import ensurepip"], capture_output=True).returncode


async def starts_from_the_wheel(python: Path, folder: Path) -> None:
    """As pipx does it: an environment for the wheel and whatever it asks for, and its command."""
    venv, elsewhere = folder / "venv", folder / "elsewhere"
    elsewhere.mkdir()
    _run(python, "-m", "venv", venv)
    (wheel,) = DIST.glob("*.whl")
    _run(venv / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    await serves(venv / "bin" / "presence-server", elsewhere)
    print(f"It installs from the wheel and serves with {python}.")


def bill_of_materials(folder: Path) -> None:
    """Of what `make install` installs."""
    prefix = folder / "prefix"
    _run("make", "-C", ROOT, "install", f"PREFIX={prefix}", f"PYTHON={sys.executable}")
    pip = (prefix / "bin" / "python", "-m", "pip")
    _run(*pip, "--quiet", "uninstall", "--yes", "pip", "setuptools")
    told = _said(
        *(_TOOLS / "cyclonedx-py", "environment", "--output-reproducible", "--of", "JSON"),
        *("--pyproject", ROOT / "pyproject.toml", "--mc-type", "application", prefix),
    )
    bill = completed(json.loads(told))
    (DIST / f"presence_server-{__version__}.cdx.json").write_text(f"{json.dumps(bill, indent=2)}\n")


def completed(bill: dict[str, Any]) -> dict[str, Any]:
    """With what its maker does not read in setup.cfg: our version, and what we ask for."""
    ourselves = bill["metadata"]["component"]
    ourselves["version"] = __version__
    refs = {_plain(each["name"]): each["bom-ref"] for each in bill["components"]}
    asked = [line for line in requires("presence-server") or () if "extra ==" not in line]
    needed = sorted(refs[_plain(re.split(r"[^\w.-]", line)[0])] for line in asked)
    others = [each for each in bill["dependencies"] if each["ref"] != ourselves["bom-ref"]]
    bill["dependencies"] = [{"ref": ourselves["bom-ref"], "dependsOn": needed}, *others]
    return bill


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def write_hashes() -> None:
    """As `sha256sum --check` reads them."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(DIST.iterdir())
    ]
    (DIST / _SUMS).write_text("".join(lines))


def _run(*command: str | Path, **variables: str) -> None:
    subprocess.run(command, cwd=ROOT, env={**bare_environment(), **variables}, check=True)


def _said(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
