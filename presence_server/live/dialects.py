"""What an observer is told, in words: presence.v1, and the format of the Channels tutorial."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from presence_server.live.farewells import Farewell
from presence_server.live.wire import Message
from presence_server.presence import messages
from presence_server.presence.choices import Choice
from presence_server.presence.states import Person

Change = tuple[str, Person]

# So many people at most are named to everybody in the moment when other nodes fall silent: each
# name is written to each socket.
MOST_OWN = 2_000


class Dialect(Protocol):
    """Each method gives the messages that say it; none, if the dialect has no words for it."""

    # Whether a peer can say how far it has come, and can be told everything anew.
    resumes: bool

    def snapshot(
        self, cursor: str, heartbeat: float, here: Mapping[str, Person]
    ) -> Sequence[Message]:
        """The first message, and for a dialect that resumes also a later one: the whole truth."""

    def changes(self, cursor: str, since: int, changes: Sequence[Change]) -> Sequence[Message]:
        """What changed after the version `since`."""

    def alive(self, cursor: str) -> Sequence[Message]: ...

    def degraded(self, value: bool, own: Collection[str]) -> Sequence[Message]:
        """Other nodes cannot be heard; `own` are with this one."""

    def count(self, counts: Mapping[str, int]) -> Sequence[Message]: ...

    def choice(self, choice: Choice | None) -> Sequence[Message]:
        """What the peer's own user has chosen; None: nothing."""

    def expiring(self, seconds: int) -> Sequence[Message]:
        """For how long the peer's token still holds."""

    def bye(self, farewell: Farewell, retry_after: float | None) -> Sequence[Message]: ...


class PresenceV1:
    resumes = True

    def snapshot(
        self, cursor: str, heartbeat: float, here: Mapping[str, Person]
    ) -> Sequence[Message]:
        text = messages.encode_snapshot(cursor, heartbeat, here)
        return (Message(text, "snapshot", cursor),)

    def changes(self, cursor: str, since: int, changes: Sequence[Change]) -> Sequence[Message]:
        text = messages.encode_changes(cursor, changes, since)
        return (Message(text, "changes", cursor),)

    def alive(self, cursor: str) -> Sequence[Message]:
        return (Message(messages.encode_alive(cursor), "alive", cursor),)

    def degraded(self, value: bool, own: Collection[str]) -> Sequence[Message]:
        said = [Message(messages.encode_degraded(value), "degraded")]
        if value and len(own) <= MOST_OWN:
            said.append(Message(messages.encode_own(own), "own"))
        return said

    def count(self, counts: Mapping[str, int]) -> Sequence[Message]:
        return (Message(messages.encode_count(counts), "count"),)

    def choice(self, choice: Choice | None) -> Sequence[Message]:
        return (Message(messages.encode_choice(choice), "choice"),)

    def expiring(self, seconds: int) -> Sequence[Message]:
        return (Message(messages.encode_expiring(seconds), "expiring"),)

    def bye(self, farewell: Farewell, retry_after: float | None) -> Sequence[Message]:
        if farewell.reason is None:
            return ()
        return (Message(messages.encode_bye(farewell.reason, retry_after), "bye"),)


class Tutorial:
    """One message for each who comes or goes: away and busy count as here."""

    resumes = False

    def snapshot(
        self, cursor: str, heartbeat: float, here: Mapping[str, Person]
    ) -> Sequence[Message]:
        return [_tutorial(user, True) for user in here]

    def changes(self, cursor: str, since: int, changes: Sequence[Change]) -> Sequence[Message]:
        return [
            _tutorial(user, person.status not in ("offline", "deleted"))
            for user, person in changes
            if person.came > since
        ]

    def alive(self, cursor: str) -> Sequence[Message]:
        return ()

    def degraded(self, value: bool, own: Collection[str]) -> Sequence[Message]:
        return ()

    def count(self, counts: Mapping[str, int]) -> Sequence[Message]:
        return ()

    def choice(self, choice: Choice | None) -> Sequence[Message]:
        return ()

    def expiring(self, seconds: int) -> Sequence[Message]:
        return ()

    def bye(self, farewell: Farewell, retry_after: float | None) -> Sequence[Message]:
        return ()


def _tutorial(user: str, is_here: bool) -> Message:
    return Message(messages.encode_tutorial(user, is_here))


PRESENCE_V1 = PresenceV1()
TUTORIAL = Tutorial()
# By the subprotocol of a socket; None: its client asked for none.
BY_SUBPROTOCOL: dict[str | None, Dialect] = {
    None: TUTORIAL,
    messages.SUBPROTOCOL: PRESENCE_V1,
}
