"""The command line: settings and subcommands."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from presence_server import __version__, logs
from presence_server.storage.database import DatabaseUnavailable, DatabaseUnusable
from presence_server.accounts.keyring import KeyringError
from presence_server.commands import COMMANDS, serve
from presence_server.config import Config, ConfigError
from presence_server.relay import RelayRefused
from presence_server.settings import SETTINGS, Setting, read_config, unknown_variables

FAILED = 1
WRONG_SETTING = 2
DATABASE_UNUSABLE = 3

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command (without one: serve) and return the exit status."""
    args = _parser().parse_args(argv)
    try:
        config = read_config(_flags(args), os.environ)
        logs.set_up(config.log_format)
        for sentence in unknown_variables(os.environ):
            log.warning(sentence)
        return int(args.run(args, config))
    except (ConfigError, KeyringError, RelayRefused) as error:
        _say(str(error))
        return WRONG_SETTING
    except (DatabaseUnusable, DatabaseUnavailable) as error:
        _say(str(error))
        return DATABASE_UNUSABLE
    except (Exception, asyncio.CancelledError):
        # Cancelled: a background task failed, and whoever held it did not say why.
        log.critical("ended by an error", exc_info=True)
        return FAILED


class Parser(argparse.ArgumentParser):
    """A parser that knows every setting, so that flags may stand before or after a command."""

    def __init__(self, *, show_settings: bool = False, **options: Any) -> None:
        super().__init__(
            allow_abbrev=False,
            epilog=None if show_settings else "All flags of `presence-server --help` count too.",
            **options,
        )
        group = self.add_argument_group(
            "settings", "Each is a flag or a variable of the environment; the flag wins."
        )
        for setting in SETTINGS:
            _add_setting(group, setting, show_settings)

    def error(self, message: str) -> NoReturn:
        _say(f"{message} (see {self.prog} --help).")
        sys.exit(WRONG_SETTING)


def _parser() -> Parser:
    parser = Parser(
        prog="presence-server",
        usage="%(prog)s [settings] [command]",
        description="A server that tells people who is here.",
        show_settings=True,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(run=serve.run)
    subparsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", parser_class=Parser
    )
    for command in COMMANDS:
        command.add_parser(subparsers).set_defaults(run=command.run)
    return parser


def _add_setting(group: argparse._ArgumentGroup, setting: Setting, shown: bool) -> None:
    # Without a default of their own, the flags of a command leave those before it alone.
    options: dict[str, Any] = {
        "dest": setting.field,
        "default": argparse.SUPPRESS,
        "help": _help(setting) if shown else argparse.SUPPRESS,
    }
    if setting.is_switch:
        group.add_argument(setting.flag, action="store_const", const="on", **options)
        options["help"] = argparse.SUPPRESS
        group.add_argument(f"--no-{setting.flag[2:]}", action="store_const", const="off", **options)
    else:
        metavar = setting.metavar or setting.field.rsplit("_")[-1].upper()
        group.add_argument(setting.flag, metavar=metavar, **options)


def _help(setting: Setting) -> str:
    default = getattr(Config(), setting.field)
    if isinstance(default, float):
        default = f"{default:g}"
    says_default = setting.is_switch or default is None or "(default:" in setting.about
    note = "" if says_default else f" (default: {default})"
    return f"{setting.about}{note} [{setting.variable}]".replace("%", "%%")


def _flags(args: argparse.Namespace) -> Mapping[str, str]:
    given = vars(args)
    return {s.field: given[s.field] for s in SETTINGS if s.field in given}


def _say(sentence: str) -> None:
    print(f"presence-server: {sentence}", file=sys.stderr)
