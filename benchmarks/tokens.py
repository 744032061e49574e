"""An app and tokens of its people for a load test: what stands for cookies in its room.

Called as testing.populate is; prints a token for each person.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt

ROOM = "bench"
# As long as a token may live.
_LIFE = 24 * 60 * 60


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokens", description=__doc__)
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--prefix", default="user")
    options = parser.parse_args(argv)
    app = _app(options.database)
    now = int(time.time())
    claims = {"aud": "presence", "iat": now, "exp": now + _LIFE, "rooms": {ROOM: "join"}}
    for number in range(options.sessions):
        said = {**claims, "sub": f"{options.prefix}{number}"}
        sys.stdout.write(jwt.encode(said, app["secret"], "HS256", {"kid": app["key"]}) + "\n")


def _app(database: Path) -> Any:
    """Made once: its secret is told only then."""
    known = database.with_suffix(".app.json")
    if not known.exists():
        command = (sys.executable, "-m", "presence_server", "app", "add", "bench", "--json")
        with known.open("w") as file:
            subprocess.run([*command, "--database", str(database)], check=True, stdout=file)
    return json.loads(known.read_text())


if __name__ == "__main__":
    main()
