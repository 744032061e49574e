import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from presence_server import endings
from presence_server.accounts import sessions, users
from presence_server.storage.database import Database, Row, Transaction, Value
from presence_server.accounts.usernames import is_reserved, username_problem
from presence_server.accounts.users import UsernameTaken
from presence_server.config import PostgresUrl
from presence_server.endings import Endings, Reason
from tests.last_seen import last_seen_of

pytestmark = pytest.mark.both_databases

NOW = 1_795_420_800
NAME = st.from_regex(re.compile("[A-Za-z0-9_.-]{3,32}"), fullmatch=True)


async def make(db: Database, *usernames: str) -> None:
    for username in usernames:
        await users.create(db, username, "hash", NOW)


async def user_id(db: Database, username: str) -> int:
    user = await users.find(db, username)
    assert user is not None
    return user.id


async def names(db: Database, after: str | None = None, prefix: str = "") -> list[str]:
    return [name for name, _ in await users.page(db, after, prefix, 100)]


@pytest.mark.parametrize("name", ["bob", "michael", "Michael", "x" * 32, "a.b-c_d", "007", "a.b"])
def test_good_names(name: str) -> None:
    assert username_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "al",
        "x" * 33,
        "bob ",
        " bob",
        "b ob",
        "bob\n",
        "bob\0",
        "bob@example",
        "<img src=x>",
        "a/../b",
        "'; DROP TABLE users",
        "аlice",  # the first letter is Cyrillic
        "ａｌｉｃｅ",  # full width
        "ali\u200bce",
        "\u202ealice",
        "alice\ufe0f",
        "I\u0307van",
        "michaél",
        "ﬁona",
        "bob\udc80",
        "👩‍💻👩‍💻👩‍💻",
        "...",
        "-x-",
        ".bob",
        "bob_",
        # Scripts that keep people in plain objects would lose this one.
        "__proto__",
    ],
)
def test_t23_bad_names_are_told_what_is_allowed(name: str) -> None:
    problem = username_problem(name)
    assert problem is not None
    told = ("3 to 32 characters", "letters a to z", "begins and ends with a letter or a digit")
    assert any(words in problem for words in told)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_t23_a_good_name_is_plain_ascii(name: str) -> None:
    if username_problem(name) is None:
        assert name.isascii() and name.isprintable() and " " not in name
        assert 3 <= len(name) <= 32


async def test_a_name_is_shown_as_typed_and_found_in_any_case(db: Database) -> None:
    made = await users.create(db, "Michael", "hash", NOW)
    assert made == await users.find(db, "mICHAEL")
    assert (made.username, made.created_at, made.disabled, made.last_seen) == (
        "Michael", NOW, False, None,
    )
    assert await users.password_hash(db, "MICHAEL") == "hash"


async def test_a_name_is_taken_whatever_the_case(db: Database) -> None:
    await make(db, "alice")
    for name in ("alice", "Alice", "ALICE"):
        with pytest.raises(UsernameTaken):
            await users.create(db, name, "other", NOW)
    assert await users.password_hash(db, "alice") == "hash"


@pytest.mark.parametrize(
    ("name", "reserved"), [("admin", True), ("ROOT", True), ("administer", False), ("bob", False)]
)
def test_names_of_nobody_are_reserved_whatever_the_case(name: str, reserved: bool) -> None:
    assert username_problem(name) is None
    assert is_reserved(name) is reserved


async def test_of_fifty_at_once_with_one_name_one_wins(db: Database) -> None:
    results = await asyncio.gather(
        *(users.create(db, "alice" if n % 2 else "Alice", f"hash {n}", NOW) for n in range(50)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, users.User) for result in results) == 1
    assert sum(isinstance(result, UsernameTaken) for result in results) == 49


@pytest.mark.parametrize(
    "name", ["", "alice\0", "\udc80", "' OR 1=1 --", "a" * 100_000, "%", "al_ce", "É"]
)
async def test_t32_any_text_may_be_asked_for(db: Database, name: str) -> None:
    await make(db, "alice")
    assert await users.find(db, name) is None
    assert await users.password_hash(db, name) is None
    await users.page(db, name, "", 10)
    assert await names(db, prefix=name) == ([] if name else ["alice"])


async def test_pages_go_on_where_the_last_one_ended(db: Database) -> None:
    await make(db, "Carol", "alice", "Bob", "al.ice", "alice2", "_zed", "9lives")
    everybody = ["9lives", "_zed", "al.ice", "alice", "alice2", "Bob", "Carol"]
    assert await names(db) == everybody
    found: list[str] = []
    while page := await users.page(db, found[-1] if found else None, "", 2):
        assert len(page) <= 2
        found += [name for name, _ in page]
    assert found == everybody
    assert [user.username for user in await users.listed(db, 2, 3)] == ["Bob", "al.ice", "alice2"]


async def test_search_is_by_the_beginning_whatever_the_case(db: Database) -> None:
    await make(db, "alice", "Alicia", "malice", "al", "Bob")
    assert await names(db, prefix="AL") == ["al", "alice", "Alicia"]
    assert await names(db, prefix="alice") == ["alice"]
    assert await names(db, after="alice", prefix="al") == ["Alicia"]
    # Not of the same beginning, before and after it.
    assert await names(db, after="aaa", prefix="ali") == ["alice", "Alicia"]
    assert await names(db, after="bob", prefix="ali") == []


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(NAME, max_size=12, unique_by=str.lower),
    st.none() | NAME,
    st.text("abAB_.-09", max_size=3),
    st.integers(1, 5),
)
async def test_a_page_is_what_sorting_all_names_gives(
    db: Database, made: Sequence[str], after: str | None, prefix: str, limit: int
) -> None:
    async def only_these(transaction: Transaction) -> None:
        await transaction.execute("DELETE FROM users")

    await db.write(only_these)
    await make(db, *made)
    expected = sorted(
        name.lower()
        for name in made
        if name.lower().startswith(prefix.lower()) and name.lower() > (after or "").lower()
    )
    page = await users.page(db, after, prefix, limit)
    assert [name.lower() for name, _ in page] == expected[:limit]


async def test_a_page_costs_the_same_wherever_it_begins(
    db: Database, place: Path | PostgresUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, tuple[Value, ...]]] = []
    read = db.read

    async def listen(sql: str, *values: Value) -> list[Row]:
        asked.append((sql, values))
        return await read(sql, *values)

    monkeypatch.setattr(db, "read", listen)
    await users.page(db, "m", "", 50)
    await users.page(db, "m", "mi", 50)
    await users.find(db, "michael")
    await sessions.find(db, "secret", NOW)
    await sessions.of_user(db, 1)
    await endings.after(db, 5)
    for sql, values in asked:
        if isinstance(place, Path):
            steps = [row[3] for row in await read(f"EXPLAIN QUERY PLAN {sql}", *values)]
            # SEARCH goes by an index; SCAN reads a whole table, or what a SEARCH has found.
            assert any(step.startswith("SEARCH") for step in steps), (sql, steps)
            scans = [step for step in steps if step.startswith("SCAN")]
            assert {*scans} <= {"SCAN by_user_name", "SCAN words"}, (sql, steps)
        else:
            plan = await plan_without_scans(place, sql, values)
            assert "Index" in plan and "Seq Scan" not in plan, (sql, plan)


async def plan_without_scans(place: PostgresUrl, sql: str, values: tuple[Value, ...]) -> str:
    """PostgreSQL's plan where it has to read a whole table only if there is no other way."""
    connection = await asyncpg.connect(place.url)
    await connection.execute("SET enable_seqscan = off")
    rows = await connection.fetch(f"EXPLAIN {sql}", *values)
    await connection.close()
    return "\n".join(row[0] for row in rows)


async def test_last_seen_never_goes_back(db: Database) -> None:
    await make(db, "Alice", "bob")
    await users.record_last_seen(db, {"Alice": NOW, "nobody": NOW}, NOW)
    await users.record_last_seen(db, {"alice": NOW - 1}, NOW)
    seen = [await last_seen_of(db, username) for username in ("ALICE", "bob")]
    assert seen == [NOW, None]
    await users.record_last_seen(db, {"alice": NOW + 1}, NOW)
    assert await users.page(db, None, "", 1) == [("Alice", NOW + 1)]


async def test_a_time_to_come_gives_way_to_one_that_has_been(db: Database) -> None:
    await make(db, "alice")
    await users.record_last_seen(db, {"alice": NOW + 5 * sessions.DAY}, NOW)
    await users.record_last_seen(db, {"alice": NOW}, NOW)
    assert await last_seen_of(db, "alice") == NOW


async def test_a_new_password_ends_all_sessions_but_one(db: Database) -> None:
    await make(db, "alice")
    alice = await user_id(db, "alice")
    secret, mine = await sessions.start(Endings(db), alice, "::1", "phone", NOW)
    stolen, other = await sessions.start(Endings(db), alice, "::1", "laptop", NOW)
    await users.change_password(Endings(db), alice, "new hash", NOW, keep=mine.key)
    assert await users.password_hash(db, "alice") == "new hash"
    assert await sessions.find(db, secret, NOW) == mine
    assert await sessions.find(db, stolen, NOW) is None
    (ending,) = await endings.after(db, 0)
    assert (ending.session, ending.reason) == (other.key, Reason.PASSWORD)


async def test_a_hash_is_renewed_only_if_the_password_is_still_the_same(db: Database) -> None:
    await make(db, "alice")
    alice = await user_id(db, "alice")
    secret, mine = await sessions.start(Endings(db), alice, "::1", "phone", NOW)
    assert await users.renew_hash(db, alice, "hash", "dearer hash")
    assert await users.password_hash(db, "alice") == "dearer hash"
    assert not await users.renew_hash(db, alice, "hash", "late hash")
    assert await users.password_hash(db, "alice") == "dearer hash"
    assert await sessions.find(db, secret, NOW) == mine


async def test_a_disabled_user_has_no_session_and_gets_none(db: Database) -> None:
    await make(db, "alice")
    alice = await user_id(db, "alice")
    secret, session = await sessions.start(Endings(db), alice, "::1", "phone", NOW)
    await users.disable(Endings(db), alice, NOW)
    await users.disable(Endings(db), alice, NOW + 5)
    assert await sessions.find(db, secret, NOW) is None
    with pytest.raises(sessions.NotAllowed):
        await sessions.start(Endings(db), alice, "::1", "phone", NOW)
    user = await users.find(db, "alice")
    assert user is not None and user.disabled
    (ending,) = await endings.after(db, 0)
    assert (ending.session, ending.reason) == (session.key, Reason.DISABLED)
    await users.enable(db, alice)
    await sessions.start(Endings(db), alice, "::1", "phone", NOW)


async def test_a_deleted_account_leaves_nothing_but_its_endings(db: Database) -> None:
    await make(db, "Alice", "bob")
    alice = await user_id(db, "alice")
    secret, session = await sessions.start(Endings(db), alice, "::1", "phone", NOW)
    await users.delete(Endings(db), alice, NOW)
    await users.delete(Endings(db), alice, NOW)
    assert await users.find(db, "alice") is None
    assert await sessions.find(db, secret, NOW) is None
    ends = await endings.after(db, 0)
    assert [(e.session, e.username, e.account, e.reason) for e in ends] == [
        (session.key, "Alice", alice, Reason.DELETED),
        (None, "Alice", alice, Reason.DELETED),
    ]
    # A new account of the name is somebody else.
    assert (await users.create(db, "alice", "hash", NOW)).id > await user_id(db, "bob")
    with pytest.raises(sessions.NotAllowed):
        await sessions.start(Endings(db), alice, "::1", "phone", NOW)


async def test_an_account_without_sessions_is_told_gone_too(db: Database) -> None:
    await make(db, "alice")
    await users.delete(Endings(db), await user_id(db, "alice"), NOW)
    (ending,) = await endings.after(db, 0)
    assert (ending.session, ending.username) == (None, "alice")


@pytest.mark.both_databases
async def test_who_was_last_seen_before_an_account_was_made_had_another_of_that_name(
    db: Database,
) -> None:
    await users.create(db, "alice", "hash", 1_000)
    await users.record_last_seen(db, {"alice": 999}, 1_001)
    assert await last_seen_of(db, "alice") is None
    await users.record_last_seen(db, {"alice": 1_000}, 1_001)
    assert await last_seen_of(db, "alice") == 1_000
    # It was made when the clock was wrong.
    await users.create(db, "bob", "hash", 90_000)
    await users.record_last_seen(db, {"bob": 1_001}, 1_001)
    assert await last_seen_of(db, "bob") == 1_001
