"""`presence-server who`: who is here, asked of a running server's admin port."""

import argparse
import json
import sys
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

from presence_server.commands.database import printable, second
from presence_server.commands.parsers import Subparsers
from presence_server.config import Config

_PATIENCE = 5.0  # seconds
_OTHER = "is that the admin port of a presence server?"


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    parser = subparsers.add_parser("who", help="list who is here (needs the server's --admin-port)")
    parser.add_argument("--app", metavar="NAME", help="of an app: who is in any of its rooms")
    parser.add_argument("--room", metavar="ROOM", help="who is in this room of the app")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def run(args: argparse.Namespace, config: Config) -> int:
    if args.room is not None and args.app is None:
        print("Name the app, too: --app NAME --room ROOM.", file=sys.stderr)
        return 2
    if config.admin_port is None:
        print(
            "Start the server with --admin-port (or PRESENCE_ADMIN_PORT), and say the same here.",
            file=sys.stderr,
        )
        return 2
    host = f"[{config.admin_host}]" if ":" in config.admin_host else config.admin_host
    url = f"http://{host}:{config.admin_port}/roster{_query(args)}"
    try:
        # What the environment names as a proxy is for the way out.
        with build_opener(ProxyHandler({})).open(url, timeout=_PATIENCE) as answer:
            _print(json.load(answer), as_json=args.json)
    except HTTPError as error:
        if error.code == 404 and args.app is not None:
            print(f"There is no app {printable(args.app)}, or no such room.", file=sys.stderr)
        else:
            print(f"{url} answers {error.code}: {_OTHER}", file=sys.stderr)
        return 1
    except (HTTPException, ValueError, LookupError, TypeError):
        print(f"{url} answers something else: {_OTHER}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"No server answers at {url}: {_reason(error)}.", file=sys.stderr)
        return 1
    return 0


def _query(args: argparse.Namespace) -> str:
    asked = {name: vars(args)[name] for name in ("app", "room") if vars(args)[name] is not None}
    return f"?{urlencode(asked)}" if asked else ""


def _reason(error: OSError) -> str:
    while isinstance(error, URLError) and isinstance(error.reason, OSError):
        error = error.reason
    if isinstance(error, TimeoutError):
        return "it takes too long"
    return error.strerror or str(error)


def _print(roster: dict[str, Any], *, as_json: bool) -> None:
    people = roster["people"]
    if roster["degraded"]:
        print("Other nodes cannot be heard: their people are shown as last known.", file=sys.stderr)
    if as_json:
        print(json.dumps(people))
        return
    if not people:
        print("Nobody is here.", file=sys.stderr)
    width = max(map(len, people), default=0)
    for username, person in people.items():
        since = second(person["since"])
        print(f"{printable(username):{width}}  {person['status']:6}  since {since}")
