import pytest

from presence_server.live.cover import Cover
from presence_server.presence.commands import Send
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.records import OWN

KEYS = [bytes([number]) * 32 for number in range(3)]


def test_numbers_are_covered_and_uncovered_also_while_keys_are_replaced() -> None:
    covered = Cover(KEYS[:1]).cover(7, 2**40)
    assert Cover(KEYS[:1]).uncover(covered) == (7, 2**40)
    assert Cover(KEYS[1::-1]).uncover(covered) == (7, 2**40)
    assert Cover(KEYS[1:]).uncover(covered) is None


def test_nothing_is_seen_of_how_far_apart_they_are() -> None:
    cover = Cover(KEYS)
    texts = {cover.cover(7, number) for number in range(1000)}
    assert len(texts) == 1000 and {len(text) for text in texts} == {32}
    assert len({text[:4] for text in texts}) > 900


def test_cursors_carry_nothing_but_what_is_covered() -> None:
    node = Node("1" * 16, grace=8, lease=10, now=Moment(0, 1_000), cover=Cover(KEYS))
    for second in range(1, 4):
        now = Moment(second, 1_000 + second)
        for command in node.tick(now):
            if isinstance(command, Send):
                node.receive(command.text, now)
    name, version, covered = node.rooms.own.cursor(0).split(".")
    assert (name, version) == ("1" * 16, "0")
    numbers = Cover(KEYS).uncover(covered)
    assert numbers is not None
    node.open(OWN, Who("laptop", "alice", 1), 1, now)
    own = node.rooms.own
    later = Cover(KEYS).uncover(own.cursor(own.roster.version).split(".")[2])
    assert later == (numbers[0], numbers[1] + 1), "with the batch that says it"


def test_what_was_covered_is_not_uncovered_when_it_is_written_otherwise() -> None:
    covered = Cover(KEYS).cover(7, 2**40)
    assert Cover(KEYS).uncover(f"{covered[:2]} {covered[2:]}") is None
    assert Cover(KEYS).uncover(covered[:31]) is Cover(KEYS).uncover(covered + "00") is None


@pytest.mark.parametrize("text", ["", "x" * 32, "0" * 32, "0" * 30, "00 " * 16, "1-2", "٣" * 32])
def test_what_is_none_is_no_error(text: str) -> None:
    assert Cover(KEYS).uncover(text) is None
