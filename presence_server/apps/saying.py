"""What users say of themselves who have no socket to say it over: in the body of a request, and
then from node to node, for their line may be at another one than the request."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from presence_server.presence.client_messages import DataMessage, StatusMessage, parse_client_fields
from presence_server.presence.objects import MessageError

LONGEST_LINE_NAME = 64

# These are said for all of a user's lines, whatever else is said with them.
_CHOICES = ("busy", "invisible")


class Said(NamedTuple):
    """`choice` is for all of the user's rooms, the rest for this one.

    With `keeps_status` the choice says words only. `line` names the line that it is said for;
    without it nobody knows which one that is.
    """

    choice: StatusMessage | None = None
    keeps_status: bool = False
    status: StatusMessage | None = None
    data: DataMessage | None = None
    leave: bool = False
    line: str | None = None


def read_said(body: Mapping[str, Any], now: int) -> Said:
    """Raises MessageError."""
    status = _status(body, now)
    data = parse_client_fields("data", body, now)
    assert data is None or isinstance(data, DataMessage)
    leave, line = body.get("leave", False), body.get("line")
    if not isinstance(leave, bool):
        raise MessageError("leave is neither true nor false")
    if line is not None and not is_line_name(line):
        raise MessageError(f"line is no text of 1 to {LONGEST_LINE_NAME} characters")
    if status is not None and status.whole_user:
        return Said(status, "status" not in body, None, data, leave, line)
    return Said(None, False, status, data, leave, line)


def words_of(said: Said) -> dict[str, Any]:
    """What other nodes have to be told, to be read by them with read_said()."""
    words: dict[str, Any] = {}
    if said.status is not None:
        words["status"] = said.status.status
    if said.data is not None:
        words["data"] = said.data.data
    if said.leave:
        words["leave"] = True
    if words and said.line is not None:
        words["line"] = said.line
    return words


def is_line_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= LONGEST_LINE_NAME and name.isprintable()


def _status(body: Mapping[str, Any], now: int) -> StatusMessage | None:
    fields = {name: body[name] for name in ("status", "text", "until") if name in body}
    if not fields:
        return None
    status = body.get("status", "online")
    whole = body.get("scope") == "user" or status in _CHOICES or len({*fields} - {"status"}) > 0
    scope = {"scope": "user"} if whole else {}
    found = parse_client_fields("status", {**fields, "status": status, **scope}, now)
    if not isinstance(found, StatusMessage):
        raise MessageError("status is none of online, busy, away and invisible")
    return found
