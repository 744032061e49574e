"""What the user name of an account may be."""

import re

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,30}[A-Za-z0-9]")
_CHARACTERS = re.compile(r"[A-Za-z0-9_.-]*")
# Whoever has one of these would be taken for somebody else, or for nobody.
_RESERVED = frozenset(
    "admin administrator anonymous everybody everyone moderator null root security staff support"
    " sysadmin system undefined webmaster".split()
)


def username_problem(username: str) -> str | None:
    """A sentence that says what is wrong with a name for a new account, or None."""
    if _NAME.fullmatch(username):
        return None
    if not 3 <= len(username) <= 32:
        return "A username has 3 to 32 characters."
    if not _CHARACTERS.fullmatch(username):
        return "A username is made of the letters a to z, digits, dots, dashes and underscores."
    return "A username begins and ends with a letter or a digit."


def is_reserved(username: str) -> bool:
    """Whether only an operator may give somebody this name."""
    return username.lower() in _RESERVED
