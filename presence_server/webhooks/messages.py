"""What is said to a backend: the body, and the signature by the standard of webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from presence_server.presence.told import Change, Message

MOST_CHANGES = 100
MOST_BYTES = 16 * 1024
# What stands around the changes, and around each with its numbers.
_AROUND = 200
_AROUND_EACH = 100


def fitting(changes: Iterable[Change]) -> Iterator[Change]:
    """The first of them, as many as one message may have."""
    size = _AROUND
    for number, change in enumerate(changes):
        # A room may also be named as one that is occupied or vacated.
        size += 2 * _size(change.room) + _size(change.user) + _AROUND_EACH
        if number and (number == MOST_CHANGES or size > MOST_BYTES):
            return
        yield change


def body(message: Message, now: float) -> bytes:
    data = {
        "changes": [_change(change, message.counts[change.room]) for change in message.changes],
        "occupied": message.occupied,
        "vacated": message.vacated,
    }
    said = {"type": "presence.changed", "timestamp": _written(now), "data": data}
    return _json(said)


def headers(
    id: str, content: bytes, second: int, secrets: Sequence[str]
) -> Mapping[str, str]:
    """One signature by each secret: while a key rotates, whoever has either can verify."""
    signed = f"{id}.{second}.".encode() + content
    return {
        "Content-Type": "application/json",
        "User-Agent": "presence-server",
        "Webhook-Id": id,
        "Webhook-Timestamp": str(second),
        "Webhook-Signature": " ".join(f"v1,{_signature(secret, signed)}" for secret in secrets),
    }


def _change(change: Change, count: int) -> dict[str, Any]:
    status = "here" if change.here else "gone"
    said = {"room": change.room, "user": change.user, "status": status, "since": change.since}
    return {**said, "count": count}


def _signature(secret: str, signed: bytes) -> str:
    key = b64decode(secret.removeprefix("whsec_"))
    return b64encode(hmac.digest(key, signed, "sha256")).decode()


def _written(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace(
        "+00:00", "Z"
    )


def _size(text: str) -> int:
    return len(_json(text))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
