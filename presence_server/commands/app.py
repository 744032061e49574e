"""`presence-server app …`: other applications that show their users through this server."""

import argparse
import json
import time
from functools import partial

from presence_server.accounts.keyring import Unreadable, open_keyring
from presence_server.apps import register, tokens, webhooks
from presence_server.apps.permissions import MOST_PATTERNS
from presence_server.apps.register import App, AppSettings
from presence_server.apps.settings import read_name
from presence_server.apps.tokens import SigningKey
from presence_server.commands.app_flags import (
    add_claims,
    add_settings,
    read,
    read_info,
    read_room,
    read_settings,
    read_ttl,
)
from presence_server.commands.app_output import print_app, print_secrets, public
from presence_server.commands.database import (
    Refused,
    audited,
    minute,
    named_app,
    run_on_database,
)
from presence_server.commands.parsers import Subparsers
from presence_server.config import Config
from presence_server.storage.database import Database
from presence_server.visits import written

_ACTIONS = {
    "list": "list all apps",
    "add": "add an app; prints its secrets, once",
    "show": "everything about an app except its secrets",
    "set": "change settings given with `app add`; an empty value removes one",
    "rotate": "make a new key; the previous one works until the next rotation, or --drop-previous",
    "resync": "tell its backend again who is here, as if it had never been told",
    "delete": "delete an app; its people disappear at once",
    "token": "make a token for a user of an app, to try things out",
}


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
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
    add_settings(made["add"])
    add_settings(made["set"])
    for action in ("set", "rotate"):
        made[action].add_argument(
            "--drop-previous",
            action="store_true",
            help="make no new key; only drop the previous one",
        )
    add_claims(made["token"])
    return parser


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
    name = read(read_name, args.name, "The name of an app")
    settings, keyring = read_settings(args, AppSettings()), open_keyring(config.key_file)
    try:
        writer = audited(db, "added the app", name)
        made = await register.add(writer, keyring, name, settings, int(time.time()))
    except register.NameTaken as taken:
        raise Refused(f"There is already an app {name}.") from taken
    print_secrets(name, made, as_json=args.json)


async def _list(db: Database, as_json: bool) -> None:
    apps = await register.listed(db)
    if as_json:
        print(json.dumps([public(app) for app in apps]))
        return
    for app in apps:
        origins = ", ".join(app.settings.origins) or "no pages"
        print(f"{app.name:32}  since {minute(app.created_at)}  {app.keys[0].id}  {origins}")


async def _show(db: Database, name: str, as_json: bool) -> None:
    app = await named_app(db, name)
    told = None if app.settings.webhook is None else await webhooks.state(db, app.id)
    print_app(app, told, as_json=as_json)


async def _set(db: Database, args: argparse.Namespace) -> None:
    app = await named_app(db, args.name)
    settings = read_settings(args, app.settings)
    said = (args.origin, args.webhook, args.app_grace, args.app_visits)
    if all(value is None for value in said) and not args.drop_previous:
        raise Refused("Say what to change: --origin, --webhook, --grace, --visits.")
    writer = audited(db, "changed the app", app.name)
    await register.change(writer, app.id, partial(read_settings, args))
    if not settings.visits:
        await written.forget_app(db, app.id)
    if args.webhook and (await webhooks.state(db, app.id)).off_at is not None:
        # It was gone, and is said to be there again.
        await register.resync(audited(db, "sent again who is here to", app.name), app.id)
    print(f"Changed {app.name}.")
    if args.drop_previous:
        await _drop_previous(db, app, as_json=False)


async def _rotate(db: Database, config: Config, args: argparse.Namespace) -> None:
    app = await named_app(db, args.name)
    if args.drop_previous:
        await _drop_previous(db, app, as_json=args.json)
        return
    keyring = open_keyring(config.key_file, create=False)
    writer = audited(db, "made a new key for", app.name)
    made = await register.rotate(writer, keyring, app.id, int(time.time()))
    print_secrets(app.name, made, as_json=args.json)


async def _drop_previous(db: Database, app: App, *, as_json: bool) -> None:
    writer = audited(db, "dropped the previous key of", app.name)
    dropped = await register.drop_previous(writer, app.id)
    if as_json:
        print(json.dumps({"name": app.name, "dropped": dropped}))
    else:
        print(f"Dropped the key {dropped[0]}." if dropped else "There was no previous key.")


async def _delete(db: Database, name: str) -> None:
    app = await named_app(db, name)
    await written.forget_app(db, app.id)
    await register.delete(audited(db, "deleted the app", app.name), app.id)
    print(f"Deleted the app {app.name}.")


async def _resync(db: Database, name: str) -> None:
    app = await named_app(db, name)
    if app.settings.webhook is None:
        raise Refused(f"{app.name} has no webhook: `app set {app.name} --webhook URL`.")
    await register.resync(audited(db, "sent again who is here to", app.name), app.id)
    print(f"{app.name} is being told again who is here.")


async def _print_token(db: Database, config: Config, args: argparse.Namespace) -> None:
    app = await named_app(db, args.name)
    if problem := tokens.user_problem(args.user):
        raise Refused(f"--user names {problem}.")
    rooms = dict(map(read_room, args.room))
    if len(rooms) > MOST_PATTERNS:
        raise Refused(f"--room names more than {MOST_PATTERNS} rooms.")
    try:
        made = register.unseal(open_keyring(config.key_file, create=False), app.keys[0])
    except Unreadable:
        raise Refused(
            f"The key of {app.name} was sealed with another key file; `app rotate` makes a new one."
        ) from None
    key = SigningKey(app.id, made.key, made.secret)
    ttl, info = read_ttl(args.ttl), read_info(args.info)
    print(tokens.make_token(key, args.user, rooms, int(time.time()), ttl, info))
