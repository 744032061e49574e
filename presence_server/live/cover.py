"""Numbers that clients carry and must not compare: they grow with what nobody is to be told."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

# Two numbers, and nothing: by that it is known which key it was.
_NUMBER, _NOTHING = 6, bytes(4)
_DIGITS = 32


class Cover:
    """Covers with the first key and uncovers with any, so that keys can be replaced node by node.

    It is one block of AES for each pair of numbers: the same pair looks the same.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = [Cipher(AES256(key), ECB()) for key in keys]

    def cover(self, one: int, other: int) -> str:
        block = b"".join(number.to_bytes(_NUMBER, "big") for number in (one, other)) + _NOTHING
        return self._ciphers[0].encryptor().update(block).hex()

    def uncover(self, text: str) -> tuple[int, int] | None:
        """The numbers; None if the text is none of ours."""
        try:
            block = bytes.fromhex(text)
        except ValueError:
            return None
        if len(text) != _DIGITS or len(block) * 2 != _DIGITS:
            return None
        for cipher in self._ciphers:
            shown = cipher.decryptor().update(block)
            if shown.endswith(_NOTHING):
                return (
                    int.from_bytes(shown[:_NUMBER], "big"),
                    int.from_bytes(shown[_NUMBER : 2 * _NUMBER], "big"),
                )
        return None
