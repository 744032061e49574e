"""Who was here when, as administrators see it."""

import re

import pytest
from aiohttp.test_utils import TestServer

from presence_server.keys import DATABASE
from presence_server.presence.names import key_of
from presence_server.storage.database import Transaction
from presence_server.visits import written
from presence_server.web.admin import visits
from tests.admin.conftest import Administrator
from tests.conftest import Serve

DAY = 1_795_392_000  # 2026-11-23
HOUR = 3600


async def write(
    server: TestServer, *visits: tuple[str, int, int | None], room: str = ""
) -> None:
    """Visits of a room, else of the own list, as they are kept: user, came, left."""

    async def work(transaction: Transaction) -> None:
        await transaction.execute_many(
            "INSERT INTO visits (room, account, username, came, left_at)"
            " VALUES ($1, 1, $2, $3, $4)",
            [(room, *visit) for visit in visits],
        )

    await server.app[DATABASE].write(work)


@pytest.mark.both_databases
async def test_who_was_here_when(
    serve: Serve, administrator: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A table is read in several goes.
    monkeypatch.setattr(written, "_AT_ONCE", 2)
    server = await serve(visits=30)
    alice = await administrator(server)
    await write(
        server,
        ("bob", DAY - HOUR, DAY + HOUR),
        ("bob", DAY + 9 * HOUR, DAY + 10 * HOUR),
        ("carol", DAY + 9 * HOUR + 1800, DAY + 30 * HOUR),
        ("=dave", DAY + 23 * HOUR, DAY + 23 * HOUR + 1),
    )

    async def at(time: str) -> list[str]:
        page = await alice.get(f"/admin/visits/?day=2026-11-23&time={time}")
        return re.findall(r'user=[^"]+"><bdi[^>]*>([^<]*)<', page.text)

    assert await at("09:15") == ["bob"]
    assert await at("09:45") == ["bob", "carol"]
    # Who left in that second is gone.
    assert await at("10:00") == ["carol"]
    assert await at("00:30") == ["bob"]
    day = (await alice.get("/admin/visits/?day=2026-11-23")).text
    assert "Up to 2 at once" in day
    assert "00:00 to 01:00, 09:00 to 10:00" in day and "09:30 to 00:00" in day
    # 540 minutes after midnight, for an hour.
    assert '<rect x="540.0" width="60.0"' in day
    assert "carol" in (await alice.get("/admin/visits/?day=2026-11-24")).text
    assert "Nobody was here" in (await alice.get("/admin/visits/?day=2026-11-20")).text
    history = (await alice.get("/admin/visits/?user=bob")).text
    assert history.index("2026-11-23 09:00") < history.index("2026-11-22 23:00")
    assert "carol" not in history
    table = await alice.get("/admin/visits.csv?day=2026-11-23")
    assert table.text.splitlines()[1:] == [
        "bob,2026-11-22 23:00:00,2026-11-23 01:00:00",
        "bob,2026-11-23 09:00:00,2026-11-23 10:00:00",
        "carol,2026-11-23 09:30:00,2026-11-24 06:00:00",
        "'=dave,2026-11-23 23:00:00,2026-11-23 23:00:01",
    ]
    of_bob = (await alice.get("/admin/visits.csv?user=bob")).text
    assert of_bob.count("\r\n") == 3


@pytest.mark.both_databases
async def test_who_was_in_the_room_of_an_app_when(
    serve: Serve, administrator: Administrator
) -> None:
    server = await serve(visits=30)
    alice = await administrator(server)
    await alice.submit("/admin/apps/", {"name": "wiki", "visits": "7"})
    await write(server, ("bob", DAY, DAY + HOUR))
    await write(server, ("u9", DAY, DAY + HOUR), room=key_of(1, "other"))
    last = DAY + 24 * HOUR - 1
    stays = ("u1", DAY + HOUR, DAY + 2 * HOUR), ("<u2>", DAY + HOUR, DAY + HOUR), ("u3", last, last)
    await write(server, *stays, room=key_of(1, "doc"))
    there = "app=wiki&room=doc"
    day = (await alice.get(f"/admin/visits/?{there}&day=2026-11-23")).text
    assert "doc of wiki, kept for 7 days" in day and "Up to 2 at once" in day
    assert ">bob<" not in day and ">u9<" not in day and "&lt;u2&gt;" in day
    # Also a moment can be seen, to the end of the day.
    assert re.findall(r'<rect x="([\d.]+)" width="([\d.]+)"', day) == [
        ("60.0", "6.0"),
        ("60.0", "60.0"),
        ("1434.0", "6.0"),
    ]
    at = (await alice.get(f"/admin/visits/?{there}&day=2026-11-23&time=01:30")).text
    assert ">u1<" in at and "u2&gt;" not in at
    history = (await alice.get(f"/admin/visits/?{there}&user=u1")).text
    assert "2026-11-23 01:00" in history and ">u3<" not in history
    table = await alice.get(f"/admin/visits.csv?{there}&day=2026-11-23")
    assert table.text.splitlines()[1:] == [
        "u1,2026-11-23 01:00:00,2026-11-23 02:00:00",
        "<u2>,2026-11-23 01:00:00,2026-11-23 01:00:00",
        "u3,2026-11-23 23:59:59,2026-11-23 23:59:59",
    ]
    # Who comes back within minutes is not there twice, nor with whoever comes after them.
    often = [("u4", DAY + start, DAY + start + 60) for start in (0, 120, 240)]
    await write(server, *often, ("u5", DAY + 300, DAY + 400), room=key_of(1, "often"))
    day = (await alice.get("/admin/visits/?app=wiki&room=often&day=2026-11-23")).text
    assert "Up to 1 at once" in day
    # The page of the own list leads to that of a room.
    assert "<option>wiki</option>" in (await alice.get("/admin/visits/")).text


@pytest.mark.both_databases
async def test_of_more_visits_than_a_page_shows(
    serve: Serve, administrator: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "_MOST", 3)
    monkeypatch.setattr(visits, "_PEOPLE", 2)
    server = await serve(visits=30)
    alice = await administrator(server)
    often = [("bob", DAY + hour * HOUR, DAY + hour * HOUR + 60) for hour in range(5)]
    await write(server, *often, ("carol", DAY, DAY + HOUR), ("dave", DAY + 1, DAY + HOUR))
    # Of one person the newest.
    history = (await alice.get("/admin/visits/?user=bob")).text
    assert re.findall(r"2026-11-23 \d\d:00", history) == ["2026-11-23 04:00", "2026-11-23 03:00"]
    # What is cut says so.
    for time, whole in (("00:00:30", False), ("00:02", True)):
        at = (await alice.get(f"/admin/visits/?day=2026-11-23&time={time}")).text
        assert ("the table of the day has all" in at) is not whole
        assert (": at least 3<" in at) is not whole


@pytest.mark.both_databases
async def test_senseless_questions_about_visits(
    serve: Serve, administrator: Administrator
) -> None:
    alice = await administrator(await serve())
    assert "Visits are not kept" in (await alice.get("/admin/visits/")).text
    for query in ("day=x&time=y", "day=0001-01-01", "day=9999-12-31", "time=25:00", "user=%00"):
        assert (await alice.get(f"/admin/visits/?{query}")).status == 200, query
        assert (await alice.get(f"/admin/visits.csv?{query}")).status == 200, query
    for query in ("app=wiki&room=r", "app=%00", "app=wiki"):
        assert (await alice.get(f"/admin/visits/?{query}")).status == 404
        assert (await alice.get(f"/admin/visits.csv?{query}")).status == 404
    for markup in ("<script>alert(1)</script>", '"><img src=x>'):
        page = await alice.get("/admin/visits/", params={"user": markup})
        assert markup not in page.text


async def test_what_is_left_from_when_visits_were_kept_is_shown_to_nobody(
    serve: Serve, administrator: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(*_: object) -> bool:
        return False

    # It is not deleted yet.
    monkeypatch.setattr(written, "any_own", none)
    server = await serve()
    alice = await administrator(server)
    await write(server, ("bob", DAY + HOUR, DAY + 3 * HOUR))
    for query, words in (
        ("day=2026-11-23", "Visits are not kept"),
        ("day=2026-11-23&time=02:00", "Nobody."),
        ("user=bob", "Never, as far as visits are kept."),
    ):
        page = (await alice.get(f"/admin/visits/?{query}")).text
        assert words in page and "01:00" not in page and "Up to" not in page, query
    table = await alice.get("/admin/visits.csv?day=2026-11-23")
    assert table.text.splitlines() == ["\ufeffuser,came,left"]
