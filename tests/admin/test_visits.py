"""Who was here when, as administrators see it."""

import re

import pytest
from aiohttp.test_utils import TestServer

from presence_server.keys import DATABASE
from presence_server.storage.database import Transaction
from tests.admin.conftest import Administrator
from tests.conftest import Serve

DAY = 1_795_392_000  # 2026-11-23
HOUR = 3600


async def write(server: TestServer, *visits: tuple[str, int, int | None]) -> None:
    """Visits of the own list, as they are kept: user, came, left."""

    async def work(transaction: Transaction) -> None:
        await transaction.execute_many(
            "INSERT INTO visits (room, account, username, came, left_at)"
            " VALUES ('', 1, $1, $2, $3)",
            visits,
        )

    await server.app[DATABASE].write(work)


@pytest.mark.both_databases
async def test_who_was_here_when(serve: Serve, administrator: Administrator) -> None:
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


async def test_senseless_questions_about_visits(
    serve: Serve, administrator: Administrator
) -> None:
    alice = await administrator(await serve())
    assert "is not written down" in (await alice.get("/admin/visits/")).text
    for query in ("day=x&time=y", "day=0001-01-01", "day=9999-12-31", "time=25:00", "user=%00"):
        assert (await alice.get(f"/admin/visits/?{query}")).status == 200, query
    for query in ("app=wiki&room=r", "app=%00", "app=wiki"):
        assert (await alice.get(f"/admin/visits/?{query}")).status == 404
        assert (await alice.get(f"/admin/visits.csv?{query}")).status == 404
    for markup in ("<script>alert(1)</script>", '"><img src=x>'):
        page = await alice.get("/admin/visits/", params={"user": markup})
        assert markup not in page.text
