"""Why the server closes a line: every close code, its words, and whether the peer may come back."""

from typing import NamedTuple


class Farewell(NamedTuple):
    """`words` go into the close frame, `reason` into a `bye` before it (None: without a bye).

    A peer that `returns` may come back by itself; others first need something else: another
    session, another token, a program without the mistake.
    """

    code: int
    words: str
    reason: str | None = None
    returns: bool = False


RESTARTING = Farewell(1012, "the server restarts", "restarting", returns=True)
TOO_SLOW = Farewell(1013, "you read too slowly", "too_slow", returns=True)
# Nothing is said to a peer that does not hear; the code stands in our own figures only.
SILENT = Farewell(1006, "the peer has fallen silent", returns=True)

BINARY = Farewell(1003, "messages are text")
NO_MESSAGE = Farewell(1007, "not a message of this protocol")
TOO_MUCH = Farewell(1008, "too many messages, or too many bytes")

LEFT = Farewell(1000, "as you said")

SESSION_ENDED = Farewell(4401, "the session has ended", "session_ended")
TOKEN_INVALID = Farewell(4401, "the token is not valid", "token_invalid")
TOKEN_EXPIRED = Farewell(4401, "the token has expired", "token_expired")
REVOKED = Farewell(4401, "the token has been revoked", "revoked")
NOT_ALLOWED = Farewell(4403, "the token does not allow this", "not_allowed")
FULL = Farewell(4409, "the room is full", "full")
BAD_REQUEST = Farewell(1007, "the line was asked for in a wrong way", "bad_request")

# How a line is refused that has been opened to say why, by the code of the refusal. Of all others
# the upgrade fails.
REFUSALS = {
    "bad_request": BAD_REQUEST,
    "token_invalid": TOKEN_INVALID,
    "token_expired": TOKEN_EXPIRED,
    "revoked": REVOKED,
    "not_allowed": NOT_ALLOWED,
    "full": FULL,
}
