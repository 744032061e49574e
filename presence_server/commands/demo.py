"""`presence-server demo`: a throwaway server with made-up people who come and go."""

import argparse
from typing import TYPE_CHECKING

from presence_server.config import Config

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "Subparsers") -> argparse.ArgumentParser:
    return subparsers.add_parser(
        "demo", help="a throwaway server with made-up people who come and go"
    )


def run(args: argparse.Namespace, config: Config) -> int:
    # As in serve.py.
    from presence_server.commands import demo_site

    return demo_site.serve(config)
