"""Sees to it that the tests have some packages from npm: `python -m testing.install_node_packages`.

They are installed beside the tests' Python.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from testing.install_browser import succeeds

MISSING = "There is no Node with npm, so the tests with clients of others are left out."

_WANTED = Path(__file__).resolve().parent / "node" / "package.json"
FOLDER = Path(sys.prefix) / "node"


def are_installed() -> bool:
    stamp = FOLDER / "installed.json"
    return bool(shutil.which("node")) and stamp.exists() and _is_wanted(stamp)


def run_in_node(script: str, *arguments: str, within: float = 30) -> str:
    """What a module writes to standard output; it may import the packages."""
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", script, "--", *arguments],
        cwd=FOLDER,
        timeout=within,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def main() -> int:
    if not are_installed() and shutil.which("node") and shutil.which("npm"):
        FOLDER.mkdir(exist_ok=True)
        shutil.copy(_WANTED, FOLDER)
        quiet = ("--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
        if succeeds(["npm", "install", *quiet], str(FOLDER)):
            shutil.copy(_WANTED, FOLDER / "installed.json")
    if not are_installed():
        print(MISSING, file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    return 0


def _is_wanted(stamp: Path) -> bool:
    return stamp.read_bytes() == _WANTED.read_bytes()


if __name__ == "__main__":
    sys.exit(main())
