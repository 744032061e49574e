"""Rows that another program, or another version of this one, has written."""

import sqlite3
from contextlib import closing
from pathlib import Path

from presence_server.keys import DATABASE
from presence_server.notes import written
from tests.conftest import Serve, Visit


async def test_a_name_that_is_no_text_fails_nobodys_list(
    serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    server = await serve()
    alice = await visit(server, "alice")
    await (await visit(server)).sign_up("bob")
    with closing(sqlite3.connect(tmp_path / "presence.sqlite3")) as other:
        other.execute("UPDATE users SET username = CAST(x'62ff62' AS TEXT) WHERE username = 'bob'")
        other.commit()
    page = await alice.get("/")
    assert page.status == 200 and "b\ufffdb: Offline" in page.text
    names = [user["username"] for user in (await alice.api())["users"]]
    assert names == ["alice", "b\ufffdb"]


async def test_statuses_and_reasons_of_a_newer_version_end_nothing(
    serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    server = await serve()
    alice = await visit(server, "alice")
    async with alice.live() as socket:
        await socket.first()
        with closing(sqlite3.connect(tmp_path / "presence.sqlite3")) as other:
            other.execute(
                "INSERT INTO here (node, room, session, username, account, status, since, about)"
                " SELECT 'newer', '', key, 'alice', 1, 'dancing', 1, '{}' FROM sessions"
            )
            other.commit()
            (was,) = await written.stays_of(server.app[DATABASE], "newer")
            assert was.status == "online"
            other.execute(
                "INSERT INTO endings (session, app, username, account, reason, ended_at)"
                " SELECT key, 0, 'alice', 1, 'evicted', 1 FROM sessions"
            )
            other.commit()
        # Whatever the reason, that session has ended.
        assert await socket.closed() == 4401
    assert (await alice.get("/healthz")).status == 200
