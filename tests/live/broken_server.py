"""The server with a rule taken out: `python -m tests.live.broken_server`, same flags.

BROKEN names what is done to it.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from presence_server.presence.node import Node


def leaves_name_a_user() -> None:
    """Rule 1: closing one of several tabs takes the user away."""
    close = Node.close

    def close_all(self: Node, room: str, session: str, connection: int, now: Any) -> Any:
        commands = close(self, room, session, connection, now)
        return commands + self.leave(room, session, now)

    Node.close = close_all  # type: ignore[method-assign]  # that breaks it


def grace_survives_its_session() -> None:
    """Rule 4: sockets are closed, but the user stays."""

    def end(self: Node, session: str, at: int, now: Any) -> Any:
        return []

    Node.end = end  # type: ignore[method-assign]  # that breaks it


BREACHES: dict[str, Callable[[], None]] = {
    breach.__name__: breach for breach in (leaves_name_a_user, grace_survives_its_session)
}


def main() -> int:
    BREACHES[os.environ["BROKEN"]]()
    from presence_server.cli import main as serve

    return serve()


if __name__ == "__main__":
    sys.exit(main())
