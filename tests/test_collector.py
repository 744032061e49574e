"""What is collected when, in a process that holds very many objects."""

import gc
import weakref

import pytest

from presence_server import collector
from presence_server.collector import short_collections


class Thing:
    """Holds itself, so that only a collection finds it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_survives_a_full_collection_is_set_aside() -> None:
    with short_collections():
        things = [Thing() for _ in range(1000)]
        gc.collect()
        assert not any(isinstance(thing, Thing) for thing in gc.get_objects())
        gone = weakref.ref(Thing())
        gc.collect()
        assert gone() is None
    assert sum(isinstance(thing, Thing) for thing in gc.get_objects()) == len(things)


def test_once_in_a_while_everything_is_looked_at() -> None:
    with short_collections(everything_every=0):
        thing = Thing()
        gc.collect()
        gone = weakref.ref(thing)
        del thing
        gc.collect()
        assert gone() is None


def test_afterwards_all_is_as_before() -> None:
    before = gc.get_threshold(), len(gc.callbacks)
    with short_collections():
        assert gc.get_threshold() != before[0]
    assert (gc.get_threshold(), len(gc.callbacks)) == before
    assert gc.get_freeze_count() == 0


def test_a_process_that_grows_looks_at_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was set aside and has died in a cycle since is found before there is much of it."""
    monkeypatch.setattr(collector, "_GROWN_BY", 1000)
    monkeypatch.setattr(collector, "_GROWN", 1.0)
    with short_collections():
        things = [Thing() for _ in range(1000)]
        gc.collect()
        gone = weakref.ref(things[0])
        things.clear()
        gc.collect()
        assert gone() is not None
        more = [Thing() for _ in range(1000)]
        gc.collect()
        assert gone() is None
        assert more
