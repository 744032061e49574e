"""Who is at the other end of a line or a request, however that became known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from presence_server.presence.members import Who
from presence_server.presence.merging import DEVICE


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who has proved who they are.

    `session` is what ends when they are thrown out, `name` what others read. `account` is the
    number of their account, which tells a new one from an old one of the same name. After the Unix
    second `until` the proof holds no more; None: until the session ends. `info` is what is said of
    them to all who see them, and `device` the kind of device that it is on: others are told of it
    if the user allows.
    """

    user: str
    session: str
    name: str
    account: int = 0
    until: int | None = None
    info: Mapping[str, Any] | None = None
    device: str | None = None

    @property
    def who(self) -> Who:
        """As the rules of presence know them, with what is shown beside their status."""
        about: dict[str, Any] = {"info": self.info} if self.info else {}
        if self.device is not None:
            about[DEVICE] = self.device
        return Who(self.session, self.user, self.account, about, self.until)
