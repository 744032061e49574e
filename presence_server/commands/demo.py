"""`presence-server demo`: a throwaway server with made-up people who come and go."""

import argparse

from presence_server.commands.parsers import Subparsers
from presence_server.config import Config


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    return subparsers.add_parser(
        "demo", help="a throwaway server with made-up people who come and go"
    )


def run(args: argparse.Namespace, config: Config) -> int:
    # As in serve.py.
    from presence_server.commands import demo_site

    return demo_site.serve(config)
