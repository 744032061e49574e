"""What is due when: also for keys of which none is less than another."""

from presence_server.presence.deadlines import Deadlines


class Key:
    """As the sources of sessions may be: two cannot be put in an order."""


def test_what_is_due_comes_in_the_order_of_time_and_then_of_being_put() -> None:
    deadlines, keys = Deadlines[Key](), [Key() for _ in range(5)]
    for key in keys:
        deadlines.put(key, 2.0)
    deadlines.put(keys[3], 1.0)
    deadlines.put(keys[4], 2.5)
    assert list(deadlines.take(0.9)) == [] and len(deadlines) == 5
    assert list(deadlines.take(2.0)) == [keys[3], *keys[:3]]
    assert len(deadlines) == 1
    assert list(deadlines.take(3.0)) == [keys[4]] and list(deadlines.take(3.0)) == []


def test_what_was_dropped_or_put_off_is_not_due() -> None:
    deadlines, keys = Deadlines[Key](), [Key() for _ in range(3)]
    for key in keys:
        deadlines.put(key, 1.0)
    deadlines.drop(keys[0])
    deadlines.drop(Key())
    deadlines.put(keys[1], 5.0)
    assert list(deadlines.take(4.0)) == [keys[2]]
    assert list(deadlines.take(5.0)) == [keys[1]]


def test_all_can_be_moved_and_more_be_put_behind_them() -> None:
    deadlines, keys = Deadlines[Key](), [Key() for _ in range(4)]
    for second, key in enumerate(keys[:3]):
        deadlines.put(key, float(second))
    deadlines.move(lambda key, at: 10.0 - at if key is not keys[2] else 9.0)
    deadlines.put(keys[3], 9.0)
    assert list(deadlines.take(8.9)) == []
    assert list(deadlines.take(10.0)) == [keys[1], keys[2], keys[3], keys[0]]


def test_what_is_put_off_again_and_again_takes_no_more_and_more_place() -> None:
    deadlines, keys = Deadlines[Key](), [Key() for _ in range(10)]
    most = 0
    for number in range(1_000):
        deadlines.put(keys[number % 10], float(number))
        most = max(most, len(deadlines._heap))
    assert most == 2 * len(keys) + 64
    assert list(deadlines.take(2_000.0)) == keys
