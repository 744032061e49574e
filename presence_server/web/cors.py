"""What pages on other origins may read: answers to a token, for the origins of its app. Pure.

An app's key gets none of this: it must not work in pages.
"""

from collections.abc import Collection

_HEADERS = "authorization, content-type, last-event-id"
_MAX_AGE = "7200"  # seconds


def preflight_headers(
    origin: str | None, origins: Collection[str], methods: Collection[str]
) -> dict[str, str]:
    """The answer to OPTIONS, which carries no token: `origins` are those of all apps."""
    headers = answer_headers(origin, origins)
    if "Access-Control-Allow-Origin" in headers:
        headers |= {
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": _MAX_AGE,
        }
    return headers


def answer_headers(origin: str | None, origins: Collection[str]) -> dict[str, str]:
    """For an answer: `origins` are those of the token's app, or of all apps when it is of none."""
    # Vary also where nothing is allowed: or a cache would hand that on to an origin that may.
    headers = {"Vary": "Origin"}
    if origin is not None and origin in origins:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = "Retry-After, WWW-Authenticate"
        # The rest of the site is closed to other origins.
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return headers
