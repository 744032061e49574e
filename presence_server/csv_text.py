"""CSV that no program takes for anything but text."""

import csv
import io
from collections.abc import Iterable, Sequence

# With one of these spreadsheets begin what they calculate, unless an apostrophe stands before it.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_HARMLESS = tuple(f"'{sign}" for sign in _FORMULAS)


def csv_rows(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def as_meant(cell: str) -> str:
    """A cell without what csv_rows(), or somebody like it, has put before a formula."""
    return cell[1:] if cell.startswith(_HARMLESS) else cell


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULAS) else cell
