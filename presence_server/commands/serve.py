"""`presence-server serve`, and what happens without a command."""

import argparse

from presence_server import logs
from presence_server.commands.parsers import Subparsers
from presence_server.config import Config


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    return subparsers.add_parser("serve", help="run the server (the default)")


def run(args: argparse.Namespace, config: Config) -> int:
    # Only now: to import a server takes longer than most other commands take altogether.
    from presence_server import serving
    from presence_server.processes import inheritance, parent

    if config.processes > 1:
        return parent.run(config, args.given)
    inherited = inheritance.take()
    if inherited is not None:
        logs.name_process(inherited.number)
    return serving.run(config, inherited=inherited)
