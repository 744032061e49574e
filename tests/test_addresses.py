"""What counts as one address, to the throttle, the seats and those who keep the server waiting."""

from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from presence_server.accounts.throttle import LOG_INS, SIGN_UPS, WRONG_PASSWORDS, Throttle
from presence_server.addresses import networks, parse
from presence_server.config import Config
from presence_server.live.seats import Seats
from presence_server.web.waiting import Waiting

PREFIX = int(ip_address("2001:db8:1:0::"))


def addresses_of(network: int, count: int) -> Iterator[str]:
    """So many addresses from all over a /`network`."""
    for number in range(count):
        # Of a /48 each in another /56.
        subnet = {64: 0, 56: number % 256, 48: number * 257 % 65536}[network]
        yield str(ip_address(PREFIX + (subnet << 64) + number))


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8::1", "2001:DB8:0:0:1:2:3:4"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
def test_they_are_the_same_client(one: str, another: str) -> None:
    assert networks(one) == networks(another)


def test_what_is_no_address_is_a_client_of_its_own() -> None:
    assert parse("") is parse("unix") is None
    assert len({networks(text) for text in ("", "unix", "\udc80")}) == 3


@pytest.mark.parametrize(("network", "clients"), [(64, 1), (56, 2), (48, 8)])
async def test_a_network_may_do_no_more_than_a_few_clients(network: int, clients: int) -> None:
    throttle = Throttle(lambda: 0.0)
    tried = 0
    for number, address in enumerate(addresses_of(network, 250)):
        async with throttle.log_in(address, f"user{number}") as attempt:
            tried += not attempt.wait
    assert tried == min(250, WRONG_PASSWORDS.burst * clients)
    many = addresses_of(network, 2000)
    assert sum(not throttle.sign_up(address) for address in many) == SIGN_UPS.burst * clients
    assert LOG_INS.burst > WRONG_PASSWORDS.burst


@pytest.mark.parametrize(("network", "most"), [(64, 10), (56, 20), (48, 20)])
async def test_a_network_guesses_at_one_account_no_more_than_two_do(
    network: int, most: int
) -> None:
    throttle = Throttle(lambda: 0.0)
    guessed = 0
    for address in addresses_of(network, 200):
        async with throttle.log_in(address, "alice") as attempt:
            guessed += not attempt.wait
    assert guessed == most
    async with throttle.log_in("2001:db8:2::1", "alice") as attempt:
        assert not attempt.wait


@pytest.mark.parametrize(("network", "clients"), [(64, 1), (56, 2), (48, 8)])
def test_a_network_has_no_more_seats_than_a_few_clients(network: int, clients: int) -> None:
    seats = Seats(per_user=0, per_address=20)
    taken = []
    for address in addresses_of(network, 250):
        if seats.refusal("mallory", address) is None:
            seats.take("mallory", address)
            taken.append(address)
    assert len(taken) == 20 * clients
    assert seats.refusal("bob", "2001:db8:2::1") is None
    for address in taken:
        seats.give_back("mallory", address)
    assert seats.refusal("mallory", taken[0]) is None


class Slow:
    """A connection that has kept the server waiting for a minute."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.opened_at = -60.0
        self.is_cut = False

    def kept_waiting_since(self) -> float | None:
        return None if self.is_cut else -60.0

    def cut(self) -> None:
        self.is_cut = True


class Fresh(Slow):
    def __init__(self, peer: str) -> None:
        super().__init__(peer)
        self.opened_at = 0.0

    def kept_waiting_since(self) -> float | None:
        return None if self.is_cut else 0.0


def arrive(waiting: Waiting, *connections: Slow) -> int:
    """How many of them, or of those before them, are cut."""
    for connection in connections:
        waiting.enter(connection)
    return sum(connection.is_cut for connection in connections)


@pytest.mark.parametrize(("network", "clients"), [(64, 1), (56, 2), (48, 8)])
def test_a_network_keeps_no_more_connections_waiting_than_a_few_clients(
    network: int, clients: int
) -> None:
    waiting = Waiting(Config(max_sockets_per_address=10), lambda: 10_000)
    slow = [Slow(address) for address in addresses_of(network, 100)]
    assert arrive(waiting, *slow) == 0
    fresh = [Fresh(address) for address in addresses_of(network, 100)]
    arrive(waiting, *fresh)
    kept = [connection for connection in slow if not connection.is_cut]
    assert len(kept) <= 10 * clients


def test_when_there_is_no_room_one_of_the_largest_goes() -> None:
    waiting = Waiting(Config(max_sockets_per_address=0), lambda: 50)
    crowd = [Slow("192.0.2.7") for _ in range(40)]
    others = [Slow(f"198.51.100.{number}") for number in range(10)]
    assert arrive(waiting, *others, *crowd) == 0
    assert arrive(waiting, Fresh("203.0.113.1")) == 0
    assert [connection.is_cut for connection in crowd] == [True] + [False] * 39
    for connection in crowd[:10]:
        waiting.leave(connection)
    # And when nobody of them has been slow yet, the last who came.
    new = [Fresh("192.0.2.8") for _ in range(60)]
    arrive(waiting, *new)
    assert not any(connection.is_cut for connection in others)


def test_those_who_left_leave_nothing_behind() -> None:
    waiting = Waiting(Config(), lambda: 10_000)
    connections = [Slow(address) for address in addresses_of(48, 50)]
    arrive(waiting, *connections)
    for connection in connections * 2:
        waiting.leave(connection)
    assert not waiting._all and not waiting._clients and not waiting._networks
