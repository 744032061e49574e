"""JSON objects as they come from others, read strictly."""

import json
import math
from typing import Any


class MessageError(ValueError):
    """The peer sent what is no message: not JSON, no object, or a field that cannot be."""


def parse_object(text: str) -> dict[str, Any]:
    """Read one JSON object, refusing what only Python's reader would let through."""
    try:
        message = json.loads(
            text,
            parse_float=_finite,
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_repeats,
        )
    except (ValueError, RecursionError) as error:
        raise MessageError("not JSON") from error
    if not isinstance(message, dict):
        raise MessageError("not a JSON object")
    return message


def _finite(text: str) -> float:
    # Python would read 1e999, and then write Infinity, which nobody else can read.
    number = float(text)
    if not math.isfinite(number):
        raise MessageError(f"{text[:20]} is too large")
    return number


def _refuse_constant(constant: str) -> None:
    raise MessageError(f"{constant} is not JSON")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MessageError("a field is repeated")
    return fields
