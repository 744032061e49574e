"""A database in virtual time: what nodes write down, and what a node reads of others."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from presence_server.presence.names import is_claim, tag_of
from presence_server.presence.records import Changes, Chosen, Notes, Record, Stay
from tests.presence.attendance import Book

# For so many writes it is known who has gone: few, so that some nodes come too late for that.
_TRACED = 12


@dataclass
class Row:
    """A stay with the time at which its last line closed, by the clock of the database."""

    stay: Stay
    left: float | None
    counter: int


@dataclass
class NodeRow:
    counter: int = 0
    heeded: int = 0
    wrote_at: float = 0.0
    stopped: bool = False
    stays: dict[tuple[str, str], Row] = field(default_factory=dict)
    # Who is gone, with which counter; all of it is known behind `traced_from`.
    gone: list[tuple[int, tuple[str, str]]] = field(default_factory=list)
    traced_from: int = 0

    def stays_at(self, now: float, after: int = -1) -> list[Stay]:
        """Those that were written behind a counter."""
        return [_at(row, now) for row in self.stays.values() if row.counter > after]


@dataclass
class Ending:
    """A row that says that a session, an account or (of an app) tokens have ended."""

    session: str | None
    username: str
    account: int
    at: int = 0
    app: int = 0
    room: str | None = None
    issued_before: int = 0

    def revokes(self, room: str, user: str) -> bool:
        """Whether somebody has to go from a room."""
        in_app = self.app != 0 and room.startswith(f"{self.app}/")
        return in_app and self.room in (None, room) and self.username == user


class Database:
    def __init__(self) -> None:
        # Out of reach: nobody reads or writes.
        self.works = True
        # Another program writes: it can be read, as it was.
        self.held = False
        self.nodes: dict[str, NodeRow] = {}
        self.choices: dict[tuple[int, str], Chosen] = {}
        self.endings: list[Ending] = []
        self.ended: set[str] = set()
        self.book = Book()
        # Nodes go on counting, also when others have forgotten what they wrote.
        self._counters: Counter[str] = Counter()

    @property
    def is_writable(self) -> bool:
        return self.works and not self.held

    def note_signs(self, speaking: Mapping[str, float], now: float) -> None:
        for name, seconds in speaking.items():
            node = self.nodes.get(name)
            if node is not None and not node.stopped:
                node.wrote_at = max(node.wrote_at, now - seconds)

    def write(
        self, name: str, record: Record, now: float, heeded: int, *, stopped: bool = False
    ) -> bool:
        """False if the node has been forgotten, so that all of it is to be written anew."""
        node = self.nodes.get(name)
        if node is None:
            return False
        self._enter(name, record, now, heeded, stopped)
        return True

    def write_anew(self, name: str, record: Record, now: float, heeded: int) -> None:
        counter = self._counters[name]
        self.nodes[name] = NodeRow(counter, traced_from=counter + 1)
        self._enter(name, record, now, heeded, False)

    def read(
        self,
        but: str,
        *,
        with_stays: bool,
        now: float,
        unread: frozenset[str] = frozenset(),
        noted: Mapping[str, int | None] = MappingProxyType({}),
    ) -> Notes:
        """Of those of whom something is `noted`, only what has changed since that counter."""
        living = {n: row for n, row in self.nodes.items() if n != but and not row.stopped}
        counters = {name: node.counter for name, node in living.items()}
        choices = list(self.choices.values())
        ages = {n: now - row.wrote_at for n, row in self.nodes.items() if n != but}
        if not with_stays:
            return Notes(counters, None, choices, ages=ages)
        stays, changes = {}, {}
        for name, node in self.nodes.items():
            if name == but or name in unread:
                continue
            after = noted.get(name)
            if node.stopped or after is None or after < node.traced_from:
                stays[name] = node.stays_at(now)
            else:
                gone = {key for counter, key in node.gone if counter > after} - node.stays.keys()
                changes[name] = Changes(node.stays_at(now, after), gone)
        stopped = {name: stays.pop(name) for name in stays.keys() - living.keys()}
        return Notes(
            counters, stays, choices, stopped=stopped, unread=unread, changes=changes, ages=ages
        )

    def take_over(
        self,
        heir: str,
        names: set[str],
        lease: float,
        now: float,
        *,
        others: bool,
        surely: bool = False,
    ) -> list[Stay]:
        """Move what these nodes left to another one."""
        found: dict[tuple[str, str], Stay] = {}
        for name in names:
            node = self.nodes.pop(name)
            for key, row in node.stays.items():
                resting = self._resting(row, node, lease, now, others, surely)
                unseen = now - (node.wrote_at if row.left is None else row.left)
                stay = row.stay._replace(resting=resting, unseen=unseen)
                if stay.session in self.ended or any(
                    ending.revokes(stay.room, stay.user) for ending in self.endings[node.heeded :]
                ):
                    continue
                if key not in found or resting < (found[key].resting or 0.0):
                    found[key] = stay
        mine = self.nodes.setdefault(heir, NodeRow(0, len(self.endings), now))
        mine.counter += 1
        self._counters[heir] = mine.counter
        for key, stay in found.items():
            mine.stays[key] = Row(stay, now - (stay.resting or 0.0), mine.counter)
        return list(found.values())

    def end(self, ending: Ending) -> None:
        self.endings.append(ending)
        if ending.session is not None:
            self.ended.add(ending.session)

    def forget(self, names: set[str]) -> None:
        for name in names:
            self.nodes.pop(name, None)

    def _enter(
        self, name: str, record: Record, now: float, heeded: int, stopped: bool
    ) -> None:
        node = self.nodes[name]
        node.counter += 1
        self._counters[name] = node.counter
        node.heeded = heeded
        node.wrote_at, node.stopped = now, stopped
        node.traced_from = max(node.traced_from, node.counter - _TRACED)
        node.gone = [(counter, key) for counter, key in node.gone if counter > node.traced_from]
        for key in record.gone:
            node.stays.pop(key, None)
            node.gone.append((node.counter, key))
        for stay in record.here:
            left = None if stay.resting is None else now - stay.resting
            node.stays[stay.room, stay.session] = Row(stay, left, node.counter)
        for chosen in record.choices:
            known = self.choices.get((chosen.app, chosen.user))
            if known is None or (known.account, known.at) < (chosen.account, chosen.at):
                self.choices[chosen.app, chosen.user] = chosen

    @staticmethod
    def _resting(
        row: Row, node: NodeRow, lease: float, now: float, others: bool, surely: bool
    ) -> float:
        dead = now - node.wrote_at
        if row.left is not None:
            counts = others or is_claim(tag_of(row.stay.room, row.stay.session))
            return node.wrote_at - row.left + (dead if counts else 0.0)
        absent = dead if node.stopped else dead - lease
        absent = max(0.0, absent) if surely else absent
        return absent if others else min(absent, 0.0)


def _at(row: Row, now: float) -> Stay:
    resting = None if row.left is None else now - row.left
    return row.stay._replace(resting=resting)
