"""The way in: one subscription after the other, each dropped when it falls silent."""

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from presence_server.relay.contact import Contact, Pause
from presence_server.relay.redis_server import NoContact, RedisServer, abort

# A subscription that is quiet is asked for a sign of life this often, and may miss this many.
PING_INTERVAL = 1.0
MISSED_PINGS = 2
# After so much others get a turn: what is in the buffer is read without waiting. A letter with many
# people alone takes some milliseconds.
BREATH_MESSAGES = 64
BREATH_CHARACTERS = 24 * 1024
# A subscription that ends sooner is followed by a longer pause: each one makes all nodes resync.
LASTING = 5.0

# What a channel brought, as the letters that it is.
LetIn = Callable[[bytes, bytes], list[str]]


class Listener:
    """`let_in` is given the channel and what came there."""

    def __init__(
        self, server: RedisServer, contact: Contact, channels: tuple[str, str], let_in: LetIn
    ) -> None:
        self.subscriptions = 0
        # Set when it is known how the first subscription went.
        self.tried = asyncio.Event()
        self._server = server
        self._contact = contact
        self._channels = channels
        self._let_in = let_in
        self._connection: AbstractConnection | None = None
        self._subscribed = False
        self._missed_pings = 0
        # So many signs of life were asked for that have not been read yet.
        self._unanswered = 0
        self._unbreathed = 0.0
        self._dropped_because: str | None = None

    @property
    def is_behind(self) -> bool:
        """Whether more may have come than was read by now: answers come in one order with letters.
        """
        return self._unanswered > 1

    def leave(self, because: str) -> None:
        """Go on with a new subscription, if there is one."""
        if self._subscribed:
            self._drop(because)

    async def run(
        self,
        deliver: Callable[[str], None],
        subscribed: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        pause = Pause()
        while True:
            began = monotonic()
            try:
                async with self._server.connection() as connection:
                    self._missed_pings = self._unanswered = 0
                    self._dropped_because = None
                    self._connection = connection
                    await self._listen_on(connection, deliver, subscribed)
            except NoContact as failure:
                self._contact.lost("listening", failure)
                self.tried.set()
            finally:
                self._connection = None
            if self._subscribed:
                self._subscribed = False
                lost()
            if monotonic() - began > LASTING:
                pause.reset()
            await pause.wait()

    async def watch(self) -> None:
        """A frozen Redis gives no error: drop a subscription that does not answer."""
        while True:
            await asyncio.sleep(PING_INTERVAL)
            if self._connection is None:
                continue
            # Answers are counted, not seconds: after a pause of our own process they lie unread.
            if self._missed_pings >= MISSED_PINGS:
                self._drop("it does not answer")
            elif self._connection.is_connected:
                self._missed_pings += 1
                self._unanswered += 1
                with suppress(RedisError, OSError):  # run() sees it too
                    await self._connection.send_command("PING")

    async def _listen_on(
        self,
        connection: AbstractConnection,
        deliver: Callable[[str], None],
        subscribed: Callable[[], None],
    ) -> None:
        # Read from the connection itself: a PubSub object costs ten times as much for a message
        # and subscribes again behind our back, which loses messages without a word.
        with self._server.contact():
            await connection.send_command("SUBSCRIBE", *self._channels)
        while True:
            reply = await self._read(connection)
            self._missed_pings = 0
            if reply[0] == b"message":
                for text in self._let_in(reply[1], reply[2]):
                    deliver(text)
                    await self._breathe(len(text))
            elif reply[0] == b"pong":
                self._unanswered -= 1
            elif reply[0] == b"subscribe" and reply[2] == len(self._channels):
                self._subscribed = True
                self.tried.set()
                self.subscriptions += 1
                self._contact.made("listening")
                subscribed()

    async def _breathe(self, characters: int) -> None:
        self._unbreathed += 1 / BREATH_MESSAGES + characters / BREATH_CHARACTERS
        if self._unbreathed >= 1:
            self._unbreathed = 0.0
            await asyncio.sleep(0)

    async def _read(self, connection: AbstractConnection) -> Any:
        # Without a timeout of its own, which would cost more than the message: watch() sees to it.
        try:
            return await connection.read_response(timeout=math.inf, disconnect_on_error=False)
        except (RedisError, OSError) as error:
            if self._dropped_because:
                raise NoContact(self._dropped_because) from None
            raise self._server.no_contact(error) from error

    def _drop(self, because: str) -> None:
        if self._connection is not None:
            self._dropped_because = because
            abort(self._connection)
