"""Messages that wait to leave."""

import asyncio
from collections import deque
from typing import NamedTuple

MAX_MESSAGES = 10_000
MAX_CHARACTERS = 8 * 1024 * 1024


class Message(NamedTuple):
    """For one node, or for all; `kind` is for whoever takes it."""

    to: str | None
    text: str
    kind: str = ""


class Backlog:
    """A bounded queue. When it is full the oldest message goes: the newest say most."""

    def __init__(
        self, max_messages: int = MAX_MESSAGES, max_characters: int = MAX_CHARACTERS
    ) -> None:
        self.dropped = 0
        self._max_messages = max_messages
        self._max_characters = max_characters
        self._messages: deque[Message] = deque()
        self._characters = 0
        self._waiting = asyncio.Event()

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, text: str, to: str | None = None, kind: str = "") -> None:
        self._messages.append(Message(to, text, kind))
        self._characters += len(text)
        while len(self._messages) > self._max_messages or self._characters > self._max_characters:
            self._pop()
            self.dropped += 1
        self._waiting.set()

    async def wait(self) -> None:
        """Wait until there is a message."""
        while not self._messages:
            self._waiting.clear()
            await self._waiting.wait()

    def take(self, most: int, characters: int) -> list[Message]:
        """The oldest messages: at least one, then as many as fit within both bounds."""
        batch = [self._pop()]
        size = len(batch[0].text)
        while self._messages and len(batch) < most:
            size += len(self._messages[0].text)
            if size > characters:
                break
            batch.append(self._pop())
        return batch

    def clear(self, on_their_way: int) -> None:
        """Drop all, and count with it what was taken and did not arrive."""
        self.dropped += on_their_way + len(self._messages)
        self._messages.clear()
        self._characters = 0

    def _pop(self) -> Message:
        message = self._messages.popleft()
        self._characters -= len(message.text)
        return message
