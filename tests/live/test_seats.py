"""How many lines may be open at once, and who is refused one."""

import logging
import resource

import pytest

from presence_server.live import seats as seats_module
from presence_server.live.seats import Seats, capacity

HOME, OFFICE = "192.0.2.1", "192.0.2.2"


def test_a_user_has_so_many_at_all_addresses_together() -> None:
    seats = Seats(per_user=2, per_address=0)
    for address in (HOME, OFFICE):
        assert seats.refusal("alice", address) is None
        seats.take("alice", address)
    assert seats.refusal("alice", "192.0.2.3") == "user"
    assert seats.refusal("bob", HOME) is None
    seats.give_back("alice", HOME)
    assert seats.refusal("alice", HOME) is None


def test_an_address_has_so_many_for_all_its_users_together() -> None:
    seats = Seats(per_user=0, per_address=2)
    for user in ("alice", "bob"):
        assert seats.refusal(user, HOME) is None
        seats.take(user, HOME)
    assert seats.refusal("carol", HOME) == "address"
    assert seats.refusal("carol", OFFICE) is None
    seats.give_back("bob", HOME)
    assert seats.refusal("carol", HOME) is None


def test_who_may_have_any_number_is_refused_only_when_the_process_is_full(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(seats_module, "capacity", lambda: 300)
    seats = Seats(per_user=0, per_address=0)
    for left in range(300, 0, -1):
        assert seats.refusal("alice", HOME) is None
        assert seats.room() == max(100, left)
        seats.take("alice", HOME)
    with caplog.at_level(logging.WARNING):
        assert seats.refusal("alice", HOME) == "process"
    assert caplog.messages == ["all 300 sockets that this process can hold are open"]
    assert seats.room() == 100
    seats.give_back("alice", HOME)
    assert seats.refusal("alice", HOME) is None
    for _ in range(149):
        seats.give_back("alice", HOME)
    assert seats.room() == 150


def test_nothing_is_kept_of_who_has_none() -> None:
    seats = Seats(per_user=1, per_address=1)
    for number in range(3):
        seats.take(f"user{number}", HOME)
    for number in range(3):
        seats.give_back(f"user{number}", HOME)
    assert not seats._users and not seats._networks


@pytest.mark.parametrize(("descriptors", "sockets"), [(1024, 824), (100, 50), (400, 200)])
def test_some_descriptors_are_kept_for_everything_else(
    descriptors: int, sockets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limit(which: int) -> tuple[int, int]:
        assert which == resource.RLIMIT_NOFILE
        return descriptors, 1_000_000

    monkeypatch.setattr(resource, "getrlimit", limit)
    assert capacity() == sockets
