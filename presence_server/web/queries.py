"""What stands behind the ? of a request to the API. Each reader raises Problem."""

import re
from urllib.parse import unquote, unquote_to_bytes

from aiohttp import web

from presence_server.apps.permissions import is_room
from presence_server.apps.tokens import user_problem
from presence_server.web.problems import Problem

_DIGITS = re.compile(r"[0-9]{1,9}")
_SECOND = re.compile(r"[0-9]{1,12}")


def bad_request(detail: str) -> Problem:
    return Problem(400, "bad_request", detail)


def one(request: web.Request, name: str) -> str | None:
    values = request.query.getall(name, ())
    if len(values) > 1:
        raise bad_request(f"{name} may stand there only once.")
    if not values:
        return None
    for pair in request.rel_url.raw_query_string.split("&"):
        name_of_pair, _, value = pair.partition("=")
        if unquote(name_of_pair) == name and not _is_utf_8(value):
            raise bad_request(f"{name} must be UTF-8.")
    return values[0]


def whole(request: web.Request, name: str, least: int, most: int) -> int | None:
    text = one(request, name)
    if text is None:
        return None
    if _DIGITS.fullmatch(text) is None or not least <= int(text) <= most:
        raise bad_request(f"{name} must be a whole number from {least} to {most}.")
    return int(text)


def second(request: web.Request, name: str) -> int | None:
    """A Unix second."""
    text = one(request, name)
    if text is not None and _SECOND.fullmatch(text) is None:
        raise bad_request(f"{name} must be a Unix second.")
    return None if text is None else int(text)


def switch(request: web.Request, name: str, word: str) -> bool:
    """Whether it stands there, with the one word that it may have."""
    text = one(request, name)
    if text not in (None, word):
        raise bad_request(f"{name} must be {word}, or not there at all.")
    return text is not None


def user_in_query(request: web.Request) -> str | None:
    """A user's id."""
    text = one(request, "user")
    if text is not None and (problem := user_problem(text)):
        raise bad_request(f"user names {problem}.")
    return text


def room_in_path(request: web.Request) -> str:
    room = request.match_info["room"]
    if not is_room(room):
        raise bad_request(
            "The name of a room has 1 to 128 letters, digits and characters of _=@.,;:- only."
        )
    return room


def user_in_path(request: web.Request) -> str:
    # What stands for other bytes than UTF-8 would be taken as it was sent: for somebody else's id.
    if not _is_utf_8(request.rel_url.raw_path.rpartition("/")[2]):
        raise bad_request("The path names a user in other bytes than UTF-8.")
    user = request.match_info["user"]
    if problem := user_problem(user):
        raise bad_request(f"The path names {problem}.")
    return user


def _is_utf_8(quoted: str) -> bool:
    try:
        unquote_to_bytes(quoted).decode()
    except UnicodeError:
        return False
    return True
