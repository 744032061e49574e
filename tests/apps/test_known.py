"""What a running node knows of the apps, on both databases."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from cryptography.fernet import Fernet

from presence_server.accounts.keyring import Keyring
from presence_server import endings
from presence_server.apps import register
from presence_server.apps.known import KnownApps
from presence_server.apps.register import AppSettings, Secrets
from presence_server.apps.tokens import SigningKey, TokenRefused, make_token
from presence_server.endings import Ending, Reason
from presence_server.storage.database import Database, DatabaseUnavailable
from testing.waiting import until

pytestmark = pytest.mark.both_databases

Add = Callable[[str], Awaitable[Secrets]]

WITHIN = 1.0  # second, as promised


@pytest.fixture
async def known(db: Database, keyring: Keyring) -> AsyncIterator[KnownApps]:
    """A node that runs beside whoever changes the apps."""
    known = KnownApps(db, keyring)
    await known.open()
    task = asyncio.create_task(known.run())
    yield known
    task.cancel()


@pytest.fixture
def add(db: Database, keyring: Keyring) -> Add:
    async def add(name: str) -> Secrets:
        return await register.add(db, keyring, name, AppSettings(), int(time.time()))

    return add


def token(secrets: Secrets, user: str = "u", age: int = 0) -> str:
    key = SigningKey(0, secrets.key, secrets.secret)
    return make_token(key, user, {"doc": "join"}, int(time.time()) - age, 600)


def revocation(app: int, user: str, until: int, room: str | None = None) -> Ending:
    return Ending(
        reason=Reason.REVOKED,
        app=app,
        username=user,
        room=room,
        issued_before=until,
        ended_at=until,
    )


def refusal(known: KnownApps, text: str) -> str | None:
    try:
        known.token(text, time.time())
    except TokenRefused as refused:
        return refused.reason
    return None


async def test_an_app_is_heeded_within_a_second(known: KnownApps, db: Database, add: Add) -> None:
    made = await add("wiki")
    assert refusal(known, token(made)) == "token_invalid"
    await until(lambda: known.named("wiki") is not None)
    assert refusal(known, token(made)) is None
    app = known.named("wiki")
    assert app and known.of_key(f"{made.key}.{made.secret}") is app
    await register.delete(db, app.id)
    await until(lambda: refusal(known, token(made)) == "token_invalid")
    assert known.of_key(f"{made.key}.{made.secret}") is None


async def test_a_rotation_leaves_no_gap(
    known: KnownApps, db: Database, keyring: Keyring, add: Add
) -> None:
    old = await add("wiki")
    await known.read()
    app = known.named("wiki")
    assert app
    new = await register.rotate(db, keyring, app.id, int(time.time()))
    await until(lambda: refusal(known, token(new)) is None)
    assert refusal(known, token(old)) is None
    assert known.of_key(f"{old.key}.{old.secret}") == known.of_key(f"{new.key}.{new.secret}")
    rotated = known.named("wiki")
    assert rotated
    assert known.webhook_secrets(rotated) == [new.webhook_secret, old.webhook_secret]
    was_good = known.token(token(old), time.time())
    await register.drop_previous(db, app.id)
    await until(lambda: refusal(known, token(old)) == "token_invalid")
    assert refusal(known, token(new)) is None
    assert not known.has_key(was_good)


async def test_a_key_opens_its_own_app_with_its_own_secret(known: KnownApps, add: Add) -> None:
    one, two = await add("one"), await add("two")
    await known.read()
    assert known.of_key(f"{one.key}.{one.secret}") == known.named("one")
    wrong = ("", ".", one.key, f"{one.key}.", f"{one.key}.{two.secret}", f".{one.secret}")
    for text in (*wrong, f"{one.key}.{one.secret} ", f"{one.key}.\udc80", "x" * 10_000):
        assert known.of_key(text) is None


async def test_a_revocation_is_of_one_user_of_one_app_up_to_a_second(
    known: KnownApps, add: Add
) -> None:
    one, two = await add("one"), await add("two")
    await known.read()
    app, now = known.named("one"), int(time.time())
    assert app
    held = known.token(token(one, age=1), now)
    known.revoke(revocation(app.id, "u", now))
    # What is read twice, or late, makes nothing younger.
    known.revoke(revocation(app.id, "u", now - 100))
    assert refusal(known, token(one, age=1)) == "revoked"
    assert known.is_revoked(held)
    assert refusal(known, token(one, "other", age=1)) is None
    assert refusal(known, token(two, age=1)) is None
    assert refusal(known, token(one, age=-5)) is None


async def test_a_revocation_may_be_of_one_room(known: KnownApps, add: Add) -> None:
    made, now = await add("wiki"), int(time.time())
    await known.read()
    app = known.named("wiki")
    assert app
    held = known.token(token(made, age=1), now)
    known.revoke(revocation(app.id, "u", now, room="doc"))
    assert known.is_revoked(held, "doc")
    assert not known.is_revoked(held, "other") and not known.is_revoked(held)
    assert refusal(known, token(made, age=1)) is None


async def test_revocations_are_forgotten_when_no_token_can_be_met_by_them(
    known: KnownApps, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, now = await add("wiki"), int(time.time())
    await known.read()
    app = known.named("wiki")
    assert app
    monkeypatch.setattr("presence_server.apps.known._REVOCATIONS", 10)
    known._forget_revocations(0)
    for number in range(100):
        known.revoke(revocation(app.id, f"old{number}", now - endings.KEEP - 1))
    known.revoke(revocation(app.id, "u", now))
    assert len(known._issued_before) <= 11
    assert refusal(known, token(made, age=1)) == "revoked"


async def test_revocations_outlive_a_restart(
    known: KnownApps, db: Database, keyring: Keyring, add: Add
) -> None:
    made, now = await add("wiki"), int(time.time())
    await known.read()
    app = known.named("wiki")
    assert app
    await db.write(lambda t: endings.record(t, [revocation(app.id, "u", now)]))
    restarted = KnownApps(db, keyring)
    await restarted.open()
    assert refusal(restarted, token(made, age=1)) == "revoked"


async def test_a_key_of_another_key_file_is_said_once_and_opens_nothing(
    db: Database, keyring: Keyring, add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    made = await add("wiki")
    other = KnownApps(db, Keyring([Fernet.generate_key()]))
    with caplog.at_level(logging.ERROR):
        await other.open()
        await add("another")
        await other.read()
    assert [record.message.split(":")[0] for record in caplog.records].count(
        f"The key {made.key} of the app wiki was sealed with a key file that is not ours"
    ) == 1
    assert refusal(other, token(made)) == "token_invalid"
    assert other.of_key(f"{made.key}.{made.secret}") is None
    assert other.named("wiki") is not None


@pytest.mark.parametrize(
    "error", [DatabaseUnavailable("It is away."), ArithmeticError("Nobody knows why.")]
)
async def test_what_is_known_holds_whatever_the_database_says(
    db: Database, known: KnownApps, add: Add, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    made = await add("wiki")
    await known.read()
    asked = []

    async def refuse(*values: object) -> None:
        asked.append(values)
        raise error

    monkeypatch.setattr("presence_server.apps.known._READ_EVERY", 0.05)
    with monkeypatch.context() as broken:
        broken.setattr(db._engine, "read", refuse)
        await until(lambda: len(asked) > 1)
    assert refusal(known, token(made)) is None
    await add("later")
    await until(lambda: known.named("later") is not None)
    assert db.failures.total() > 0
