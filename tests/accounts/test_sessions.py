import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from presence_server import endings
from presence_server.accounts import sessions, users
from presence_server.storage.database import Database, Transaction
from presence_server.accounts.sessions import DAY, Session
from presence_server.endings import Endings, Reason

pytestmark = pytest.mark.both_databases

NOW = 1_795_420_800


@pytest.fixture
async def alice(db: Database) -> int:
    return (await users.create(db, "Alice", "hash", NOW)).id


async def begin(db: Database, user_id: int, now: int = NOW) -> tuple[str, Session]:
    return await sessions.start(Endings(db), user_id, "192.0.2.1", "Firefox on Linux", now)


async def ended(db: Database) -> list[tuple[str | None, str]]:
    return [(ending.session, ending.reason) for ending in await endings.after(db, 0)]


async def test_the_secret_id_opens_the_session_and_is_kept_nowhere(
    db: Database, alice: int, path: Path
) -> None:
    secret, session = await begin(db, alice)
    assert session == Session(
        hashlib.sha256(secret.encode()).hexdigest(),
        alice,
        "Alice",
        NOW,
        NOW,
        "192.0.2.1",
        "Firefox on Linux",
        0,
        0,
    )
    assert await sessions.find(db, secret, NOW) == session
    for file in path.parent.iterdir():
        assert secret.encode() not in file.read_bytes()


async def test_secret_ids_are_long_and_never_the_same(db: Database, alice: int) -> None:
    secrets = [(await begin(db, alice))[0] for _ in range(20)]
    assert len(set(secrets)) == 20
    assert {len(secret) for secret in secrets} == {43}  # 32 bytes


@pytest.mark.parametrize("secret", ["", "x", "\udc80", "\0", "x" * 10_000])
async def test_any_text_may_be_tried_as_a_secret(db: Database, alice: int, secret: str) -> None:
    _, session = await begin(db, alice)
    assert await sessions.find(db, secret, NOW) is None
    assert await sessions.find(db, session.key, NOW) is None


async def test_a_session_begins_only_with_the_password_that_holds(db: Database, alice: int) -> None:
    checked = await users.password_hash(db, "alice")
    await sessions.start(Endings(db), alice, "::1", "", NOW, password_hash=checked)
    # Changed while the old one was being checked.
    await users.change_password(Endings(db), alice, "new hash", NOW)
    with pytest.raises(sessions.NotAllowed):
        await sessions.start(Endings(db), alice, "::1", "", NOW, password_hash=checked)
    assert await sessions.of_user(db, alice) == []


async def test_of_too_many_sessions_the_one_used_longest_ago_ends(
    db: Database, alice: int
) -> None:
    bob = (await users.create(db, "Bob", "hash", NOW)).id
    begun = [(await begin(db, alice, NOW + number))[1] for number in range(sessions.MOST)]
    await sessions.touch(db, [begun[0].key], NOW + 2 * sessions.TOUCH_EVERY)
    await begin(db, bob)
    _, last = await begin(db, alice, NOW + DAY)
    assert await ended(db) == [(begun[1].key, Reason.ENDED)]
    left = await sessions.of_user(db, alice)
    assert len(left) == sessions.MOST and left[0].key == last.key
    # One who is refused pushes nobody out.
    with pytest.raises(sessions.NotAllowed):
        await sessions.start(Endings(db), alice, "::1", "", NOW, password_hash="another")
    assert len(await sessions.of_user(db, alice)) == sessions.MOST


async def test_the_use_of_many_is_noted_some_at_a_time_and_only_where_it_is_due(
    db: Database, alice: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {f"{number}": NOW for number in range(2500)} | {f"new {n}": NOW + 9 for n in range(700)}

    async def fill(transaction: Transaction) -> None:
        await transaction.execute_many(
            "INSERT INTO sessions (key, user_id, started_at, used_at, expires_at, address, device)"
            " VALUES ($1, $2, $3, $3, $4, '', '')",
            [(key, alice, used, NOW + DAY) for key, used in times.items()],
        )

    await db.write(fill)
    written: list[int] = []
    write = Database.write

    async def counted(db: Database, work: Any) -> Any:
        async def counting(transaction: Transaction) -> Any:
            written.append(0)
            return await work(Counted(transaction))

        return await write(db, counting)

    class Counted:
        def __init__(self, transaction: Transaction) -> None:
            self.execute = transaction.execute
            self._transaction = transaction

        async def execute_many(self, sql: str, values: list[Any]) -> None:
            written[-1] += len(values)
            await self._transaction.execute_many(sql, values)

    monkeypatch.setattr(Database, "write", counted)
    later = NOW + sessions.TOUCH_EVERY
    await sessions.touch(db, [*times, "of nobody"], later)
    assert written == [1000, 1000, 500]
    rows = await db.read("SELECT key, used_at FROM sessions")
    assert dict(rows) == {key: later if used == NOW else used for key, used in times.items()}
    # What is noted costs nobody a turn.
    await sessions.touch(db, list(times), later)
    assert len(written) == 3


async def test_those_from_before_there_was_a_bound_end_too(db: Database, alice: int) -> None:
    async def fill(transaction: Transaction) -> None:
        await transaction.execute_many(
            "INSERT INTO sessions (key, user_id, started_at, used_at, expires_at, address, device)"
            " VALUES ($1, $2, $3, $3, $4, '', '')",
            [(f"{number}", alice, NOW, NOW + DAY) for number in range(1500)],
        )

    await db.write(fill)
    assert len(await sessions.of_user(db, alice)) == sessions.MOST
    for _ in range(2):
        await begin(db, alice, NOW + 1)
    assert len(await ended(db)) == 1502 - sessions.MOST


async def test_a_session_that_is_not_used_ends_after_14_days(db: Database, alice: int) -> None:
    secret, session = await begin(db, alice)
    assert await sessions.find(db, secret, NOW + 14 * DAY - 1)
    assert await sessions.end_expired(Endings(db), NOW + 14 * DAY - 1) == 0
    assert await sessions.find(db, secret, NOW + 14 * DAY) is None
    assert await sessions.end_expired(Endings(db), NOW + 14 * DAY) == 1
    assert await ended(db) == [(session.key, Reason.EXPIRED)]


async def test_a_session_in_daily_use_ends_after_90_days(db: Database, alice: int) -> None:
    secret, session = await begin(db, alice)
    for day in range(1, 90):
        await sessions.touch(db, [session.key, "of nobody"], NOW + day * DAY)
    assert await sessions.find(db, secret, NOW + 90 * DAY - 1)
    assert await sessions.find(db, secret, NOW + 90 * DAY) is None
    await sessions.touch(db, [session.key], NOW + 90 * DAY)
    assert await sessions.end_expired(Endings(db), NOW + 90 * DAY) == 1


async def test_a_use_is_noted_once_in_a_while(db: Database, alice: int) -> None:
    secret, session = await begin(db, alice)
    await sessions.touch(db, [session.key], NOW + sessions.TOUCH_EVERY - 1)
    assert await sessions.find(db, secret, NOW) == session
    later = NOW + sessions.TOUCH_EVERY
    await sessions.touch(db, [session.key], later)
    assert await sessions.find(db, secret, later) == replace(session, used_at=later)
    # A clock that goes back takes nothing away.
    await sessions.touch(db, [session.key], NOW)
    assert await sessions.of_user(db, alice) == [replace(session, used_at=later)]


async def test_a_session_ends_once(db: Database, alice: int) -> None:
    secret, session = await begin(db, alice)
    assert await sessions.end(Endings(db), session.key, NOW)
    assert not await sessions.end(Endings(db), session.key, NOW)
    assert await sessions.find(db, secret, NOW) is None
    assert await ended(db) == [(session.key, Reason.LOG_OUT)]


async def test_all_sessions_of_one_user_end_but_for_one(db: Database, alice: int) -> None:
    bob = (await users.create(db, "bob", "hash", NOW)).id
    mine, other, bobs = [(await begin(db, user))[1] for user in (alice, alice, bob)]
    assert await sessions.end_all(Endings(db), alice, NOW, keep=mine.key) == 1
    assert await sessions.of_user(db, alice) == [mine]
    assert await sessions.of_user(db, bob) == [bobs]
    assert await ended(db) == [(other.key, Reason.ENDED)]
    assert await sessions.end_all(Endings(db), alice, NOW) == 1


async def test_numbers_of_endings_are_never_used_again(db: Database, alice: int) -> None:
    assert await endings.last(db) == 0
    for _ in range(3):
        await sessions.end(Endings(db), (await begin(db, alice))[1].key, NOW)
    assert await endings.last(db) == 3
    await sessions.end_expired(Endings(db), NOW + endings.KEEP + 1)
    assert await endings.after(db, 0) == []
    await sessions.end(Endings(db), (await begin(db, alice))[1].key, NOW)
    assert [ending.number for ending in await endings.after(db, 3)] == [4]


async def test_endings_of_the_last_days_are_kept(db: Database, alice: int) -> None:
    await sessions.end(Endings(db), (await begin(db, alice))[1].key, NOW)
    await sessions.end_expired(Endings(db), NOW + endings.KEEP)
    assert len(await endings.after(db, 0)) == 1


async def test_thousands_may_expire_together(db: Database, alice: int) -> None:
    async def fill(transaction: Transaction) -> None:
        await transaction.execute_many(
            "INSERT INTO sessions (key, user_id, started_at, used_at, expires_at, address, device)"
            " VALUES ($1, $2, 0, 0, 0, '', '')",
            [(f"{number:064x}", alice) for number in range(5000)],
        )

    await db.write(fill)
    assert await sessions.end_expired(Endings(db), NOW) == 5000
    assert await sessions.end_expired(Endings(db), NOW) == 0
    assert len(await endings.after(db, 0)) == 5000
