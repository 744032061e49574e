"""What a node said lately: who knows the rest is told no more than this."""

from typing import NamedTuple

# So many are remembered; who missed more than that is told all.
_REMEMBERED = 10_000
# Whoever missed something has perhaps read notes instead, and these say again what was said so many
# seconds before: that is told again as well.
_SAID_BEFORE = 10.0

# A session, by room and tag, or the choice of a user, by app and name.
Key = tuple[str, str] | tuple[int, str]


class _Change(NamedTuple):
    sequence: int
    at: float
    gone_since: int


class Recent:
    """Sessions and choices in the order of their last change."""

    def __init__(self) -> None:
        self._changes: dict[Key, _Change] = {}
        # Of changes up to this number not all are remembered.
        self._forgotten = 0

    def note(self, key: Key, sequence: int, at: float, gone_since: int = 0) -> None:
        """It is said in the batch of this number, or known to others after the one before."""
        self._changes.pop(key, None)
        self._changes[key] = _Change(sequence, at, gone_since)
        if len(self._changes) > _REMEMBERED:
            self._forgotten = self._changes.pop(next(iter(self._changes))).sequence

    def reaches(self, sequence: int) -> bool:
        """Whether all is remembered that was said after a number."""
        return sequence >= self._forgotten

    def after(self, sequence: int) -> dict[Key, int]:
        """What was said after a number, or just before it; with the second since which a session
        that is no more was gone."""
        since, found = None, {}
        for key, change in reversed(self._changes.items()):
            if change.sequence <= sequence:
                since = change.at - _SAID_BEFORE if since is None else since
                if change.at < since:
                    break
            found[key] = change.gone_since
        return found
