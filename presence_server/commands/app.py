"""`presence-server app …`: other applications that show their users through this server."""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypeVar

from presence_server.accounts.keyring import Unreadable, open_keyring
from presence_server.apps import register, tokens, webhooks
from presence_server.apps.permissions import MOST_PATTERNS, Permission, is_pattern
from presence_server.apps.register import App, AppSettings, Secrets
from presence_server.apps.settings import (
    read_grace,
    read_name,
    read_origin,
    read_visits,
    read_webhook,
)
from presence_server.apps.tokens import LONGEST_LIFE, SigningKey
from presence_server.apps.webhooks import State
from presence_server.commands.database import (
    Refused,
    counted,
    minute,
    printable,
    run_on_database,
    second,
)
from presence_server.config import Config
from presence_server.presence.messages import MessageError, parse_object
from presence_server.storage.database import Database

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

T = TypeVar("T")

_ACTIONS = {
    "list": "list all apps",
    "add": "make an app; prints its secrets, once",
    "show": "all there is to know about an app but its secrets",
    "set": "change what was said with `app add`; an empty value takes it away",
    "rotate": "make a new key; the one before it holds until the next time, or --drop-previous",
    "resync": "tell its backend anew who is here, as if it had never been told",
    "delete": "delete an app; its people are gone at once",
    "token": "make a token for a user of an app, to try things out",
}


def add_parser(subparsers: "Subparsers") -> argparse.ArgumentParser:
    parser = subparsers.add_parser("app", help="other applications: keys, origins, tokens")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    # An app has a grace and visits of its own, whose flags are those of the server's settings.
    made = {
        action: actions.add_parser(action, help=about, conflict_handler="resolve")
        for action, about in _ACTIONS.items()
    }
    for action, action_parser in made.items():
        if action != "list":
            action_parser.add_argument("name", metavar="NAME")
        if action in ("list", "show", "add", "rotate"):
            action_parser.add_argument("--json", action="store_true", help="print JSON")
    _add_settings(made["add"])
    _add_settings(made["set"])
    for action in ("set", "rotate"):
        made[action].add_argument(
            "--drop-previous",
            action="store_true",
            help="make no new key, and let the previous one no longer hold",
        )
    _add_claims(made["token"])
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
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
        help="how long its people stay shown after their last page has closed",
    )
    parser.add_argument(
        "--visits",
        dest="app_visits",
        metavar="DAYS",
        help="how long it is kept who was here when; 0: not at all",
    )


def _add_claims(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", required=True, metavar="U", help="the user's id in the app")
    parser.add_argument(
        "--room",
        required=True,
        nargs="+",
        action="extend",
        metavar="PATTERN[:join|watch|appear]",
        help="a room, or the beginning of names with a * behind it; without a word: join",
    )
    parser.add_argument("--ttl", metavar="SECONDS", default="600", help="(default: 600)")
    parser.add_argument("--info", metavar="JSON", help="an object that is shown beside the user")


def run(args: argparse.Namespace, config: Config) -> int:
    async def work(db: Database) -> None:
        match args.action:
            case "list":
                await _list(db, args.json)
            case "add":
                await _add(db, config, args)
            case "show":
                await _show(db, args.name, args.json)
            case "set":
                await _set(db, args)
            case "rotate":
                await _rotate(db, config, args)
            case "resync":
                await _resync(db, args.name)
            case "delete":
                await _delete(db, args.name)
            case "token":
                await _print_token(db, config, args)

    return run_on_database(config, work, create=args.action == "add")


async def _add(db: Database, config: Config, args: argparse.Namespace) -> None:
    name = _read(read_name, args.name, "The name of an app")
    settings, keyring = _settings(args, AppSettings()), open_keyring(config.key_file)
    try:
        made = await register.add(db, keyring, name, settings, int(time.time()))
    except register.NameTaken as taken:
        raise Refused(f"There is an app {name} already.") from taken
    _print_secrets(name, made, as_json=args.json)


async def _list(db: Database, as_json: bool) -> None:
    apps = await register.listed(db)
    if as_json:
        print(json.dumps([_public(app) for app in apps]))
        return
    for app in apps:
        origins = ", ".join(app.settings.origins) or "no pages"
        print(f"{app.name:32}  since {minute(app.created_at)}  {app.keys[0].id}  {origins}")


async def _show(db: Database, name: str, as_json: bool) -> None:
    app = await _named(db, name)
    public = _public(app)
    if app.settings.webhook is not None:
        public["told"] = _told(await webhooks.state(db, app.id))
    if as_json:
        print(json.dumps(public))
        return
    for field, value in public.items():
        if field != "told":
            print(f"{field:10}  {_shown(value)}")
    for line in _told_in_words(public.get("told")):
        print(f"{'told':10}  {line}")


async def _set(db: Database, args: argparse.Namespace) -> None:
    app = await _named(db, args.name)
    settings = _settings(args, app.settings)
    if settings == app.settings and args.webhook is None and not args.drop_previous:
        raise Refused("Say what to change: --origin, --webhook, --grace, --visits.")
    await register.change(db, app.id, settings)
    if args.webhook and (await webhooks.state(db, app.id)).off_at is not None:
        # It was gone, and is said to be there again.
        await register.resync(db, app.id)
    print(f"Changed {app.name}.")
    if args.drop_previous:
        await _drop_previous(db, app, as_json=False)


async def _rotate(db: Database, config: Config, args: argparse.Namespace) -> None:
    app = await _named(db, args.name)
    if args.drop_previous:
        await _drop_previous(db, app, as_json=args.json)
        return
    keyring = open_keyring(config.key_file, create=False)
    _print_secrets(
        app.name, await register.rotate(db, keyring, app.id, int(time.time())), as_json=args.json
    )


async def _drop_previous(db: Database, app: App, *, as_json: bool) -> None:
    dropped = await register.drop_previous(db, app.id)
    if as_json:
        print(json.dumps({"name": app.name, "dropped": dropped}))
    else:
        print(f"No longer holds: {dropped[0]}." if dropped else "There was no previous key.")


async def _delete(db: Database, name: str) -> None:
    app = await _named(db, name)
    await register.delete(db, app.id)
    print(f"Deleted the app {app.name}.")


async def _resync(db: Database, name: str) -> None:
    app = await _named(db, name)
    if app.settings.webhook is None:
        raise Refused(f"{app.name} has no webhook: `app set {app.name} --webhook URL`.")
    await register.resync(db, app.id)
    print(f"{app.name} is told again who is here.")


async def _print_token(db: Database, config: Config, args: argparse.Namespace) -> None:
    app = await _named(db, args.name)
    if problem := tokens.user_problem(args.user):
        raise Refused(f"--user names {problem}.")
    rooms = dict(map(_room, args.room))
    if len(rooms) > MOST_PATTERNS:
        raise Refused(f"--room names more than {MOST_PATTERNS} rooms.")
    try:
        made = register.unseal(open_keyring(config.key_file, create=False), app.keys[0])
    except Unreadable:
        raise Refused(
            f"The key of {app.name} was sealed with another key file; `app rotate` makes a new one."
        ) from None
    key = SigningKey(app.id, made.key, made.secret)
    ttl, info = _ttl(args.ttl), _info(args.info)
    print(tokens.make_token(key, args.user, rooms, int(time.time()), ttl, info))


async def _named(db: Database, name: str) -> App:
    try:
        return await register.find(db, name)
    except register.NoSuchApp:
        raise Refused(f"There is no app {printable(name)}.") from None


def _settings(args: argparse.Namespace, before: AppSettings) -> AppSettings:
    given: dict[str, Any] = {}
    if args.origin is not None:
        urls = dict.fromkeys(_read(read_origin, url, "--origin") for url in args.origin if url)
        given["origins"] = tuple(urls)
    if args.webhook is not None:
        given["webhook"] = _read(read_webhook, args.webhook, "--webhook") if args.webhook else None
    if args.app_grace is not None:
        given["grace"] = _read(read_grace, args.app_grace, "--grace") if args.app_grace else None
    if args.app_visits is not None:
        given["visits"] = _read(read_visits, args.app_visits or "0", "--visits")
    return replace(before, **given)


def _read(read: Callable[[str], T], text: str, what: str) -> T:
    try:
        return read(text)
    except ValueError as problem:
        raise Refused(f"{what} must be {problem}, not {printable(text)!r}.") from None


def _room(text: str) -> tuple[str, str]:
    pattern, colon, word = text.rpartition(":")
    if not colon or word not in set(Permission):
        pattern, word = text, Permission.JOIN
    if not is_pattern(pattern):
        raise Refused(f"{printable(text)} is no room and no pattern.")
    return pattern, word


def _ttl(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) is None or not 0 < int(text) <= LONGEST_LIFE:
        raise Refused(f"--ttl must be a whole number of seconds, 1 to {LONGEST_LIFE}.")
    return int(text)


def _info(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        info: dict[str, Any] = parse_object(text)
    except MessageError:
        raise Refused("--info must be a JSON object.") from None
    if problem := tokens.info_problem(info):
        raise Refused(f"--info is {problem}.")
    return info


def _print_secrets(name: str, made: Secrets, *, as_json: bool) -> None:
    fields = {"name": name, **asdict(made)}
    if as_json:
        print(json.dumps(fields))
        return
    for field, value in fields.items():
        print(f"{field:14}  {value}")
    print("The secrets are shown this once.", file=sys.stderr)


def _public(app: App) -> dict[str, Any]:
    return {
        "name": app.name,
        "created_at": app.created_at,
        "origins": list(app.settings.origins),
        "webhook": app.settings.webhook,
        "grace": app.settings.grace,
        "visits": app.settings.visits,
        "keys": [key.id for key in app.keys],
    }


def _told(state: State) -> dict[str, Any]:
    return {
        "off_since": state.off_at,
        "due": state.due,
        "due_since": state.due_since,
        "acknowledged_at": state.acknowledged_at,
        "answers": list(state.answers),
    }


def _told_in_words(told: dict[str, Any] | None) -> Iterator[str]:
    if told is None:
        return
    if told["off_since"] is not None:
        yield f"switched off since {minute(told['off_since'])}: it answered that it is gone (410)"
    if told["due"]:
        people = counted(told["due"], "change")
        yield f"behind by {people} since {minute(told['due_since'])}"
    else:
        yield "all there is to tell"
    yield f"last acknowledged: {minute(told['acknowledged_at'])}"
    for answer in told["answers"][:3]:
        taken = f"{answer['seconds']:.3f} s"
        yield f"answered {second(answer['at'])}: {printable(answer['answer'])} after {taken}"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return "none" if value is None else str(value)
