"""What is sent again by somebody else is heard once, and only while its sender lives."""

from collections import deque

from presence_server.relay.door import Door
from presence_server.relay.seal import Seal

SEAL = Seal([b"a key of the tests, of 32 bytes."])
ALL = "all"


class Doors:
    """Nodes whose letters all reach all of them, or stay on the way; and what was ever written."""

    def __init__(self, *names: str) -> None:
        self.now = 100.0
        self.heard: dict[str, list[str]] = {}
        self.written: list[tuple[str, bytes]] = []
        self.doors: dict[str, Door] = {}
        self._on_its_way: deque[tuple[str, str, bytes]] = deque()
        for name in names:
            self.start(name)

    def start(self, name: str) -> None:
        self.heard[name] = []
        self.doors[name] = Door(
            name, SEAL, lambda kind, text, to: self._write(name, text, f"{ALL}:{to}", kind)
        )

    def end(self, name: str) -> None:
        del self.doors[name], self.heard[name]

    def say(self, name: str, text: str) -> None:
        self._write(name, text, ALL, "letter")

    def _write(self, name: str, text: str, channel: str, kind: str) -> None:
        sealed = self.doors[name].write(text, channel, self.now, kind)
        self.written.append((channel, sealed))
        for to in self.doors:
            if channel in (ALL, f"{ALL}:{to}"):
                self._on_its_way.append((to, channel, sealed))

    def travel(self) -> None:
        while self._on_its_way:
            self.bring(*self._on_its_way.popleft())

    def bring(self, to: str, channel: str, sealed: bytes) -> None:
        self.heard[to] += self.doors[to].read(sealed, channel.encode(), self.now) or []


def send_all_again(doors: Doors, times: int = 3) -> None:
    said = list(doors.written)
    for _ in range(times):
        for to in list(doors.doors):
            for _, sealed in said:
                for channel in (ALL, f"{ALL}:{to}"):
                    doors.bring(to, channel, sealed)
        doors.travel()
        doors.now += 1


def test_who_lives_is_heard_from_its_first_word_on() -> None:
    doors = Doors("a", "b")
    doors.say("a", "one")
    doors.say("a", "two")
    doors.say("b", "hello")
    doors.travel()
    doors.say("a", "three")
    doors.travel()
    for heard in doors.heard.values():
        assert sorted(heard) == ["hello", "one", "three", "two"]
        assert [text for text in heard if text != "hello"] == ["one", "two", "three"]


def test_nothing_is_heard_twice() -> None:
    doors = Doors("a", "b")
    for text in ("one", "two"):
        doors.say("a", text)
    doors.travel()
    heard = {name: list(texts) for name, texts in doors.heard.items()}
    send_all_again(doors)
    assert doors.heard == heard
    assert doors.doors["b"].repeated > 0


def test_who_is_gone_is_heard_by_nobody_who_came_later() -> None:
    doors = Doors("a", "b")
    doors.say("a", "one")
    doors.travel()
    doors.end("a")
    doors.start("c")
    send_all_again(doors)
    assert doors.heard["c"] == []
    # Nor does anybody answer it for ever: a question a second to the one who is gone.
    written = len(doors.written)
    send_all_again(doors, times=5)
    assert len(doors.written) - written <= 5


def test_after_a_gap_only_those_who_answer_are_heard() -> None:
    doors = Doors("a", "b")
    doors.say("a", "one")
    doors.travel()
    # b hears nothing for a while; somebody else does.
    doors.say("a", "missed")
    missed = doors.written[-1]
    doors._on_its_way.clear()
    doors.doors["b"].subscribed()
    doors.end("a")
    doors.now += 10
    doors.bring("b", *missed)
    doors.travel()
    assert doors.heard["b"] == ["one"]


def test_what_is_old_is_not_let_in_with_what_is_new() -> None:
    doors = Doors("a")
    doors.say("a", "old")
    for _ in range(10):
        doors.now += 1
        doors.say("a", "between")
    doors.travel()
    said = list(doors.written)
    doors.start("b")
    for channel, sealed in said:
        doors.bring("b", channel, sealed)
    doors.say("a", "new")
    doors.travel()
    assert doors.heard["b"][-1] == "new"
    assert "old" not in doors.heard["b"]


def test_a_letter_to_one_is_none_to_another() -> None:
    doors = Doors("a", "b")
    sealed = doors.doors["a"].write("to c", f"{ALL}:c", doors.now)
    assert doors.doors["b"].read(sealed, f"{ALL}:b".encode(), doors.now) is None


def test_what_waits_for_answers_is_bounded() -> None:
    doors = Doors("b")
    door = doors.doors["b"]
    for number in range(3000):
        made_up = Door(f"n{number}", SEAL, lambda *question: None)
        for _ in range(3):
            door.read(made_up.write("x" * 10_000, ALL, 0.0), ALL.encode(), doors.now)
    assert len(door._strangers) <= 1000
    assert door._held == sum(
        len(text) for sender in door._strangers.values() for text in sender.held.values()
    )
    assert door._held <= 8 * 1024 * 1024
    # And somebody who lives gets in all the same.
    doors.start("a")
    doors.say("a", "hello")
    doors.now += 1
    doors.say("a", "hello again")
    doors.travel()
    assert doors.heard["b"][-1] == "hello again"
