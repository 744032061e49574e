"""Sees to it that the tests have a PostgreSQL and a PgBouncer:
`python -m testing.install_postgresql`."""

import os
import shutil
import sys

from testing import pgbouncer, postgresql_server
from testing.install_browser import as_root, succeeds


def main() -> int:
    if _missing() and shutil.which("apt-get") and (sudo := as_root()) is not None:
        succeeds([*sudo, "apt-get", "update"])
        install = [*sudo, "apt-get", "install", "-y", "--no-install-recommends"]
        succeeds([*install, "postgresql", "pgbouncer"])
    missing = _missing()
    for sentence in missing:
        print(sentence, file=sys.stderr)
    return 1 if missing and os.environ.get("CI") else 0


def _missing() -> list[str]:
    found = {
        postgresql_server.MISSING: postgresql_server.binary("postgres"),
        pgbouncer.MISSING: pgbouncer.binary(),
    }
    return [sentence for sentence, path in found.items() if path is None]


if __name__ == "__main__":
    sys.exit(main())
