"""The relay between nodes on Redis pub/sub. Redis keeps nothing: no keys, no streams."""

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from presence_server.background import Background
from presence_server.relay.backlog import Backlog, Message
from presence_server.relay.contact import LOG_INTERVAL, Contact, Pause
from presence_server.relay.door import LETTER, Door
from presence_server.relay.redis_server import TIMEOUT, NoContact, RedisServer, abort
from presence_server.relay.seal import Seal

log = logging.getLogger(__name__)

# A batch is published in one write; its whole answer must come within BATCH_TIMEOUT.
BATCH_MESSAGES = 500
BATCH_CHARACTERS = 256 * 1024
BATCH_TIMEOUT = 2 * TIMEOUT
# A subscription that is quiet is asked for a sign of life this often, and may miss this many.
PING_INTERVAL = 1.0
MISSED_PINGS = 2
# After so much others get a turn: what is in the buffer is read without waiting. A letter with many
# people alone takes some milliseconds.
BREATH_MESSAGES = 64
BREATH_CHARACTERS = 24 * 1024
# A subscription that ends sooner is followed by a longer pause: each one makes all nodes resync.
LASTING = 5.0


class RedisRelay:
    def __init__(self, server: RedisServer, namespace: str, node: str, seal: Seal) -> None:
        self.sent = 0
        self.received = 0
        self.forged = 0
        self._door = Door(node, seal, self._say)
        self._forgery_told_at = -math.inf
        self._subscriptions = 0
        self._server = server
        self._everyone = f"presence:{namespace}"
        self._own = f"{self._everyone}:{node}"
        self._backlog = Backlog()
        self._idle = asyncio.Event()
        self._idle.set()
        self._contact = Contact(server.name)
        self._listening: AbstractConnection | None = None
        self._subscribed = False
        # Whether it is known how the first subscription went.
        self._tried = asyncio.Event()
        self._missed_pings = 0
        self._unbreathed = 0.0
        self._dropped_because: str | None = None
        self._publish_anew = False
        self._on_its_way = 0

    @property
    def connected(self) -> bool:
        return self._contact.whole

    @property
    def resubscribed(self) -> int:
        return max(self._subscriptions - 1, 0)

    @property
    def dropped(self) -> int:
        return self._backlog.dropped

    @property
    def repeated(self) -> int:
        return self._door.repeated

    async def check(self) -> bool:
        try:
            async with self._server.connection() as connection:
                with self._server.contact():
                    async with asyncio.timeout(TIMEOUT):
                        await connection.send_command("PUBLISH", self._own, "")
                        await connection.read_response()
                        await connection.send_command("SUBSCRIBE", self._everyone, self._own)
                        await connection.read_response()
        except NoContact as failure:
            if refusal := self._server.refusal(failure):
                raise refusal from None
            self._contact.lost("check", failure)
            return False
        return True

    def send(self, text: str, to: str | None = None) -> None:
        self._idle.clear()
        self._backlog.put(text, to, LETTER)

    def _say(self, kind: str, text: str, to: str) -> None:
        self._idle.clear()
        self._backlog.put(text, to, kind)

    def resubscribe(self) -> None:
        # An old master that was never told answers both connections and carries nothing.
        self._publish_anew = True
        if self._subscribed:
            self._drop_subscription("what this node says does not come back to it")

    async def run(
        self,
        deliver: Callable[[str], None],
        subscribed: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        try:
            async with Background() as tasks:
                tasks.start("relay: publish", self._publish())
                tasks.start("relay: listen", self._listen(deliver, subscribed, lost))
                tasks.start("relay: watch", self._watch())
        finally:
            self._contact.end()

    async def flush(self, timeout: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._idle.wait()

    async def _publish(self) -> None:
        pause = Pause()
        # Others ask whoever is new whether it lives: what it says before it can hear that, they
        # would hold back for a while, and then drop.
        await self._tried.wait()
        while True:
            try:
                async with self._server.connection() as connection:
                    self._publish_anew = False
                    self._contact.made("publishing")
                    await self._publish_on(connection, pause)
            except NoContact as failure:
                # What is queued is dropped, not kept: others find the gap by its sequence number
                # and ask for a snapshot, which is smaller and newer than an old queue, and a
                # batch that may or may not have arrived cannot be sent twice.
                self._backlog.dropped += self._on_its_way
                self._on_its_way = 0
                self._backlog.clear()
                self._idle.set()
                self._contact.lost("publishing", failure)
            await pause.wait()

    async def _publish_on(self, connection: AbstractConnection, pause: Pause) -> None:
        """Publish batch by batch; return when a new connection is needed and nothing is lost."""
        while True:
            await self._backlog.wait()
            with self._server.contact():
                # Readable without a question: closed by the server while we were quiet.
                if self._publish_anew or await connection.can_read():
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

    async def _listen(
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
                    self._missed_pings = 0
                    self._dropped_because = None
                    self._listening = connection
                    await self._listen_on(connection, deliver, subscribed)
            except NoContact as failure:
                self._contact.lost("listening", failure)
                self._tried.set()
            finally:
                self._listening = None
            if self._subscribed:
                self._subscribed = False
                lost()
            if monotonic() - began > LASTING:
                pause.reset()
            await pause.wait()

    async def _listen_on(
        self,
        connection: AbstractConnection,
        deliver: Callable[[str], None],
        subscribed: Callable[[], None],
    ) -> None:
        # Read from the connection itself: a PubSub object costs ten times as much for a message
        # and subscribes again behind our back, which loses messages without a word.
        with self._server.contact():
            await connection.send_command("SUBSCRIBE", self._everyone, self._own)
        while True:
            reply = await self._read(connection)
            self._missed_pings = 0
            if reply[0] == b"message":
                for text in self._let_in(reply[1], reply[2]):
                    deliver(text)
                    await self._breathe(len(text))
            elif reply[0] == b"subscribe" and reply[2] == 2:
                self._subscribed = True
                self._tried.set()
                self._subscriptions += 1
                self._contact.made("listening")
                self._door.subscribed()
                subscribed()

    def _let_in(self, channel: bytes, sealed: bytes) -> list[str]:
        texts = self._door.read(sealed, channel, monotonic())
        if texts is None:
            self._refuse()
            return []
        self.received += len(texts)
        return texts

    async def _breathe(self, characters: int) -> None:
        self._unbreathed += 1 / BREATH_MESSAGES + characters / BREATH_CHARACTERS
        if self._unbreathed >= 1:
            self._unbreathed = 0.0
            await asyncio.sleep(0)

    def _refuse(self) -> None:
        self.forged += 1
        if monotonic() - self._forgery_told_at >= LOG_INTERVAL:
            log.warning(
                "Letters on %s are not sealed with our keys and are dropped, %d so far: another "
                "program writes there, or another node has other keys in its --secret-key-file",
                self._everyone,
                self.forged,
            )
            self._forgery_told_at = monotonic()

    def _written(self, message: Message) -> tuple[str, bytes]:
        to, text, kind = message
        channel = f"{self._everyone}:{to}" if to else self._everyone
        return channel, self._door.write(text, channel, monotonic(), kind)

    async def _read(self, connection: AbstractConnection) -> Any:
        # Without a timeout of its own, which would cost more than the message: _watch sees to it.
        try:
            return await connection.read_response(timeout=math.inf, disconnect_on_error=False)
        except (RedisError, OSError) as error:
            if self._dropped_because:
                raise NoContact(self._dropped_because) from None
            raise self._server.no_contact(error) from error

    async def _watch(self) -> None:
        """A frozen Redis gives no error: drop a subscription that does not answer."""
        while True:
            await asyncio.sleep(PING_INTERVAL)
            if self._listening is None:
                continue
            # Answers are counted, not seconds: after a pause of our own process they lie unread.
            if self._missed_pings >= MISSED_PINGS:
                self._drop_subscription("it does not answer")
            elif self._listening.is_connected:
                self._missed_pings += 1
                with suppress(RedisError, OSError):  # _listen sees it too
                    await self._listening.send_command("PING")

    def _drop_subscription(self, because: str) -> None:
        if self._listening is not None:
            self._dropped_because = because
            abort(self._listening)
