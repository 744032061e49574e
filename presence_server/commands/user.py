"""`presence-server user …`: accounts."""

import argparse
import getpass
import json
import signal
import sys
import time
from dataclasses import asdict

from presence_server.accounts import links, profiles, users
from presence_server.accounts.names import name_problem, tidy
from presence_server.accounts.usernames import username_problem
from presence_server.accounts.users import User
from presence_server.commands.parsers import Subparsers
from presence_server.storage.database import Database
from presence_server.accounts.passwords import Passwords, password_problem
from presence_server.commands.database import (
    Refused,
    audited,
    counted,
    minute,
    named_user,
    printable,
    run_on_database,
)
from presence_server.config import Config
from presence_server.settings.values import typed

_ACTIONS = {
    "add": "add an account; asks for the password, or reads it from standard input",
    "name": "set the name that others see beside the username",
    "passwd": "set a new password and end all sessions of the user",
    "disable": "end all sessions of the user and allow no new ones",
    "enable": "let a disabled user log in again",
    "delete": "delete the account and everything that belongs to it",
    "reset": "print a link with which the user chooses a new password, once, within a day",
}
_SHOWN = "the name that others see beside the username"
_PAGE = 500


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    parser = subparsers.add_parser("user", help="add, list, change and delete accounts")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list all accounts")
    listing.add_argument("--json", action="store_true", help="as JSON, an object a line")
    named = {action: actions.add_parser(action, help=about) for action, about in _ACTIONS.items()}
    named["admin"] = actions.add_parser("admin", help="let a user run the site in a browser")
    for each in named.values():
        each.add_argument("name", metavar="NAME")
    named["add"].add_argument(
        "--name", dest="shown", type=typed, default="", metavar="SHOWN", help=_SHOWN
    )
    named["name"].add_argument(
        "shown", type=typed, metavar="SHOWN", help=f"{_SHOWN}; empty for nothing"
    )
    named["add"].add_argument("--admin", action="store_true", help="let the user run the site")
    named["admin"].add_argument("switch", choices=["on", "off"])
    invite = actions.add_parser("invite", help="print a link with which people can sign up")
    invite.add_argument(
        "--days", type=_days, default=7, metavar="N", help="how long it is valid (default: 7)"
    )
    invite.add_argument(
        "--uses", type=_uses, default=1, metavar="N", help="for how many people (default: 1)"
    )
    return parser


def _days(text: str) -> int:
    return _whole(text, links.MOST_DAYS)


def _uses(text: str) -> int:
    return _whole(text, links.MOST_USES)


def _whole(text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {most}, not {text!r}")
    return int(text)


def run(args: argparse.Namespace, config: Config) -> int:
    async def work(db: Database) -> None:
        match args.action:
            case "add":
                await _add(db, args.name, args.shown, config.bcrypt_cost, args.admin)
            case "admin":
                await _set_administrator(db, args.name, args.switch == "on")
            case "reset":
                await _reset(db, args.name, config)
            case "invite":
                await _invite(db, args.days, args.uses, config)
            case "list":
                await _list(db, as_json=args.json)
            case "name":
                await _rename(db, args.name, args.shown)
            case "passwd":
                await _change_password(db, args.name, config.bcrypt_cost)
            case "disable":
                await _disable(db, args.name)
            case "enable":
                await _enable(db, args.name)
            case "delete":
                await _delete(db, args.name)

    return run_on_database(config, work, create=args.action == "add")


async def _add(
    db: Database, name: str, shown: str, bcrypt_cost: int, administrator: bool
) -> None:
    if problem := username_problem(name):
        raise Refused(problem)
    shown = _tidy(shown)
    # Before a password is asked for; that nobody takes the name meanwhile is seen to below.
    if await users.find(db, name):
        raise Refused(f"There is already a user {name}.")
    password_hash = await _hash_new_password(name, bcrypt_cost)
    try:
        await users.create(
            audited(db, "added the administrator" if administrator else "added", name),
            name,
            password_hash,
            int(time.time()),
            administrator=administrator,
            name=shown,
        )
    except users.UsernameTaken as taken:
        raise Refused(f"The name {name} is not available.") from taken
    print(f"Added the account {name}{', who may run the site' if administrator else ''}.")


async def _list(db: Database, *, as_json: bool) -> None:
    after = 0
    while found := await users.listed(db, after, _PAGE):
        for user in found:
            print(json.dumps(asdict(user)) if as_json else _line(user))
        after = found[-1].id


def _line(user: User) -> str:
    disabled = "  disabled" if user.disabled else ""
    administrator = "  administrator" if user.administrator else ""
    name = f"  {printable(user.name)}" if user.name else ""
    return (
        f"{printable(user.username):32}  since {minute(user.created_at)}"
        f"  last seen {minute(user.last_seen)}{disabled}{administrator}{name}"
    )


async def _rename(db: Database, name: str, shown: str) -> None:
    user, shown = await named_user(db, name), _tidy(shown)
    writer = audited(db, "named", user.username)
    await profiles.set_name(writer, user.id, shown, int(time.time()))
    seen = f"{user.username} as {shown}" if shown else f"only the username {user.username}"
    print(f"Others see {seen} now.")


def _tidy(shown: str) -> str:
    name = tidy(shown)
    if problem := name_problem(name):
        raise Refused(problem)
    return name


async def _change_password(db: Database, name: str, bcrypt_cost: int) -> None:
    user = await named_user(db, name)
    password_hash = await _hash_new_password(user.username, bcrypt_cost)
    writer = audited(db, "changed the password of", user.username)
    await users.change_password(writer, user.id, password_hash, int(time.time()))
    print(f"Changed the password of {user.username} and ended all sessions.")


async def _set_administrator(db: Database, name: str, administrator: bool) -> None:
    user = await named_user(db, name)
    act = "gave administrator rights to" if administrator else "took administrator rights from"
    await users.set_administrator(audited(db, act, user.username), user.id, administrator)
    now = "may run the site now" if administrator else "may not run the site any more"
    print(f"{user.username} {now}.")


async def _reset(db: Database, name: str, config: Config) -> None:
    site = config.site_url
    user = await named_user(db, name)
    if user.disabled:
        raise Refused(f"{user.username} is disabled: enable the account first.")
    writer = audited(db, "made a reset link for", user.username)
    token = await links.reset(writer, user.id, "", int(time.time()), links.RESET_HOLDS)
    print(f"{site}/reset/{token}")


async def _invite(db: Database, days: int, uses: int, config: Config) -> None:
    site = config.site_url
    people = "1 person" if uses == 1 else f"{uses} people"
    writer = audited(db, f"invited {people} for {counted(days, 'day')}")
    token = await links.invite(writer, "", int(time.time()), days * links.DAY, uses)
    print(f"{site}/invite/{token}")


async def _disable(db: Database, name: str) -> None:
    user = await named_user(db, name)
    await users.disable(audited(db, "disabled", user.username), user.id, int(time.time()))
    print(f"Disabled {user.username} and ended all sessions.")


async def _enable(db: Database, name: str) -> None:
    user = await named_user(db, name)
    await users.enable(audited(db, "enabled", user.username), user.id)
    print(f"Enabled {user.username}.")


async def _delete(db: Database, name: str) -> None:
    user = await named_user(db, name)
    await users.delete(audited(db, "deleted", user.username), user.id, int(time.time()))
    print(f"Deleted the account {user.username}.")


async def _hash_new_password(username: str, bcrypt_cost: int) -> str:
    password = _read_password()
    if problem := password_problem(password, username):
        raise Refused(problem)
    passwords = Passwords(bcrypt_cost)
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()


def _read_password() -> str:
    """Asked for twice at a terminal; otherwise the first line of standard input."""
    if sys.stdin is None:
        # It was closed.
        raise Refused("No password came.")
    if sys.stdin.isatty():
        return _ask_password()
    line = sys.stdin.buffer.readline()
    if not line:
        raise Refused("No password came.")
    try:
        return line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise Refused("The password is not in UTF-8.") from error


def _ask_password() -> str:
    # The event loop would take the first Ctrl-C for itself, and go on waiting.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        password = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != password:
            raise Refused("The two passwords are not the same.")
        return password
    except EOFError:
        print(file=sys.stderr)
        raise Refused("No password came.") from None
    finally:
        signal.signal(signal.SIGINT, before)
