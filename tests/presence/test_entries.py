"""What nodes say of sessions, and what it takes to know it."""

import random
import tracemalloc

from presence_server.presence.entries import Entries, Entry, Source
from presence_server.presence.letters import Part, Said
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.records import OWN
from presence_server.presence.writing import cut, encode_letter

NOW = 1_800_000_000
ME, OTHER = "0" * 16, "1" * 16
OTHERWISE = Entry("a", 1, "busy", 0)


def test_a_second_to_come_is_taken_for_the_one_that_is() -> None:
    entry = Entry("alice", 1, "online", 105, came=100)
    assert entry.not_after(105) is entry
    assert entry.not_after(102) == entry._replace(since=102)
    assert entry.not_after(90) == entry._replace(since=90, came=90)


def test_what_was_said_before_is_returned_and_one_left_is_alone_again() -> None:
    entries = Entries()
    here, there, other = (Source("m", "room", tag) for tag in "xyz")
    first, second, third = (Entry("alice", 1, "online", since) for since in (1, 2, 3))
    assert entries.put(here, first) is first and entries.lone("alice") is first
    assert entries.put(here, second) is first and entries.lone("alice") is second
    assert entries.take(there, "alice") is None and entries.lone("bob") is None
    assert entries.put(there, first) is first and entries.lone("alice") is None
    assert entries.put(there, third) is first and entries.put(other, first) is first
    assert entries.of("alice") == {here: second, there: third, other: first}
    assert entries.take(here, "bob") is None and entries.take(here, "alice") is second
    assert entries.lone("alice") is None and entries.take(here, "alice") is None
    assert entries.take(other, "alice") is first and entries.lone("alice") is third
    assert entries.take(there, "alice") is third and not entries
    entries.put(here, first)
    entries.put(there, second)
    entries.replace("alice", {other: third})
    assert entries.of("alice") == {other: third} and entries.lone("alice") is third


def test_one_source_or_several_are_kept_alike() -> None:
    chance, entries = random.Random(1), Entries()
    known: dict[str, dict[Source, Entry]] = {}
    for turn in range(1_000):
        user = chance.choice("ab")
        source = Source(chance.choice("mn"), "room", chance.choice("xy"))
        of_user = known.setdefault(user, {})
        if chance.random() < 0.5:
            entry = Entry(user, 1, "online", turn)
            assert entries.holds(source, entry) == (of_user.get(source) == entry)
            assert entries.put(source, entry) == of_user.get(source, entry)
            of_user[source] = entry
            assert entries.holds(source, entry) and not entries.holds(source, OTHERWISE)
        else:
            assert entries.take(source, user) == of_user.pop(source, None)
        if turn % 200 == 199:
            entries.recede(turn - 3)
            for said in known.values():
                said.update({key: entry.not_after(turn - 3) for key, entry in said.items()})
        assert all(entries.of(user) == known.get(user, {}) for user in "ab")
        assert set(entries.users()) == {user for user in known if known[user]}
        lone = [*of_user.values()][0] if len(of_user) == 1 else None
        assert entries.lone(user) == lone and bool(entries) == any(known.values())


def test_somebody_who_is_known_takes_six_hundred_bytes() -> None:
    # So many that dictionaries are as full as they are on the average.
    people = 15_000
    said = [Said(f"user{n}", n + 1_000, "online", NOW - n % 60) for n in range(people)]
    pieces = list(cut(((OWN, f"{n:020x}", one) for n, one in enumerate(said)), ()))
    letters = [
        encode_letter(Part(OTHER, 1, 1, number, len(pieces), NOW, piece))
        for number, piece in enumerate(pieces)
    ]
    node = Node(ME, grace=8, lease=10, now=Moment(0, NOW))
    tracemalloc.start()
    for letter in letters:
        node.receive(letter, Moment(1, NOW))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(node.rooms.own.roster.here) == people
    assert taken / people <= 600


def test_a_room_in_which_nobody_is_takes_a_kilobyte() -> None:
    node = Node(ME, grace=8, lease=10, now=Moment(0, NOW))
    node.watch("1/first")
    names = [f"1/room{number}" for number in range(1_000)]
    tracemalloc.start()
    for name in names:
        node.watch(name)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / len(names) <= 1024
