import pytest

from presence_server.accounts import notes, sessions, users
from presence_server.storage.database import Database
from presence_server.presence.roster import Status

pytestmark = pytest.mark.both_databases

NOW = 1_795_420_800

Two = tuple[str, str]


@pytest.fixture
async def keys(db: Database) -> Two:
    """Of two sessions of one user."""
    user = await users.create(db, "Alice", "hash", NOW)
    _, one = await sessions.start(db, user.id, "192.0.2.1", "Firefox on Linux", NOW)
    _, two = await sessions.start(db, user.id, "192.0.2.2", "Safari on iPhone", NOW)
    return one.key, two.key


async def test_who_is_here_is_remembered_per_node(db: Database, keys: Two) -> None:
    one, two = keys
    here: dict[str, tuple[Status, int]] = {
        one: ("online", NOW),
        two: ("away", NOW + 1),
        "of a session that has ended": ("online", NOW),
    }
    await notes.write(db, "first", here, [], NOW + 2)
    await notes.write(db, "second", {one: ("away", NOW + 3)}, [two], NOW + 4)
    was_here = {was.key: was for was in await notes.who_was_here(db)}
    assert {key: (was.username, was.status, was.since) for key, was in was_here.items()} == {
        one: ("Alice", "away", NOW + 3),
        two: ("Alice", "away", NOW + 1),
    }
    await notes.write(db, "first", {}, [two], NOW + 5)
    assert [was.key for was in await notes.who_was_here(db)] == [one]
    await notes.forget_all_but(db, {"first"})
    assert [was.status for was in await notes.who_was_here(db)] == ["online"]
    await notes.forget(db, {"first", "second"})
    assert await notes.who_was_here(db) == []


async def test_what_other_nodes_noted_is_read_by_user(db: Database, keys: Two) -> None:
    one, two = keys
    await notes.write(db, "here", {one: ("online", NOW)}, [], NOW)
    assert await notes.elsewhere(db, "here", NOW) == {}
    await notes.write(db, "there", {one: ("online", NOW + 1)}, [], NOW + 1)
    await notes.write(db, "there", {two: ("away", NOW + 2)}, [], NOW + 2)
    noted = await notes.elsewhere(db, "here", NOW)
    assert noted == {"Alice": ("online", NOW + 1)}
    assert await notes.elsewhere(db, "here", NOW + 2) == {"Alice": ("away", NOW + 2)}
    assert await notes.elsewhere(db, "here", NOW + 3) == {}
