"""What the hub knows of one peer."""

import asyncio
from time import monotonic


class Socket:
    """One open WebSocket: a transport, and the version that its peer has."""

    __slots__ = (
        "session",
        "username",
        "tutorial",
        "transport",
        "connection",
        "version",
        "greeted",
        "degraded",
        "sent_at",
        "written",
        "dismissed",
    )

    def __init__(
        self, *, session: str, username: str, tutorial: bool, transport: asyncio.Transport
    ) -> None:
        self.session = session
        self.username = username
        self.tutorial = tutorial
        self.transport = transport
        # Its number among the connections of this node.
        self.connection = 0
        # None until the peer has had a first message, unless it came with a cursor.
        self.version: int | None = None
        self.greeted = False
        self.degraded = False
        self.sent_at = monotonic()
        # Bytes that were handed to the transport.
        self.written = 0
        # Once it has been sent a close, nothing else may follow.
        self.dismissed = False
