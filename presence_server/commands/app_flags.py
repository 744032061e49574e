"""What is said of an app or a token on the command line: the flags, and how they are read."""

import argparse
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from presence_server.apps import tokens
from presence_server.apps.permissions import Permission, is_pattern
from presence_server.apps.register import AppSettings
from presence_server.apps.settings import read_grace, read_origin, read_visits, read_webhook
from presence_server.apps.tokens import LONGEST_LIFE
from presence_server.commands.database import Refused, printable
from presence_server.presence.objects import MessageError, parse_object

T = TypeVar("T")


def add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--origin",
        nargs="+",
        action="extend",
        metavar="URL",
        help="where its pages come from, such as https://example.com",
    )
    parser.add_argument("--webhook", metavar="URL", help="where its backend is told of changes")
    parser.add_argument(
        "--grace",
        dest="app_grace",
        metavar="SECONDS",
        help="how long its people are still shown after their last page has closed",
    )
    parser.add_argument(
        "--visits",
        dest="app_visits",
        metavar="DAYS",
        help="days for which visits are kept; 0 = none are",
    )


def add_claims(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", required=True, metavar="U", help="the user's id in the app")
    parser.add_argument(
        "--room",
        required=True,
        nargs="+",
        action="extend",
        metavar="PATTERN[:join|watch|appear]",
        help="a room, or the beginning of names followed by *; without a word: join",
    )
    parser.add_argument("--ttl", metavar="SECONDS", default="600", help="(default: 600)")
    parser.add_argument("--info", metavar="JSON", help="an object that is shown beside the user")


def read_settings(args: argparse.Namespace, before: AppSettings) -> AppSettings:
    given: dict[str, Any] = {}
    if args.origin is not None:
        urls = dict.fromkeys(read(read_origin, url, "--origin") for url in args.origin if url)
        given["origins"] = tuple(urls)
    if args.webhook is not None:
        given["webhook"] = read(read_webhook, args.webhook, "--webhook") if args.webhook else None
    if args.app_grace is not None:
        given["grace"] = read(read_grace, args.app_grace, "--grace") if args.app_grace else None
    if args.app_visits is not None:
        given["visits"] = read(read_visits, args.app_visits or "0", "--visits")
    return replace(before, **given)


def read(read: Callable[[str], T], text: str, what: str) -> T:
    try:
        return read(text)
    except ValueError as problem:
        raise Refused(f"{what} must be {problem}, not {printable(text)!r}.") from None


def read_room(text: str) -> tuple[str, str]:
    pattern, colon, word = text.rpartition(":")
    if not colon or word not in set(Permission):
        pattern, word = text, Permission.JOIN
    if not is_pattern(pattern):
        raise Refused(f"{printable(text)} is neither a room nor a pattern.")
    return pattern, word


def read_ttl(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) is None or not 0 < int(text) <= LONGEST_LIFE:
        raise Refused(f"--ttl must be a whole number of seconds, 1 to {LONGEST_LIFE}.")
    return int(text)


def read_info(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        info: dict[str, Any] = parse_object(text)
    except MessageError:
        raise Refused("--info must be a JSON object.") from None
    if problem := tokens.info_problem(info):
        raise Refused(f"--info is {problem}.")
    return info
