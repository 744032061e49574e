import json
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from presence_server.accounts import users
from presence_server.keys import DATABASE, PRESENCE
from presence_server.presence.members import Who
from presence_server.presence.records import OWN
from tests.conftest import Serve, Visit

pytestmark = pytest.mark.both_databases

NAMES = ["Alice", "alfred", "bob", "Bobby", "carol", "dave.x", "dave_x", "_z"]


async def add(server: TestServer, *names: str) -> None:
    for name in names:
        await users.create(server.app[DATABASE], name, "no hash", 1)


def names(answer: Any) -> list[str]:
    return [user["username"] for user in answer["users"]]


async def test_everybody_in_the_order_of_lower_case_names(serve: Serve, visit: Visit) -> None:
    server = await serve()
    await add(server, *NAMES)
    me = await visit(server, "michael")
    everybody = sorted([*NAMES, "michael"], key=str.lower)
    answer = await me.api()
    assert names(answer) == everybody
    assert answer["next"] is None
    found, query = [], "?limit=2"
    while True:
        answer = await me.api(query)
        assert 0 < len(answer["users"]) <= 2
        found += names(answer)
        if answer["next"] is None:
            break
        assert answer["next"] == found[-1]
        query = f"?limit=2&after={answer['next']}"
    assert found == everybody


async def test_status_and_since(serve: Serve, visit: Visit) -> None:
    server = await serve()
    await add(server, "bob", "carol")
    # Of carol a clock wrote that was centuries ahead.
    for name, seen in (("bob", 1_700_000_000), ("carol", 10_000_000_000)):
        await users.record_last_seen(server.app[DATABASE], {name: seen}, seen)
    me = await visit(server, "michael")
    person = server.app[PRESENCE].status_of("michael")
    assert person is not None
    nothing = {"name": None, "text": None, "until": None}
    assert (await me.api())["users"] == [
        {"username": "bob", "status": "offline", "since": 1_700_000_000, **nothing},
        {"username": "carol", "status": "offline", "since": None, **nothing},
        {"username": "michael", "status": "online", "since": person.since, **nothing},
    ]


async def test_only_people_here(serve: Serve, visit: Visit) -> None:
    server = await serve()
    await add(server, *NAMES)
    for name in ("zoe", "Adam", "eve"):
        await visit(server, name)
    me = await visit(server, "bill")
    assert names(await me.api("?here=1")) == ["Adam", "bill", "eve", "zoe"]
    answer = await me.api("?here=1&limit=2")
    assert (names(answer), answer["next"]) == (["Adam", "bill"], "bill")
    answer = await me.api("?here=1&limit=2&after=BILL")
    assert (names(answer), answer["next"]) == (["eve", "zoe"], None)
    assert names(await me.api("?here=1&q=Z")) == ["zoe"]
    assert names(await me.api("?here=1&q=bo")) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?q=al", ["alfred", "Alice"]),
        ("?q=AL", ["alfred", "Alice"]),
        ("?q=bob", ["bob", "Bobby"]),
        ("?q=bob&after=bob", ["Bobby"]),
        ("?q=_", ["_z"]),
        ("?q=dave.", ["dave.x"]),
        ("?q=dave_", ["dave_x"]),
        ("?q=nobody", []),
        ("?q=", sorted([*NAMES, "michael"], key=str.lower)),
        ("?after=dave_x", ["michael"]),
        ("?after=zzz", []),
        ("?limit=1", ["_z"]),
        ("?limit=01", ["_z"]),
        ("?unknown=1&limit=1", ["_z"]),
    ],
)
async def test_prefix_and_after(
    serve: Serve, visit: Visit, query: str, found: list[str]
) -> None:
    server = await serve()
    await add(server, *NAMES)
    assert names(await (await visit(server, "michael")).api(query)) == found


BAD = """
limit=0 limit=201 limit=-1 limit= limit=x limit=1.5 limit=1e2 limit=0x10 limit=%2B5 limit=%D9%A1
limit=99999999999999999999 limit=1&limit=2 limit=%00
here=0 here=2 here= here=true here=1&here=1
q=%00 q=a%07 q=%E2%80%AE q=%0A&q=a q=a&q=b q=%F3%B0%80%80
after=%00 after=%FF after=%0A after=%C3%A4 after=a%2Fb after=a&after=b after=..%2F
status=busy status= status=away&status=away at=1 at=x&status=away at=-1&status=away
at=1&status=offline at=1&status=away&after=a here=1&status=away
""".split()


@pytest.mark.parametrize("query", [*BAD, "q=" + "a" * 65, "after=" + "a" * 33])
async def test_bad_values(serve: Serve, visit: Visit, query: str) -> None:
    answer = await (await visit(await serve(), "michael")).get(f"/api/users?{query}")
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    # Which one is bad, but not what it was.
    name = query.partition("=")[0]
    assert json.loads(answer.text)["error"].startswith(f"{name} m")


async def test_t7_nothing_for_those_who_are_not_logged_in(serve: Serve, visit: Visit) -> None:
    server = await serve()
    await visit(server, "rumpelstilzchen")
    stranger = await visit(server)
    for path in (
        "/api/users",
        "/api/users?limit=0",
        "/",
        "/?q=rump",
        "/sign_up/",
        "/log_in/",
        "/account/",
        "/healthz",
        "/readyz",
        "/nothing",
        "/users/",
        "/metrics",
        "/roster",
    ):
        answer = await stranger.get(path)
        assert answer.status in (200, 303, 401, 404)
        assert "rumpel" not in answer.text + str(answer.headers)
    answer = await stranger.get("/api/users")
    assert answer.status == 401
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_a_page_from_anywhere_among_those_of_a_status(serve: Serve, visit: Visit) -> None:
    server = await serve()
    people = [f"user{number:02}" for number in range(30)]
    await add(server, *people)
    me = await visit(server, "zoe")
    presence = server.app[PRESENCE]
    for number, name in enumerate(people):
        if number % 3:
            presence.claim(OWN, Who(f"session of {name}", name))
    here = [*(name for number, name in enumerate(people) if number % 3), "zoe"]
    for at in range(len(here)):
        answer = await me.api(f"?status=online&limit=5&at={at}")
        # The last page is whole, too.
        start = min(at, len(here) - 5)
        assert names(answer) == here[start : start + 5]
        assert (answer["at"], answer["count"]) == (start, len(here))
    answer = await me.api("?status=online&limit=5&at=999")
    assert (names(answer), answer["next"]) == (here[-5:], None)
    answer = await me.api(f"?status=online&limit=5&after={here[6]}")
    assert (names(answer), answer["at"]) == (here[7:12], 7)
    answer = await me.api("?status=away")
    assert (names(answer), answer["at"], answer["count"]) == ([], 0, 0)
    answer = await me.api("?status=offline&limit=4")
    assert names(answer) == people[0:12:3]
    answer = await me.api(f"?status=offline&after={answer['next']}")
    assert (names(answer), answer["next"]) == (people[12::3], None)


async def test_a_page_from_anywhere_among_those_found(serve: Serve, visit: Visit) -> None:
    server = await serve()
    people = [f"user{number:02}" for number in range(12)]
    named = ["ben", "user03", "user08", "zoe"]
    await add(server, *(name for name in people if name not in named), "ulf")
    for name in named:
        await users.create(server.app[DATABASE], name, "no hash", 1, name="Anna Ulfson")
    me = await visit(server, "michael")
    presence = server.app[PRESENCE]
    for name in (*people, "ulf", "ben", "zoe"):
        presence.claim(OWN, Who(f"session of {name}", name))
    found = ["ben", "ulf", "user03", "user08", "zoe"]
    for at in range(4):
        answer = await me.api(f"?status=online&q=ul&limit=2&at={at}")
        assert names(answer) == found[at : at + 2]
        assert (answer["at"], answer["count"]) == (at, 5)
