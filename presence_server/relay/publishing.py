"""The way out: what this node says, published batch by batch."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from redis.asyncio.connection import AbstractConnection

from presence_server.relay.backlog import Backlog, Message
from presence_server.relay.contact import Contact, Pause
from presence_server.relay.door import LETTER
from presence_server.relay.redis_server import TIMEOUT, NoContact, RedisServer

# A batch is published in one write; its whole answer must come within BATCH_TIMEOUT.
BATCH_MESSAGES = 500
BATCH_CHARACTERS = 256 * 1024
BATCH_TIMEOUT = 2 * TIMEOUT


class Publisher:
    """`written` makes of a message, as it leaves, its channel and what stands there."""

    def __init__(
        self,
        server: RedisServer,
        contact: Contact,
        written: Callable[[Message], tuple[str, bytes]],
    ) -> None:
        self.sent = 0
        self._server = server
        self._contact = contact
        self._written = written
        self._backlog = Backlog()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_left = False
        self._on_its_way = 0

    @property
    def dropped(self) -> int:
        return self._backlog.dropped

    def put(self, kind: str, text: str, to: str | None) -> None:
        self._idle.clear()
        self._backlog.put(text, to, kind)

    def leave(self) -> None:
        """Go on over a new connection."""
        self._is_left = True

    async def flush(self, timeout: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._idle.wait()

    async def run(self) -> None:
        pause = Pause()
        while True:
            try:
                async with self._server.connection() as connection:
                    self._is_left = False
                    self._contact.made("publishing")
                    await self._publish_on(connection, pause)
            except NoContact as failure:
                # What is queued is dropped, not kept: others find the gap by its sequence number
                # and ask for a snapshot, which is smaller and newer than an old queue, and a
                # batch that may or may not have arrived cannot be sent twice.
                self._backlog.clear(self._on_its_way)
                self._on_its_way = 0
                self._idle.set()
                self._contact.lost("publishing", failure)
            await pause.wait()

    async def _publish_on(self, connection: AbstractConnection, pause: Pause) -> None:
        """Publish batch by batch; return when a new connection is needed and nothing is lost."""
        while True:
            await self._backlog.wait()
            with self._server.contact():
                # Readable without a question: closed by the server while we were quiet.
                if self._is_left or await connection.can_read():
                    return
                batch = self._backlog.take(BATCH_MESSAGES, BATCH_CHARACTERS)
                self._on_its_way = len(batch)
                async with asyncio.timeout(BATCH_TIMEOUT):
                    await connection.send_packed_command(
                        connection.pack_commands(
                            ("PUBLISH", *self._written(message)) for message in batch
                        )
                    )
                    for _ in batch:
                        await connection.read_response()
            self.sent += sum(message.kind == LETTER for message in batch)
            self._on_its_way = 0
            pause.reset()
            if not self._backlog:
                self._idle.set()
