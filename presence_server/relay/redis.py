"""The relay between nodes on Redis pub/sub. Redis keeps nothing: no keys, no streams."""

import asyncio
import logging
import math
from collections.abc import Callable
from time import monotonic

from presence_server.background import Background
from presence_server.relay.backlog import Message
from presence_server.relay.contact import LOG_INTERVAL, Contact
from presence_server.relay.door import LETTER, Door
from presence_server.relay.listening import Listener
from presence_server.relay.publishing import Publisher
from presence_server.relay.redis_server import TIMEOUT, NoContact, RedisServer
from presence_server.relay.seal import Seal

log = logging.getLogger(__name__)


class RedisRelay:
    def __init__(self, server: RedisServer, namespace: str, node: str, seal: Seal) -> None:
        self.received = 0
        self.forged = 0
        self._forgery_told_at = -math.inf
        self._server = server
        self._everyone = f"presence:{namespace}"
        self._own = f"{self._everyone}:{node}"
        self._contact = Contact(server.name)
        self._publisher = Publisher(server, self._contact, self._written)
        self._listener = Listener(
            server, self._contact, (self._everyone, self._own), self._let_in
        )
        self._door = Door(node, seal, self._publisher.put)

    @property
    def connected(self) -> bool:
        return self._contact.whole

    @property
    def resubscribed(self) -> int:
        return max(self._listener.subscriptions - 1, 0)

    @property
    def sent(self) -> int:
        return self._publisher.sent

    @property
    def dropped(self) -> int:
        return self._publisher.dropped

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
        self._publisher.put(LETTER, text, to)

    def resubscribe(self) -> None:
        # What is not heard may only not have been read yet, behind all that others said. A new
        # subscription would throw that away, and all others would have to tell all they know.
        if self._listener.is_behind:
            return
        # An old master that was never told answers both connections and carries nothing.
        self._publisher.leave()
        self._listener.leave("what this node says does not come back to it")

    async def run(
        self,
        deliver: Callable[[str], None],
        subscribed: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        def begin() -> None:
            self._door.subscribed()
            subscribed()

        try:
            async with Background() as tasks:
                tasks.start("relay: publish", self._publish())
                tasks.start("relay: listen", self._listener.run(deliver, begin, lost))
                tasks.start("relay: watch", self._listener.watch())
        finally:
            self._contact.end()

    async def flush(self, timeout: float) -> None:
        await self._publisher.flush(timeout)

    async def _publish(self) -> None:
        # Others ask whoever is new whether it lives: what it says before it can hear that, they
        # would hold back for a while, and then drop.
        await self._listener.tried.wait()
        await self._publisher.run()

    def _let_in(self, channel: bytes, sealed: bytes) -> list[str]:
        texts = self._door.read(sealed, channel, monotonic())
        if texts is None:
            self._refuse()
            return []
        self.received += len(texts)
        return texts

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
