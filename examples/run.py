"""Runs an example beside a presence server of its own: make example ARGS=wiki

Nothing of it touches what a real server on this machine keeps. Ctrl-C ends both.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
SERVER = (sys.executable, "-m", "presence_server")
FIRST_WORDS = "Listening on "


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("example", help="wiki (Django) or document (Express)")
    parser.add_argument("--port", type=int, default=3000, help="of the example (default: 3000)")
    options = parser.parse_args()
    folder = HERE / options.example
    if not folder.is_dir():
        parser.error("there are: wiki, document")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run(folder, options.port)
    except KeyboardInterrupt:
        return 0


def run(folder: Path, port: int) -> int:
    prepare, start = in_django(folder, port) if (folder / "manage.py").exists() else in_node(folder)
    with TemporaryDirectory(prefix="presence-example-") as name:
        kept = Path(name)
        with presence_server(kept) as url:
            environment = {
                **os.environ,
                **add_app(kept, f"http://localhost:{port}"),
                "PRESENCE_URL": url,
                "PORT": str(port),
                "WIKI_DATABASE": str(kept / "wiki.sqlite3"),
            }
            for command in prepare:
                subprocess.run(command, cwd=folder, env=environment, check=True)
            print(f"\nOpen http://localhost:{port}/ in two browsers.\n", flush=True)
            with process(start, folder, environment) as example:
                return example.wait()


Commands = Sequence[Sequence[str]]


def in_django(folder: Path, port: int) -> tuple[Commands, Sequence[str]]:
    python, prepare = sys.executable, []
    if find_spec("django") is None:
        python = str(folder / ".venv" / "bin" / "python")
        prepare = [
            (sys.executable, "-m", "venv", ".venv"),
            (python, "-m", "pip", "install", "--quiet", "-r", "requirements.txt"),
        ]
    prepare.append((python, "manage.py", "migrate", "--verbosity=0"))
    return prepare, (python, "manage.py", "runserver", "--noreload", f"localhost:{port}")


def in_node(folder: Path) -> tuple[Commands, Sequence[str]]:
    here = (folder / "node_modules").exists()
    return [] if here else [("npm", "install", "--no-audit", "--no-fund")], ("node", "server.js")


@contextmanager
def presence_server(folder: Path) -> Iterator[str]:
    """Its address. The examples are told of changes at an address of this machine."""
    command = (*SERVER, "--port=0", "--allow-private-webhooks")
    piped = {"stdout": subprocess.PIPE, "stderr": (folder / "presence.log").open("w")}
    with process(command, folder, os.environ, **piped) as server:
        assert server.stdout is not None
        said = server.stdout.readline().decode()
        if not said.startswith(FIRST_WORDS):
            sys.exit((folder / "presence.log").read_text())
        yield said.removeprefix(FIRST_WORDS).strip()


def add_app(folder: Path, site: str) -> dict[str, str]:
    webhook = f"{site}/presence/webhook/"
    command = (*SERVER, "app", "add", "example", "--origin", site, "--webhook", webhook, "--json")
    made = json.loads(subprocess.check_output(command, cwd=folder))
    return {f"PRESENCE_{name.upper()}": value for name, value in made.items()}


@contextmanager
def process(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], **options
) -> Iterator[subprocess.Popen]:
    started = subprocess.Popen(command, cwd=folder, env=environment, **options)
    try:
        yield started
    finally:
        started.terminate()
        started.wait()


if __name__ == "__main__":
    sys.exit(main())
