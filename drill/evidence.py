"""What observers were shown, held against the truth: the sockets that people really had open.

Pure: everything has its time on one monotonic clock, that of the process of the drill.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from drill.spans import Span, Spans, difference, holds, intersection, prolonged, total, union

Message = dict[str, Any]

# A client reads an answer or an end a little later than the server has sent it.
_BLUR = 0.2
# What happened on one node is told on the others so much later, at most, when all is well.
_TELLING = 1.0
# A way that is open again is used again with the next attempt, at the latest after this.
_NEXT_ATTEMPT = 1.5
_NEXT_MESSAGE = 0.05
# What a question takes beside its ways: it is asked, and letters are gathered, in turns.
_ANSWERS = 0.5
# Whoever came so short a time before their node fell silent may not be written down, or even be
# said to anybody.
_UNWRITTEN = 1.0
_UNSAID = 0.2
_FOREVER = math.inf
_HERE = ("online", "busy", "away")


@dataclass(slots=True)
class Stay:
    """One socket of a user at a node."""

    username: str
    node: str
    opened: float
    closed: float = _FOREVER
    # Ended together with its session: no grace.
    logged_out: bool = False


class Told(NamedTuple):
    """A user stopped being shown: by a message, or by a new snapshot without them."""

    username: str
    at: float


@dataclass(slots=True)
class View:
    """All that one observer was told, and what was shown at each time."""

    node: str
    online: dict[str, float] = field(default_factory=dict)
    connected_since: float | None = None
    connected: Spans = field(default_factory=list)
    shown: dict[str, Spans] = field(default_factory=lambda: defaultdict(list))
    gone: list[Told] = field(default_factory=list)
    degraded_since: float | None = None
    degraded: Spans = field(default_factory=list)
    said_of_degraded: list[tuple[float, bool]] = field(default_factory=list)
    # As each was told to be, and when.
    statuses: dict[str, list[tuple[float, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    @property
    def is_degraded(self) -> bool:
        return self.degraded_since is not None

    def was_degraded(self, begin: float, end: float) -> bool:
        """Whether it was told at some time in between that others cannot be heard."""
        now = [] if self.degraded_since is None else [(self.degraded_since, _FOREVER)]
        return bool(intersection([(begin, end)], [*self.degraded, *now]))

    def hear(self, message: Message, now: float) -> None:
        self._note_statuses(message, now)
        match message["type"]:
            case "snapshot":
                self._replace(message, now)
            case "changes":
                self._apply(message, now)
            case "degraded":
                self.said_of_degraded.append((now, message["value"]))
                self._degrade(message["value"], now)

    def lose(self, now: float) -> None:
        """The line is lost: what a page would show meanwhile is nobody's promise."""
        if self.connected_since is None:
            return
        self.connected.append((self.connected_since, now))
        self.connected_since = None
        self._degrade(False, now)
        for username, since in self.online.items():
            self.shown[username].append((since, now))

    def close(self, now: float) -> None:
        """The end of the record."""
        self.lose(now)
        self.online.clear()

    def _note_statuses(self, message: Message, now: float) -> None:
        if message["type"] in ("snapshot", "changes"):
            for status in _HERE:
                for username in message.get(status, ()):
                    said = self.statuses[username]
                    if not said or said[-1][1] != status:
                        said.append((now, status))

    def _replace(self, message: Message, now: float) -> None:
        here = _here(message)
        if self.connected_since is None:
            self.connected_since = now
            before, self.online = self.online, dict.fromkeys(here, now)
        else:
            before = dict(self.online)
        for username in before.keys() - here:
            self._leave(username, now)
        for username in here:
            self.online.setdefault(username, now)

    def _apply(self, message: Message, now: float) -> None:
        for username in _here(message):
            self.online.setdefault(username, now)
        for username in [*message.get("offline", ()), *message.get("deleted", ())]:
            self._leave(username, now)

    def _leave(self, username: str, now: float) -> None:
        self.gone.append(Told(username, now))
        since = self.online.pop(username, None)
        if since is not None:
            self.shown[username].append((since, now))

    def _degrade(self, value: bool, now: float) -> None:
        if value and self.degraded_since is None:
            self.degraded_since = now
        elif not value and self.degraded_since is not None:
            self.degraded.append((self.degraded_since, now))
            self.degraded_since = None


def _here(message: Message) -> set[str]:
    return {username for status in _HERE for username in message.get(status, ())}


class Wrong(NamedTuple):
    """One breach, for the record."""

    username: str
    node: str
    at: float


@dataclass(slots=True)
class Silence:
    """A node was killed, or could no longer be heard; and if it was killed, when it was started
    again, which tells the others."""

    node: str
    at: float
    started: float = _FOREVER
    # It was killed, and does not only seem to be.
    ended: bool = False

    def is_waited_for(self, lease: float) -> Span:
        return self.at, min(self.at + lease, self.started) + _TELLING


@dataclass(slots=True)
class Evidence:
    """The truth, the views, and the times in which nodes could not be heard by the others.

    Of people who never had a socket here, as those who only logged in, nothing is judged.
    """

    lease: float
    grace: float
    stays: list[Stay] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    dark: dict[str, Spans] = field(default_factory=lambda: defaultdict(list))
    # The longest time that a letter took from a node to Redis, or from there.
    farthest: float = 0.0
    silences: list[Silence] = field(default_factory=list)
    starts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def promise(self) -> float:
        """How long after their last socket people are gone everywhere: nobody is let go before
        every node has answered, there and back."""
        return self.lease + self.grace + max(1.0, 2 * self.farthest + _ANSWERS)

    def silence(self, node: str, now: float, *, ended: bool = False) -> None:
        self.silences.append(Silence(node, now, ended=ended))

    def start(self, node: str, now: float) -> None:
        self.starts[node].append(now)
        for silence in self.silences:
            if silence.node == node:
                silence.started = min(silence.started, now)

    def log_out(self, usernames: Iterable[str], at: float = _FOREVER) -> None:
        """All sockets that these had so far ended with their sessions. If these had ended before,
        `at` some time, nobody was here by them any more: a node may tell so before another has
        closed the socket."""
        names = set(usernames)
        for stay in self.stays:
            if stay.username in names and not stay.logged_out:
                stay.logged_out, stay.closed = True, min(stay.closed, at)

    def is_told(self, view: View) -> bool:
        """Whether an observer is shown now exactly who has a socket open now."""
        known = {stay.username for stay in self.stays}
        present = {stay.username for stay in self.stays if stay.closed == _FOREVER}
        return not view.is_degraded and view.online.keys() & known == present

    def false_offlines(self, late: float = _TELLING) -> list[Wrong]:
        """Who was shown offline without having been away for a grace.

        `late`: so long after somebody's return it may still be told that they had left.
        """
        excuses = self._excuses(late)
        return [
            Wrong(gone.username, view.node, gone.at)
            for view in self.views
            for gone in view.gone
            if self._is_false(gone, excuses) and not self._is_unknown(gone, view)
        ]

    def ghosts(self, late: float = _TELLING) -> list[tuple[Wrong, float]]:
        """Who was shown longer than is promised after their last socket, and how long so.

        `late`: so long it may take to tell of it.
        A node that could not hear the others has that time from when it hears them again.
        """
        promise = self.promise + (late - _TELLING)
        # Others may hear of a socket before its own client has read the answer.
        open_spans = _by_user((s.username, (s.opened - _BLUR, s.closed)) for s in self.stays)
        found = []
        for view in self.views:
            excused = prolonged(union([*view.degraded, *self.dark[view.node]]), promise)
            for username, opened in open_spans.items():
                # Before their first socket they may have logged in.
                right = [(-_FOREVER, opened[0][0]), *prolonged(opened, promise)]
                right += self._waited_for(opened)
                wrong = difference(view.shown[username], right)
                wrong = difference(wrong, excused)
                # That others cannot be heard is said in the message after the snapshot.
                wrong = [span for span in wrong if total([span]) > _NEXT_MESSAGE]
                if wrong:
                    found.append((Wrong(username, view.node, wrong[0][0]), total(wrong)))
        return found

    def _waited_for(self, opened: Spans) -> Spans:
        """A node that falls silent after a grace may be where somebody is by now: it is waited for
        until its lease is over, or it is known to have ended."""
        return [
            silence.is_waited_for(self.lease)
            for _, closed in opened
            for silence in self.silences
            if closed + self.grace < silence.at <= closed + self.promise
        ]

    def wrong_spans(self) -> list[tuple[Span, bool]]:
        """When some observer was not shown exactly who had a socket open (or its grace).

        With each span, whether the observer was told in it that others cannot be heard.
        """
        open_spans = self._open_spans()
        found = []
        for view in self.views:
            for username, opened in open_spans.items():
                shown = view.shown[username]
                missing = difference(intersection(opened, view.connected), shown)
                too_long = difference(shown, prolonged(opened, self.grace))
                for span in [*missing, *too_long]:
                    found.append((span, bool(intersection([span], view.degraded))))
        return found

    def gone_at(
        self, usernames: Iterable[str], after: float, views: Iterable[View] | None = None
    ) -> list[float]:
        """When observers were told that these had left."""
        names = set(usernames)
        return sorted(
            gone.at
            for view in (self.views if views is None else views)
            for gone in view.gone
            if gone.username in names and gone.at >= after
        )

    def history(self, username: str, zero: float) -> str:
        """All that was true and told of a user, for the record; in seconds from `zero`."""
        found = []
        for stay in self.stays:
            if stay.username == username:
                end = "ended" if stay.logged_out else "closed"
                found.append((stay.opened, f"opened at {stay.node}"))
                found.append((stay.closed, f"{end} at {stay.node}"))
        for view in self.views:
            for begin, end_of_it in view.shown[username]:
                found.append((begin, f"shown at {view.node}"))
                found.append((end_of_it, f"not shown at {view.node}"))
            for at, value in view.said_of_degraded:
                found.append((at, f"{view.node} {'' if value else 'no longer '}degraded"))
        for node, spans in self.dark.items():
            for begin, end_of_it in spans:
                found += [(begin, f"{node} dark"), (end_of_it, f"{node} not dark")]
        return "; ".join(f"{at - zero:.2f} {what}" for at, what in sorted(found) if at < _FOREVER)

    def _open_spans(self) -> defaultdict[str, Spans]:
        return _by_user((stay.username, (stay.opened, stay.closed)) for stay in self.stays)

    def _excuses(self, late: float) -> defaultdict[str, Spans]:
        """When each user may rightly be shown offline."""
        heard: list[tuple[str, Span]] = []
        for stay in self.stays:
            heard += [(stay.username, span) for span in self._heard(stay)]
        found: defaultdict[str, Spans] = defaultdict(list)
        for username, spans in _by_user(heard).items():
            edges = [-_FOREVER, *(edge for span in spans for edge in span), _FOREVER]
            pairs = zip(edges[::2], edges[1::2], strict=True)
            found[username] = [(left, back + late) for left, back in pairs if left < back]
        return found

    def _heard(self, stay: Stay) -> Spans:
        """How long others have reason to show this socket's user: a grace beyond its end."""
        grace = 0 if stay.logged_out else self.grace - _BLUR
        end = stay.closed + max(grace, 0)
        # The last beat before may have come a fifth of the lease earlier. Who came to the node
        # while it was dark is at least waited for until its lease is over.
        lease = 0.8 * self.lease
        kept = lease + max(grace, 0)
        unheard = [
            (begin + (kept if stay.opened < begin else lease), until + _NEXT_ATTEMPT)
            for begin, until in self.dark[stay.node]
            if until - begin >= lease
        ]
        return difference([(stay.opened, end)], union(unheard))

    def _is_unknown(self, gone: Told, view: View) -> bool:
        """Whether a node cannot know of somebody: they came just before theirs fell silent, which
        has given no sign yet."""
        return any(
            silence.node == stay.node
            and 0 <= silence.at - stay.opened < _UNWRITTEN
            and (
                silence.at - stay.opened < _UNSAID
                or self._missed(view, stay, silence, gone.at)
            )
            and gone.at < self._next_sign(silence)
            for stay in self.stays
            if stay.username == gone.username
            for silence in self.silences
        )

    def _missed(self, view: View, stay: Stay, silence: Silence, at: float) -> bool:
        """Whether a node has started since, or heard nothing when they came; then it waits a lease,
        unless it is known that theirs has ended."""
        unheard = [*self.dark[view.node], *view.degraded]
        deaf = all(holds(unheard, moment) for moment in (stay.opened, silence.at))
        waited = silence.ended or at - silence.at >= 0.8 * self.lease
        starts = self.starts[view.node]
        return deaf and waited or any(silence.at < start <= at for start in starts)

    def _next_sign(self, silence: Silence) -> float:
        """When a node is heard again; what it said before it was killed never is."""
        ends = (end for begin, end in self.dark[silence.node] if begin <= silence.at < end)
        return min(ends, default=_FOREVER) + _NEXT_ATTEMPT

    def _is_false(self, gone: Told, excuses: dict[str, Spans]) -> bool:
        return gone.username in excuses and not holds(excuses[gone.username], gone.at)


def _by_user(spans: Iterable[tuple[str, Span]]) -> defaultdict[str, Spans]:
    found: defaultdict[str, Spans] = defaultdict(list)
    for username, span in spans:
        found[username].append(span)
    return defaultdict(list, {username: union(mine) for username, mine in found.items()})
