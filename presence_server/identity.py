"""Who is at the other end of a line or a request, however that became known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from presence_server.presence.members import Who
from presence_server.presence.records import OWN


class Rights(Protocol):
    """What may be done in rooms, which are named by their keys."""

    def sees(self, room: str) -> bool:
        """Whether one may be told who is there."""

    def is_seen(self, room: str) -> bool:
        """Whether one may be there for others to see."""


class _OfAccount:
    """Whoever has an account sees all who have one, and is seen by them."""

    def sees(self, room: str) -> bool:
        return room == OWN

    def is_seen(self, room: str) -> bool:
        return room == OWN


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who has proved who they are.

    `user` names them among the users of `app` (0: the own accounts), `session` what ends when they
    are thrown out, `name` is what others read. `account` is the number of an own account, which
    tells a new one from an old one of the same name. After the Unix second `until` the proof holds
    no more; None: until the session ends. `info` is what the app says of them to all who see them.
    """

    user: str
    session: str
    name: str
    account: int = 0
    app: int = 0
    until: int | None = None
    rights: Rights = field(default=_OfAccount())
    may_be_invisible: bool = False
    info: Mapping[str, Any] | None = None

    @property
    def who(self) -> Who:
        """As the rules of presence know them, with what is shown beside their status."""
        about: dict[str, Any] = {} if self.name == self.user else {"name": self.name}
        if self.info:
            about["info"] = self.info
        return Who(self.session, self.user, self.account, about, self.until)
