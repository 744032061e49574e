"""Many accounts out of a table: what would happen, and all of it or nothing."""

import csv
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from presence_server.accounts import links, profiles, users
from presence_server.accounts.names import name_problem, tidy
from presence_server.accounts.usernames import username_problem
from presence_server.csv_text import as_meant
from presence_server.endings import Endings
from presence_server.storage.database import Read, TakenBack, Transaction
from presence_server.storage.places import with_places

MOST_LINES = 5000

_SEPARATORS = ",;\t"


class BadTable(Exception):
    """It cannot be read at all; the text is a sentence."""


class ChangedMeanwhile(TakenBack):
    """Some of the accounts are there by now: nothing was made."""


class Newcomer(NamedTuple):
    """`name` is what others read beside the user name; it may be empty."""

    username: str
    name: str


@dataclass(slots=True)
class Plan:
    """Who would get an account, who has one already, and what is wrong, each with its line."""

    new: list[Newcomer] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    wrong: list[tuple[int, str]] = field(default_factory=list)


def read_text(data: bytes) -> str:
    """The table as text; spreadsheets mark what they write in UTF-8 or UTF-16. Raises BadTable."""
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise BadTable(
            "This file is not in UTF-8. Save it again, in Excel as “CSV UTF-8”."
        ) from None
    if "\0" in text:
        raise BadTable("This file is not a table of text.")
    return text


async def plan(read: Read, text: str) -> Plan:
    """What the table asks for; `read` is that of a database. Raises BadTable."""
    planned, seen = Plan(), set[str]()
    for line, newcomer in _newcomers(text):
        username = newcomer.username
        problem = username_problem(username) or name_problem(newcomer.name)
        if problem is None and username.lower() in seen:
            problem = f"{username} is in the table twice."
        seen.add(username.lower())
        if problem is None:
            planned.new.append(newcomer)
        else:
            planned.wrong.append((line, problem))
    there = {name async for name, _ in _ids(read, [each.username for each in planned.new])}
    planned.known = [each.username for each in planned.new if each.username.lower() in there]
    planned.new = [each for each in planned.new if each.username.lower() not in there]
    return planned


async def make(
    ends: Endings, newcomers: Sequence[Newcomer], made_by: str, now: int
) -> dict[str, str]:
    """Make all accounts, and return what stands in the link of each. Raises ChangedMeanwhile."""
    usernames = [each.username for each in newcomers]
    tokens = {username: links.new() for username in usernames}

    async def work(transaction: Transaction) -> None:
        async for _ in _ids(transaction.execute, usernames):
            raise ChangedMeanwhile
        await transaction.execute_many(
            "INSERT INTO users (username, lower_name, password_hash, created_at)"
            " VALUES ($1, $2, $3, $4)",
            [(name, name.lower(), users.NO_PASSWORD, now) for name in usernames],
        )
        ids = {name: id async for name, id in _ids(transaction.execute, usernames)}
        keys = [(key, ids[name.lower()]) for name, (_, key) in tokens.items()]
        await links.insert_resets(transaction, keys, made_by, now, links.FIRST_HOLDS)
        named = [(ids[who.lower()], who, name) for who, name in newcomers if name]
        await profiles.write_first_names(transaction, named, now)

    await ends.write(work)
    return {username: token for username, (token, _) in tokens.items()}


def _newcomers(text: str) -> Iterator[tuple[int, Newcomer]]:
    """Each with the number of its line. Raises BadTable."""
    first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        header = [title.strip().lower() for title in next(reader, [])]
        if header.count("username") != 1:
            raise BadTable("The first line must name the columns, and one of them “username”.")
        named = header.index("name") if "name" in header else len(header)
        columns, rows = (header.index("username"), named), 0
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            rows += 1
            if rows > MOST_LINES:
                raise BadTable(f"At most {MOST_LINES:,} accounts can be added at once.")
            username, name = (_cell(row, column) for column in columns)
            yield reader.line_num, Newcomer(username, tidy(name))
        if not rows:
            raise BadTable("There are no accounts in this table.")
    except csv.Error as error:
        raise BadTable(f"Line {reader.line_num} is broken: {error}.") from None


def _cell(row: Sequence[str], column: int) -> str:
    return as_meant(row[column].strip()) if column < len(row) else ""


async def _ids(read: Read, usernames: Sequence[str]) -> AsyncIterator[tuple[str, int]]:
    """Of those that are accounts, the lower-case name and the id."""
    for some, places in with_places(map(str.lower, usernames)):
        for name, id in await read(
            f"SELECT lower_name, id FROM users WHERE lower_name IN ({places})", *some
        ):
            yield name, id
