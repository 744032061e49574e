"""`presence-server user …`: accounts."""

import argparse
import getpass
import signal
import sys
import time
from typing import TYPE_CHECKING

from presence_server.accounts import users
from presence_server.storage.database import Database
from presence_server.accounts.passwords import Passwords, password_problem
from presence_server.commands.database import (
    Refused,
    minute,
    named_user,
    printable,
    run_on_database,
)
from presence_server.config import Config
from presence_server.endings import Endings

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_ACTIONS = {
    "add": "make an account; asks for the password, or reads it from standard input",
    "passwd": "give a new password and end all sessions of the user",
    "disable": "end all sessions of the user and let none begin",
    "enable": "let a disabled user log in again",
    "delete": "delete the account with all that belongs to it",
}
_PAGE = 500


def add_parser(subparsers: "Subparsers") -> argparse.ArgumentParser:
    parser = subparsers.add_parser("user", help="make, list, change and delete accounts")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="list all accounts")
    for action, about in _ACTIONS.items():
        actions.add_parser(action, help=about).add_argument("name", metavar="NAME")
    return parser


def run(args: argparse.Namespace, config: Config) -> int:
    async def work(db: Database) -> None:
        match args.action:
            case "add":
                await _add(db, args.name, config.bcrypt_cost)
            case "list":
                await _list(db)
            case "passwd":
                await _change_password(db, args.name, config.bcrypt_cost)
            case "disable":
                await _disable(db, args.name)
            case "enable":
                await _enable(db, args.name)
            case "delete":
                await _delete(db, args.name)

    return run_on_database(config, work, create=args.action == "add")


async def _add(db: Database, name: str, bcrypt_cost: int) -> None:
    if problem := users.name_problem(name):
        raise Refused(problem)
    # Before a password is asked for; that nobody takes the name meanwhile is seen to below.
    if await users.find(db, name):
        raise Refused(f"There is a user {name} already.")
    password_hash = await _hash_new_password(name, bcrypt_cost)
    try:
        await users.create(db, name, password_hash, int(time.time()))
    except users.UsernameTaken as taken:
        raise Refused(f"The name {name} is not available.") from taken
    print(f"Made the account {name}.")


async def _list(db: Database) -> None:
    after = 0
    while found := await users.listed(db, after, _PAGE):
        for user in found:
            disabled = "  disabled" if user.disabled else ""
            print(
                f"{printable(user.username):32}  since {minute(user.created_at)}"
                f"  last seen {minute(user.last_seen)}{disabled}"
            )
        after = found[-1].id


async def _change_password(db: Database, name: str, bcrypt_cost: int) -> None:
    user = await named_user(db, name)
    password_hash = await _hash_new_password(user.username, bcrypt_cost)
    await users.change_password(Endings(db), user.id, password_hash, int(time.time()))
    print(f"Changed the password of {user.username} and ended all sessions.")


async def _disable(db: Database, name: str) -> None:
    user = await named_user(db, name)
    await users.disable(Endings(db), user.id, int(time.time()))
    print(f"Disabled {user.username} and ended all sessions.")


async def _enable(db: Database, name: str) -> None:
    user = await named_user(db, name)
    await users.enable(db, user.id)
    print(f"Enabled {user.username}.")


async def _delete(db: Database, name: str) -> None:
    user = await named_user(db, name)
    await users.delete(Endings(db), user.id, int(time.time()))
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
        if getpass.getpass("The same again: ") != password:
            raise Refused("The two passwords are not the same.")
        return password
    except EOFError:
        print(file=sys.stderr)
        raise Refused("No password came.") from None
    finally:
        signal.signal(signal.SIGINT, before)
