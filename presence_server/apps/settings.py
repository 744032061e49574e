"""What may be said of an app, on the command line and on the pages of administrators. Each reader
raises ValueError with the rest of a sentence that says what the value must be."""

import re

from yarl import URL

from presence_server.origins import read_site_url

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LONGEST_GRACE = 24 * 60 * 60  # seconds
_LONGEST_VISITS = 3650  # days


def read_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError(
            "1 to 64 letters, digits, dots, dashes and underscores, a letter or digit first"
        )
    return text


def read_origin(text: str) -> str:
    """An origin as browsers write it."""
    try:
        origin, path = read_site_url(text)
    except ValueError:
        path = text
    if path:
        raise ValueError("an origin such as https://example.com, without a path")
    return str(origin)


def read_webhook(text: str) -> str:
    must_be = "a URL that starts with https:// or http://, without a password"
    try:
        url = URL(text)
        read_site_url(str(url.origin()))
    except ValueError:
        raise ValueError(must_be) from None
    if url.user or url.password or "#" in text:
        raise ValueError(must_be)
    return str(url)


def read_grace(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_GRACE:
        raise ValueError(f"a number of seconds, 0 to {_LONGEST_GRACE}")
    return seconds


def read_visits(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,4}", text) is None or int(text) > _LONGEST_VISITS:
        raise ValueError(f"a whole number of days, 0 to {_LONGEST_VISITS}")
    return int(text)
