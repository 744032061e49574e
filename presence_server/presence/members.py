"""The sessions that keep their users in one room by way of this node, by their tags."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from presence_server.presence.entries import ARRIVING
from presence_server.presence.merging import DEVICE, of_user
from presence_server.presence.moment import Moment
from presence_server.presence.states import NOTHING, Status, PRECEDENCE


class Who(NamedTuple):
    """A session and its user, as a node has to know them.

    `account` is the number of an own account; 0 for users of apps. `about` is what is shown beside
    the status. After the Unix second `until` nobody may take the session over.
    """

    session: str
    user: str
    account: int = 0
    about: Mapping[str, Any] = NOTHING
    until: int | None = None


class Member:
    """A session with its open connections, or in its grace when it has none."""

    __slots__ = (
        "who",
        "connections",
        "resting",
        "left",
        "opened",
        "said",
        "about",
        "order",
        "came",
    )

    def __init__(self, who: Who, now: Moment) -> None:
        self.who = who
        self.connections: dict[int, Status] = {}
        # The status that holds while no connection is open, and since when none is.
        self.resting: Status = "online"
        self.left = now
        # When its newest connection was opened.
        self.opened = now.elapsed
        # The second in which a connection last said how the user is.
        self.said = now.unix
        # Of what two nodes say is to be shown of a session the greater order holds.
        self.about = who.about
        self.order = 0
        # The second in which the user's stay began; 0 while nothing has been said of it.
        self.came = 0

    def take_over_about(self, about: Mapping[str, Any], order: int) -> None:
        """Show what was said later on another line of the user; the device stays its own."""
        own = {DEVICE: self.about[DEVICE]} if DEVICE in self.about else {}
        self.about, self.order = {**own, **of_user(about)} or NOTHING, order

    def extend(self, until: int | None) -> None:
        """It may be taken over for as long as any of what has brought it here holds."""
        known = self.who.until
        if known is not None:
            later = None if until is None else max(known, until)
            self.who = self.who._replace(until=later)

    @property
    def status(self) -> Status:
        if not self.connections:
            return self.resting
        return min(self.connections.values(), key=PRECEDENCE.index)

    @property
    def is_open(self) -> bool:
        return bool(self.connections)

    @property
    def is_arriving(self) -> bool:
        """Its first connection is about to be opened."""
        return not self.connections and self.left.elapsed == ARRIVING


class Members:
    """Each is here by open connections, by its grace or by a claim."""

    __slots__ = ("_members", "_users")

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._users: dict[str, dict[str, Member]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def get(self, tag: str) -> Member | None:
        return self._members.get(tag)

    @property
    def users(self) -> Collection[str]:
        return self._users.keys()

    def of_user(self, user: str) -> Mapping[str, Member]:
        """By their tags."""
        return self._users.get(user, {})

    def hold(self, tag: str, who: Who, now: Moment) -> Member:
        member = self._members.get(tag)
        if member is None:
            member = self._members[tag] = Member(who, now)
            self._users.setdefault(who.user, {})[tag] = member
        else:
            member.extend(who.until)
        return member

    def open(self, tag: str, who: Who, connection: int, status: Status, now: Moment) -> None:
        member = self.hold(tag, who, now)
        member.connections[connection] = status
        member.opened, member.said = now.elapsed, now.unix

    def close(self, tag: str, connection: int, now: Moment) -> bool:
        """Close one connection; whether there was one. Without any the status stays as it was."""
        member = self._members.get(tag)
        if member is None or connection not in member.connections:
            return False
        member.resting, member.left = member.status, now
        del member.connections[connection]
        return True

    def rest(self, tag: str, who: Who, status: Status, now: Moment) -> bool:
        """Count somebody as here without a connection since `now`; False if there is one."""
        member = self.hold(tag, who, now)
        if member.connections:
            return False
        member.resting, member.left = status, now
        return True

    def release(self, tag: str) -> Member:
        member = self._members.pop(tag)
        of_user = self._users[member.who.user]
        del of_user[tag]
        for other in of_user.values():
            # The session that is let go last need not be the one that was here last.
            if other.left.unix < member.left.unix:
                other.left = other.left._replace(unix=member.left.unix)
        if not of_user:
            del self._users[member.who.user]
        return member
