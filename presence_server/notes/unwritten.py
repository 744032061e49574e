"""What a node has yet to write down."""

from typing import NamedTuple

from presence_server.presence.records import Chosen, Record, Stay


class Taken(NamedTuple):
    """A record of what changed, or of the `whole`, and when it was taken by time.monotonic()."""

    record: Record
    whole: bool
    at: float


class Unwritten:
    """Records that have not been written yet, joined to one.

    What it has given out does not change: the database may be writing it.
    """

    def __init__(self) -> None:
        self.clear()
        # Stays without an open line, also those that have been written.
        self.graces: set[tuple[str, str]] = set()

    def clear(self) -> None:
        self._here: dict[tuple[str, str], Stay] = {}
        self._gone: set[tuple[str, str]] = set()
        self._last_seen: dict[str, int] = {}
        self._choices: dict[tuple[int, str], Chosen] = {}
        # When each stay was taken from the roster.
        self.taken_at: dict[tuple[str, str], float] = {}

    def __bool__(self) -> bool:
        return bool(self._here or self._gone or self._last_seen or self._choices)

    def add(self, taken: Taken) -> None:
        """Add what is newer; a `whole` record replaces all that is known of stays."""
        record = taken.record
        here = {(stay.room, stay.session): stay for stay in record.here}
        if taken.whole:
            self._here, self._gone, self.graces = {}, set(), set()
        self._gone = (self._gone - here.keys()) | record.gone
        self._here |= here
        for key in record.gone:
            self._here.pop(key, None)
        resting = {key for key, stay in here.items() if stay.resting is not None}
        self.graces = (self.graces - here.keys() - record.gone) | resting
        self._last_seen = self._last_seen | record.last_seen
        self._choices |= {(choice.app, choice.user): choice for choice in record.choices}
        self.taken_at = self.taken_at | dict.fromkeys(here, taken.at)

    def record(self) -> Record:
        here, choices = list(self._here.values()), list(self._choices.values())
        return Record(here, self._gone, self._last_seen, choices)
