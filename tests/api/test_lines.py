"""Sockets of apps' users: who sees whom, how lines begin, are refused, renewed and ended."""

from collections.abc import Mapping

import pytest

from testing.app_client import AppClient

GRACE = 0.5


async def refused(app: AppClient, **options: object) -> tuple[int | None, str | None]:
    """The close code of a line that is refused after its upgrade, and the reason of the bye."""
    async with app.line("alice", **options) as line:  # type: ignore[arg-type]
        code = await line.closed()
        byes = [message["reason"] for message in line.received if message["type"] == "bye"]
        assert all(message["type"] == "bye" for message in line.received)
        return code, byes[0] if byes else None


async def test_who_joins_sees_and_is_seen(app: AppClient) -> None:
    async with app.line("alice") as alice:
        first = await alice.first()
        assert first["type"] == "snapshot" and "alice" in first["online"]
        async with app.line("bob") as bob:
            await bob.sees("alice", "online")
            await alice.sees("bob", "online")
            assert await app.here() == {"alice": "online", "bob": "online"}
        await alice.sees("bob", "offline")


async def test_a_watcher_is_never_seen_or_counted(app: AppClient) -> None:
    watching = app.token("watcher", {"doc": "watch"})
    async with app.line("alice") as alice, app.line("watcher", token=watching) as watcher:
        await alice.first()
        await watcher.sees("alice", "online")
        room = await app.room()
        assert room["count"] == 1 and list(room["users"]) == ["alice"]
        assert (await app.room("lobby"))["count"] == 1
        assert (await app.ask("GET", "/users/watcher")).json["status"] == "offline"
    assert "watcher" not in alice.people


async def test_who_appears_is_seen_and_sees_nobody(app: AppClient) -> None:
    appearing = app.token("bot", {"doc": "appear"})
    async with app.line("alice") as alice, app.line("bot", token=appearing) as bot:
        first = await bot.first()
        assert first["type"] == "snapshot" and "online" not in first
        await alice.sees("bot", "online")
        async with app.line("bob"):
            await alice.sees("bob", "online")
        await bot.send({"type": "status", "status": "away"})
        await alice.sees("bot", "away")
        assert bot.people == {}


async def test_ten_lines_are_one_user(app: AppClient) -> None:
    async with app.line("watcher") as watcher:
        async with app.line("alice") as one, app.line("alice") as two:
            await one.first()
            await two.first()
            await watcher.sees("alice", "online")
            assert (await app.room())["count"] == 2
        await watcher.sees("alice", "offline")


async def test_back_within_the_grace_is_no_event(app: AppClient) -> None:
    async with app.line("watcher") as watcher:
        async with app.line("alice") as alice:
            await alice.first()
            await watcher.sees("alice", "online")
        before = len(watcher.received)
        async with app.line("alice") as alice, app.line("bob"):
            await alice.first()
            await watcher.sees("bob", "online")
            assert not any("alice" in str(message) for message in watcher.received[before:])


@pytest.mark.parametrize(
    ("claims", "code", "reason"),
    [
        ({"exp": 1, "iat": 0}, 4401, "token_expired"),
        ({"aud": "other"}, 4401, "token_invalid"),
        ({"rooms": {"other": "join"}}, 4403, "not_allowed"),
        ({"rooms": {}}, 4403, "not_allowed"),
    ],
)
async def test_a_token_that_does_not_do_is_refused_with_its_reason(
    app: AppClient, claims: Mapping[str, object], code: int, reason: str
) -> None:
    token = app.token("alice", **claims)  # type: ignore[arg-type]
    assert await refused(app, token=token) == (code, reason)
    assert await app.here() == {}


async def test_no_token_a_key_or_a_bad_name_is_refused(app: AppClient) -> None:
    assert await refused(app, token="") == (4401, "token_invalid")
    assert await refused(app, token=f"{app.key}.{app.secret}") == (4403, "not_allowed")
    assert await refused(app, room="a%20b") == (1007, "bad_request")
    assert await refused(app, query="?status=dancing") == (1007, "bad_request")
