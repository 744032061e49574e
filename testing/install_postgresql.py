"""Sees to it that there is a PostgreSQL for the tests: `python -m testing.install_postgresql`."""

import os
import shutil
import sys

from testing.install_browser import as_root, succeeds
from testing.postgresql_server import MISSING, binary


def main() -> int:
    if binary("postgres") is None and shutil.which("apt-get") and (sudo := as_root()) is not None:
        succeeds([*sudo, "apt-get", "update"])
        succeeds([*sudo, "apt-get", "install", "-y", "--no-install-recommends", "postgresql"])
    if binary("postgres") is None:
        print(MISSING, file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
