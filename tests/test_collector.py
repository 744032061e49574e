"""What is collected when, in a process that holds very many objects."""

import gc
import sys
import weakref
from collections.abc import Callable

import pytest

from presence_server import collector
from presence_server.collector import short_collections


class Thing:
    """Holds itself, so that only a collection finds it."""

    def __init__(self) -> None:
        self.itself = self


class Later:
    """Holds back what is to be done soon."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def __call__(self, act: Callable[[], None]) -> None:
        self._waiting.append(act)

    def do(self) -> int:
        acts, self._waiting = self._waiting, []
        for act in acts:
            act()
        return len(acts)


@pytest.mark.parametrize("generation", [0, 2])
def test_what_survives_a_collection_is_set_aside(generation: int) -> None:
    later = Later()
    with short_collections(later):
        things = [Thing() for _ in range(1000)]
        gc.collect(generation)
        assert not any(isinstance(thing, Thing) for thing in gc.get_objects())
        gone = weakref.ref(Thing())
        gc.collect(generation)
        assert gone() is None
    assert sum(isinstance(thing, Thing) for thing in gc.get_objects()) == len(things)
    assert later.do() == 0


def test_new_objects_are_looked_at_as_they_gather() -> None:
    with short_collections(Later()):
        gone = weakref.ref(Thing())
        things = [Thing() for _ in range(10_000)]
        assert gone() is None
    assert things


def test_once_in_a_while_everything_is_looked_at() -> None:
    later = Later()
    with short_collections(later, everything_every=0):
        thing = Thing()
        gc.collect()
        gone = weakref.ref(thing)
        del thing
        gc.collect()
        assert gone() is not None
        assert later.do() == 1
        assert gone() is None


def test_afterwards_all_is_as_before() -> None:
    before = gc.get_threshold(), len(gc.callbacks)
    with short_collections(Later()):
        assert gc.get_threshold() != before[0]
    assert (gc.get_threshold(), len(gc.callbacks)) == before
    assert gc.get_freeze_count() == 0


def test_a_process_that_grows_looks_at_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was set aside and has died in a cycle since is found before there is much of it."""
    monkeypatch.setattr(collector, "_GROWN_BY", 2000)
    monkeypatch.setattr(collector, "_GROWN", 1.0)
    later = Later()
    with short_collections(later):
        things = [Thing() for _ in range(100)]
        gc.collect()
        gone = weakref.ref(things[0])
        things.clear()
        gc.collect()
        assert later.do() == 0
        assert gone() is not None
        more = [Thing() for _ in range(5000)]
        gc.collect()
        assert later.do() == 1
        assert gone() is None
        assert more


def test_while_it_is_crowded_nobody_waits_for_a_look_at_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But one that is long overdue: a crowd may have no end."""
    monkeypatch.setattr(collector, "_GROWN_BY", 2000)
    monkeypatch.setattr(collector, "_GROWN", 1.2)
    crowded = True
    later = Later()
    with short_collections(later, lambda: crowded):
        thing = Thing()
        gc.collect()
        gone = weakref.ref(thing)
        del thing
        kept = _grow(1.25)
        gc.collect()
        assert later.do() == 1 and gone() is not None, "a crowd waits"
        gc.collect()
        assert later.do() == 1 and gone() is not None, "it is asked for again"
        crowded = False
        gc.collect()
        assert later.do() == 1 and gone() is None
        thing = Thing()
        gc.collect()
        gone = weakref.ref(thing)
        del thing
        crowded = True
        kept += _grow(1.6)
        gc.collect()
        assert later.do() >= 1 and gone() is None, "it is overdue"
        assert kept


def _grow(times: float) -> list[list[object]]:
    """Take so many times the blocks of memory that are taken now."""
    more = int(sys.getallocatedblocks() * (times - 1)) + 4000
    return [[] for _ in range(more)]
