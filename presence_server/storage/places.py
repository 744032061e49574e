"""Places for many values in one statement."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

# Some databases refuse more values than this in one statement.
_MOST = 500


def places(number: int, *, after: int = 0) -> str:
    """So many of them, behind those of other values: `$1, $2`."""
    return ", ".join(f"${place}" for place in range(after + 1, after + number + 1))


def with_places(values: Iterable[T]) -> Iterator[tuple[list[T], str]]:
    """Some of the values at a time, as many as one statement may have, each time with places."""
    rest = iter(values)
    while some := list(islice(rest, _MOST)):
        yield some, places(len(some))
