"""One node's door: what comes in is heard once, in its order, and only from nodes that live.

A seal says who wrote a letter, not when: whoever reads a channel can send what stands there again,
also after its sender has died, and to a node that was not there when it was said. So letters are
numbered, and who is heard for the first time since this node subscribed is asked to repeat a random
number; what has come from it meanwhile is held back. Nothing is remembered of those who are gone:
they cannot answer.
"""

import math
import re
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from presence_server.relay.seal import Seal

LETTER, _QUESTION, _ANSWER = "letter", "question", "answer"
_WRITTEN = re.compile(r"(\S+) (\d{1,15}) (letter|question|answer) (.*)", re.DOTALL)
# Seconds between two questions to one node.
_ASK_EVERY = 1.0
# What was written so many seconds before its sender answered is still news; longer ago, old.
_NEWS = 3.0
# Whoever has read the channel for long knows letters of many nodes that are gone.
_MOST_NODES = 1000
_MOST_HELD = 8 * 1024 * 1024  # characters

# What is said from door to door: its kind, its text and the node that it is for.
Say = Callable[[str, str, str], None]


@dataclass(slots=True)
class _Sender:
    # Newest of its letters that was let in, and of its questions while it is a stranger.
    newest: int = -1
    question: int = -1
    # It has answered since this node subscribed.
    lives: bool = False
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))
    asked_at: float = -math.inf
    held: dict[int, str] = field(default_factory=dict)


class Door:
    """`write` and `read` are called in the order of what leaves and comes. `now` is in seconds, by
    a clock that never goes back."""

    def __init__(self, me: str, seal: Seal, say: Say) -> None:
        # So many letters were refused that had come before, or whose sender did not answer.
        self.repeated = 0
        self._me = me
        self._seal = seal
        self._say = say
        self._written = 0
        # Numbers that were the next at some time, some seconds apart.
        self._marks = deque([(-math.inf, 0)], maxlen=2)
        self._known: dict[str, _Sender] = {me: _Sender(lives=True)}
        self._strangers: dict[str, _Sender] = {}
        self._held = 0

    def subscribed(self) -> None:
        """Letters may have been missed, which somebody else may have kept: ask everybody anew."""
        for name, sender in self._known.items():
            self._let_go(sender)
            self._known[name] = _Sender(sender.newest, sender.question, name == self._me)
        self._forget_strangers()

    def write(self, text: str, channel: str, now: float, kind: str = LETTER) -> bytes:
        """Number and seal what is to leave next."""
        if now - self._marks[-1][0] >= _NEWS:
            self._marks.append((now, self._written))
        number, self._written = self._written, self._written + 1
        return self._seal.close(f"{self._me} {number} {kind} {text}", channel)

    def read(self, sealed: bytes, channel: bytes, now: float) -> list[str] | None:
        """The letters that may be heard now; None if it is not sealed by one of ours."""
        opened = self._seal.open(sealed, channel)
        written = None if opened is None else _WRITTEN.fullmatch(opened)
        if written is None:
            return None
        name, number, kind, text = written.groups()
        sender = self._sender(name)
        if kind == _QUESTION:
            self._hear_question(name, sender, int(number), text, now)
            return []
        if kind == _ANSWER:
            return self._hear_answer(name, sender, text)
        return self._hear_letter(name, sender, int(number), text, now)

    def _sender(self, name: str) -> _Sender:
        sender = self._known.get(name) or self._strangers.get(name)
        if sender is None:
            sender = self._strangers[name] = _Sender()
            if len(self._strangers) > _MOST_NODES:
                self._let_go(self._strangers.pop(next(iter(self._strangers))))
        return sender

    def _hear_letter(
        self, name: str, sender: _Sender, number: int, text: str, now: float
    ) -> list[str]:
        if number <= sender.newest:
            self.repeated += 1
            return []
        if sender.lives:
            sender.newest = number
            return [text]
        self._ask(name, sender, now)
        self._hold(sender, number, text)
        return []

    def _hear_question(
        self, name: str, sender: _Sender, number: int, nonce: str, now: float
    ) -> None:
        if number <= max(sender.newest, sender.question):
            self.repeated += 1
            return
        sender.question = number
        self._say(_ANSWER, f"{nonce} {self._marks[0][1]}", name)
        if not sender.lives:
            self._ask(name, sender, now)

    def _hear_answer(self, name: str, sender: _Sender, text: str) -> list[str]:
        nonce, _, first = text.partition(" ")
        if sender.lives or nonce != sender.nonce or not first.isdecimal():
            return []
        held = self._let_go(sender)
        news = [number for number in sorted(held) if number >= int(first)]
        self.repeated += len(held) - len(news)
        sender.lives = True
        sender.newest = max([sender.newest, *news])
        self._strangers.pop(name, None)
        self._know(name, sender)
        return [held[number] for number in news]

    def _know(self, name: str, sender: _Sender) -> None:
        self._known[name] = sender
        if len(self._known) > _MOST_NODES:
            gone = next(name for name in self._known if name != self._me)
            self._let_go(self._known.pop(gone))

    def _ask(self, name: str, sender: _Sender, now: float) -> None:
        if now - sender.asked_at >= _ASK_EVERY:
            # What it has not answered for meanwhile is soon no news any more.
            self.repeated += len(self._let_go(sender))
            sender.asked_at = now
            self._say(_QUESTION, sender.nonce, name)

    def _hold(self, sender: _Sender, number: int, text: str) -> None:
        if number in sender.held or self._held + len(text) > _MOST_HELD:
            self.repeated += 1
            return
        sender.held[number] = text
        self._held += len(text)

    def _let_go(self, sender: _Sender) -> dict[int, str]:
        held, sender.held = sender.held, {}
        self._held -= sum(map(len, held.values()))
        return held

    def _forget_strangers(self) -> None:
        for sender in self._strangers.values():
            self._let_go(sender)
        self._strangers.clear()
