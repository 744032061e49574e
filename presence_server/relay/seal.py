"""The seal on what nodes send each other: whoever else reaches Redis cannot make it."""

import hmac
from collections.abc import Sequence
from hashlib import sha256

_DIGITS = 32
_BYTES = _DIGITS // 2


class Seal:
    """Seals with the first key and opens with any, so that keys can be replaced node by node.

    A seal is good on one channel only: deployments may share their keys, and what was said to one
    node was not said to another.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def close(self, text: str, channel: str) -> bytes:
        data = text.encode("utf-8", "replace")
        return _seal(self._keys[0], data, channel.encode()) + data

    def open(self, sealed: bytes, channel: bytes) -> str | None:
        """The text, or None when the seal is none of ours."""
        given, data = sealed[:_DIGITS], sealed[_DIGITS:]
        if any(hmac.compare_digest(_seal(key, data, channel), given) for key in self._keys):
            return data.decode("utf-8", "replace")
        return None


def _seal(key: bytes, data: bytes, channel: bytes) -> bytes:
    whole = hmac.digest(key, channel + b"\0" + data, sha256)
    return whole[:_BYTES].hex().encode()
