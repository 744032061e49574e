"""Sees to it that there is an nginx for the tests: `python -m testing.install_nginx`.

The package is unpacked beside the tests' Python and not installed: Debian starts what it installs.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from testing.install_browser import as_root, succeeds

MISSING = "There is no nginx, so the tests with nginx are left out (Debian: apt-get install nginx)."

_UNPACKED = Path(sys.prefix) / "nginx"


def nginx_binary() -> str | None:
    """An nginx that runs, from the PATH or unpacked by this module."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", str(_UNPACKED / "usr/sbin")])
    found = shutil.which("nginx", path=path)
    if found is None or subprocess.run([found, "-v"], capture_output=True).returncode:
        return None
    return found


def main() -> int:
    if nginx_binary() is None and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        if (root := as_root()) is not None:
            succeeds([*root, "apt-get", "update"])
        _unpack()
    if nginx_binary() is None:
        print(MISSING, file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    return 0


def _unpack() -> None:
    with tempfile.TemporaryDirectory(prefix="nginx-") as folder:
        if not succeeds(["apt-get", "download", "nginx"], folder):
            return
        for package in Path(folder).glob("*.deb"):
            succeeds(["dpkg-deb", "-x", str(package), str(_UNPACKED)])


if __name__ == "__main__":
    sys.exit(main())
