"""A database in virtual time: what nodes write down, and what a node reads of others."""

from dataclasses import dataclass, field

from presence_server.presence.records import Chosen, Notes, Record, Stay
from presence_server.presence.room import is_claim, tag_of
from tests.presence.attendance import Book

# As in the store: a node that has not written for so long does not run, or cannot write.
WRITES_WITHIN = 1.6


@dataclass
class Row:
    """A stay with the time at which its last line closed, by the clock of the database."""

    stay: Stay
    left: float | None


@dataclass
class NodeRow:
    counter: int = 0
    heeded: int = 0
    wrote_at: float = 0.0
    stopped: bool = False
    stays: dict[tuple[str, str], Row] = field(default_factory=dict)


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
        # Held by another program: nobody reads or writes.
        self.works = True
        self.nodes: dict[str, NodeRow] = {}
        self.choices: dict[tuple[int, str], Chosen] = {}
        self.endings: list[Ending] = []
        self.ended: set[str] = set()
        self.book = Book()

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
        counter = self.nodes[name].counter if name in self.nodes else 0
        self.nodes[name] = NodeRow(counter)
        self._enter(name, record, now, heeded, False)

    def read(
        self, but: str, *, with_stays: bool, now: float, unread: frozenset[str] = frozenset()
    ) -> Notes:
        living = {n: row for n, row in self.nodes.items() if n != but and not row.stopped}
        counters = {name: node.counter for name, node in living.items()}
        choices = list(self.choices.values())
        if not with_stays:
            return Notes(counters, None, choices)
        stays = {
            name: [_at(row, now) for row in node.stays.values()]
            for name, node in self.nodes.items()
            if name != but and name not in unread
        }
        stopped = {name: stays.pop(name) for name in stays.keys() - living.keys()}
        return Notes(counters, stays, choices, stopped=stopped, unread=unread)

    def take_over(
        self, heir: str, names: set[str], lease: float, now: float, *, others: bool
    ) -> list[Stay]:
        """Move what these nodes left to another one."""
        found: dict[tuple[str, str], Stay] = {}
        for name in names:
            node = self.nodes.pop(name)
            for key, row in node.stays.items():
                resting = self._resting(row, node, lease, now, others)
                stay = row.stay._replace(resting=resting)
                if stay.session in self.ended or any(
                    ending.revokes(stay.room, stay.user) for ending in self.endings[node.heeded :]
                ):
                    continue
                if key not in found or resting < (found[key].resting or 0.0):
                    found[key] = stay
        mine = self.nodes.setdefault(heir, NodeRow(0, len(self.endings), now))
        for key, stay in found.items():
            mine.stays[key] = Row(stay, now - (stay.resting or 0.0))
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
        node.heeded = heeded
        node.wrote_at, node.stopped = now, stopped
        for key in record.gone:
            node.stays.pop(key, None)
        for stay in record.here:
            left = None if stay.resting is None else now - stay.resting
            node.stays[stay.room, stay.session] = Row(stay, left)
        for chosen in record.choices:
            known = self.choices.get((chosen.app, chosen.user))
            if known is None or (known.account, known.at) < (chosen.account, chosen.at):
                self.choices[chosen.app, chosen.user] = chosen

    @staticmethod
    def _resting(row: Row, node: NodeRow, lease: float, now: float, others: bool) -> float:
        dead = now - node.wrote_at
        if row.left is not None:
            counts = others or is_claim(tag_of(row.stay.room, row.stay.session))
            return node.wrote_at - row.left + (dead if counts else 0.0)
        absent = dead if node.stopped else dead - lease
        return absent if others else min(absent, 0.0)


def _at(row: Row, now: float) -> Stay:
    resting = None if row.left is None else now - row.left
    return row.stay._replace(resting=resting)
