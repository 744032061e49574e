"""What observers saw of probes, and what it weighs."""

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.dialects import changes_in

PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Visit:
    """One probe's only stay."""

    username: str
    requested: float
    opened: float
    left: float


@dataclass(slots=True)
class Report:
    """What some observers saw. Delays are counted in tenths of a millisecond."""

    delays: Counter[int] = field(default_factory=Counter)
    deliveries: int = 0
    expected: int = 0
    lost: int = 0
    repeated: int = 0
    # Observers who were cut off, by what they saw of it.
    losses: Counter[str] = field(default_factory=Counter)
    longest_pass: float = 0.0
    busy: float = 0.0

    def add(self, other: "Report") -> None:
        self.delays += other.delays
        self.deliveries += other.deliveries
        self.expected += other.expected
        self.lost += other.lost
        self.repeated += other.repeated
        self.losses += other.losses
        self.longest_pass = max(self.longest_pass, other.longest_pass)
        self.busy = max(self.busy, other.busy)

    def percentile(self, share: float) -> float:
        """In milliseconds; infinite when nothing at all was seen."""
        wanted = share * self.delays.total()
        reached = 0
        for tenth, count in sorted(self.delays.items()):
            reached += count
            if reached >= wanted:
                return tenth / 10
        return float("inf")


class Message:
    """One message about probes, and by whom and when it was received."""

    __slots__ = ("changes", "observers", "times")

    def __init__(self, changes: Sequence[tuple[str, bool]]) -> None:
        self.changes = changes
        self.observers = array("I")
        self.times = array("d")


class Messages:
    """Every message that tells of probes. The same bytes for many sockets are parsed once."""

    def __init__(self) -> None:
        self._by_payload: dict[bytes, Message | None] = {}
        self.newest = 0.0

    def note(self, number: int, payload: bytes | None, now: float) -> None:
        if payload is None:
            return
        try:
            message = self._by_payload[payload]
        except KeyError:
            changes = [change for change in changes_in(payload) if change[0].startswith(PROBE)]
            message = self._by_payload[payload] = Message(changes) if changes else None
        if message is not None:
            message.observers.append(number)
            message.times.append(now)
            self.newest = now

    def __iter__(self) -> Iterator[Message]:
        return (message for message in self._by_payload.values() if message is not None)

    def deliveries(self, begin: float, end: float) -> int:
        return sum(
            len(message.changes) * (bisect_right(times, end) - bisect_left(times, begin))
            for message in self
            for times in [message.times]
        )


def weigh(
    messages: Messages, visits: Sequence[Visit], observers: int, begin: float, end: float
) -> Report:
    """Each observer must have seen each probe of the window come once and go once."""
    report = Report(deliveries=messages.deliveries(begin, end))
    asked = {visit.username: visit.requested for visit in visits if begin <= visit.requested < end}
    report.expected = 2 * len(asked) * observers
    seen: dict[tuple[str, bool], set[int]] = {}
    for message in messages:
        for change in message.changes:
            if change[0] not in asked:
                continue
            known = seen.setdefault(change, set())
            before = len(known)
            known.update(message.observers)
            report.repeated += before + len(message.observers) - len(known)
            if change[1]:
                origin = asked[change[0]]
                report.delays.update(int((at - origin) * 10_000) for at in message.times)
    report.lost = report.expected - sum(map(len, seen.values()))
    return report
