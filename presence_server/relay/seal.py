"""The seal on what nodes send each other: whoever else reaches Redis cannot make it."""

import hmac
from collections.abc import Sequence
from hashlib import sha256

_DIGITS = 32
_BYTES = _DIGITS // 2


class Seal:
    """Seals with the first key and opens with any, so that keys can be replaced node by node.

    A seal is good within one namespace only: deployments may share their keys.
    """

    def __init__(self, keys: Sequence[bytes], namespace: str) -> None:
        self._keys = tuple(keys)
        self._namespace = namespace.encode() + b"\0"

    def close(self, text: str) -> bytes:
        data = text.encode("utf-8", "replace")
        return self._seal(self._keys[0], data) + data

    def open(self, sealed: bytes) -> str | None:
        """The text, or None when the seal is none of ours."""
        given, data = sealed[:_DIGITS], sealed[_DIGITS:]
        if any(hmac.compare_digest(self._seal(key, data), given) for key in self._keys):
            return data.decode("utf-8", "replace")
        return None

    def _seal(self, key: bytes, data: bytes) -> bytes:
        whole = hmac.digest(key, self._namespace + data, sha256)
        return whole[:_BYTES].hex().encode()
