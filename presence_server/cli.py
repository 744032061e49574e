"""The command line: settings and subcommands."""

import argparse
import asyncio
import io
import itertools
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from presence_server import __version__, logs
from presence_server.storage.database import DatabaseUnavailable, DatabaseUnusable
from presence_server.accounts.keyring import KeyringError
from presence_server.commands import COMMANDS, serve
from presence_server.config import Config, ConfigError
from presence_server.processes import INHERITANCE_VARIABLE
from presence_server.relay import RelayRefused
from presence_server.settings import SETTINGS, Setting, read_config, unknown_variables

FAILED = 1
WRONG_SETTING = 2
DATABASE_UNUSABLE = 3
# As shells say it of whatever ended by Ctrl-C.
INTERRUPTED = 130

_FLAG = re.compile("--?[a-z]")

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command (without one: serve) and return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Whatever the locale, and whatever stands in the database.
        sys.stdout.reconfigure(errors="backslashreplace")
    given = sys.argv[1:] if argv is None else argv
    # First of all: what is wrong with the rest is said in this form, too.
    logs.set_up(_log_format(given))
    args = _parse(given)
    try:
        config = read_config(_flags(args), os.environ)
        # A parent has said so already.
        if INHERITANCE_VARIABLE not in os.environ:
            for sentence in unknown_variables(os.environ):
                log.warning(sentence)
        status = int(args.run(args, config))
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except (ConfigError, KeyringError, RelayRefused) as error:
        logs.say(str(error))
        return WRONG_SETTING
    except (DatabaseUnusable, DatabaseUnavailable) as error:
        logs.say(str(error))
        return DATABASE_UNUSABLE
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough.
        _drop_output()
        return FAILED
    except (Exception, asyncio.CancelledError) as error:
        if isinstance(error, OSError) and _is_of_output(error):
            logs.say(f"Standard output cannot be written: {error.strerror}.")
            _drop_output()
        else:
            # Cancelled: a background task failed, and whoever held it did not say why.
            log.critical("ended by an error", exc_info=True)
        return FAILED
    finally:
        logs.flush()


def _is_of_output(error: OSError) -> bool:
    """Whether it is the same with an empty line: where there is room for one it does no harm."""
    try:
        print(flush=True)
    except OSError as again:
        return again.errno == error.errno
    return False


def _drop_output() -> None:
    """Or Python would try once more to write the rest, at its end, and complain itself."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _log_format(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    usual = os.environ.get("PRESENCE_LOG_FORMAT", "text")
    parser.add_argument("--log-format", nargs="?", default=usual)
    return str(parser.parse_known_args(argv)[0].log_format)


class Parser(argparse.ArgumentParser):
    """A parser that knows every setting, so that flags may stand before or after a command."""

    def __init__(self, *, show_settings: bool = False, **options: Any) -> None:
        super().__init__(
            allow_abbrev=False,
            epilog=None if show_settings else "All flags of `presence-server --help` count too.",
            **options,
        )
        group: argparse._ActionsContainer = self
        if show_settings:
            group = self.add_argument_group(
                "settings", "Each is a flag or a variable of the environment; the flag wins."
            )
        for setting in SETTINGS:
            _add_setting(group, setting, show_settings)

    def error(self, message: str) -> NoReturn:
        logs.say(f"{message} (see {self.prog} --help).")
        sys.exit(WRONG_SETTING)


def _parser() -> Parser:
    parser = Parser(
        prog="presence-server",
        usage="%(prog)s [settings] [command]",
        description="A presence server: it shows who is here.",
        show_settings=True,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(run=serve.run)
    subparsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", parser_class=Parser, prog=parser.prog
    )
    for command in COMMANDS:
        command.add_parser(subparsers).set_defaults(run=command.run)
    return parser


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    # argparse would take the value of a misspelt flag for a command, and blame that.
    known = set(_flags_of(parser))
    for argument in itertools.takewhile(lambda argument: argument != "--", arguments):
        flag = argument.partition("=")[0]
        if _FLAG.match(flag) and flag not in known:
            nearest = get_close_matches(flag, known, n=1)
            hint = f"; did you mean {nearest[0]}" if nearest else ""
            parser.error(f"there is no {flag}{hint}")
    return parser.parse_args(arguments, argparse.Namespace(given=arguments))


def _flags_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The flags of a parser and of its subcommands."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _flags_of(subparser)


def _add_setting(group: argparse._ActionsContainer, setting: Setting, shown: bool) -> None:
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
