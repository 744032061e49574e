"""Pages, counts and places of those who are here, beside the plain way to find them."""

import random
from time import perf_counter

import pytest

from presence_server.presence.entries import Entry, Source
from presence_server.presence.ordered import Ordered
from presence_server.presence.roster import Roster
from presence_server.presence.states import PRECEDENCE, Status

STATUSES: tuple[tuple[Status, ...], ...] = (PRECEDENCE, ("away",), ("online", "busy"))


def place(roster: Roster, name: str, status: Status = "online", since: int = 1) -> None:
    roster.place(Source("node", "", name), Entry(name, 0, status, since))


def remove(roster: Roster, name: str, since: int = 1) -> None:
    roster.remove(Source("node", "", name), name, since)


@pytest.mark.parametrize("remembered", [3, 1_000])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_sorting_everybody_gives(seed: int, remembered: int) -> None:
    """Also when more left than are remembered, and of who came and went within a second."""
    chance = random.Random(seed)
    roster = Roster(remembered=remembered)
    names = [a + b for a in ("al", "Al", "bo", "C", "\u00e9") for b in ("", "a", "B", ".x", "z9")]
    ordered = Ordered(roster, str.lower)
    for second in range(60):
        for _ in range(chance.randrange(8)):
            name = chance.choice(names)
            if chance.random() < 0.4:
                remove(roster, name, second)
            else:
                place(roster, name, chance.choice(PRECEDENCE), second)
        prefix = chance.choice(("", "a", "AL", "bo", "zz", "\u00e9"))
        after = chance.choice((None, "", "ala", "B", "zz"))
        for statuses in STATUSES:
            all_of_them = sorted(
                (
                    name.lower()
                    for name, person in roster.here.items()
                    if person.status in statuses and name.lower().startswith(prefix.lower())
                )
            )
            page = [name for name in all_of_them if after is None or name > after.lower()][:4]
            found = ordered.page(4, after=after, prefix=prefix, statuses=statuses)
            assert [name.lower() for name in found] == page
            assert ordered.count(prefix, statuses) == len(all_of_them)
            assert ordered.count() == len(roster.here)
            name = chance.choice(names)
            before = [other for other in all_of_them if other < name.lower()]
            assert ordered.place(name, prefix, statuses) == len(before)
            index = chance.randrange(12)
            at_index = ordered.name_at(index, prefix, statuses)
            expected = all_of_them[index] if index < len(all_of_them) else None
            # Names that differ in their case alone share a place.
            if len(set(all_of_them)) == len(all_of_them):
                assert (at_index and at_index.lower()) == expected


@pytest.mark.alone
def test_a_page_out_of_a_hundred_thousand_costs_what_one_out_of_a_thousand_does() -> None:
    def cost(people: int) -> float:
        roster = Roster()
        for number in range(people):
            place(roster, f"user{number:06}")
        ordered = Ordered(roster)
        best = 1.0
        for number in range(30):
            began = perf_counter()
            place(roster, f"user{number:06}", "away")
            ordered.page(50, after=f"user{people // 2:06}")
            ordered.count("user0001")
            best = min(best, perf_counter() - began)
        return best

    assert cost(100_000) < 10 * cost(1_000)
