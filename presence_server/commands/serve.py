"""`presence-server serve`, and what happens without a command."""

import argparse
from typing import TYPE_CHECKING

from presence_server import serving
from presence_server.config import Config

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "Subparsers") -> argparse.ArgumentParser:
    return subparsers.add_parser("serve", help="run the server (the default)")


def run(args: argparse.Namespace, config: Config) -> int:
    return serving.run(config)
