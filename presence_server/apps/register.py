"""Apps and their keys in the database: the SQL for both."""

import json
import secrets
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from presence_server.accounts.keyring import Keyring, Unreadable
from presence_server.apps import webhooks
from presence_server.storage.database import Database, Row, TakenBack, Transaction, Writer

_SETTINGS = "origins, webhook, grace_milliseconds, visits"
_COLUMNS = f"apps.id, apps.name, apps.created_at, {_SETTINGS}"


class NameTaken(TakenBack):
    """There is an app of that name."""


class NoSuchApp(TakenBack):
    """There is no app of that name."""


@dataclass(frozen=True, slots=True)
class AppSettings:
    origins: tuple[str, ...] = ()
    webhook: str | None = None
    # Seconds; None: that of the server.
    grace: float | None = None
    # Days for which visits are kept.
    visits: int = 0


@dataclass(frozen=True, slots=True)
class Key:
    """`sealed` holds its secrets: unseal() opens it."""

    id: str
    created_at: int
    replaced_at: int | None
    sealed: str


@dataclass(frozen=True, slots=True)
class App:
    """`keys`: the one to use first, then the previous one while it holds."""

    id: int
    name: str
    created_at: int
    settings: AppSettings
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Secrets:
    """What an app's backend is given, once."""

    key: str
    secret: str
    webhook_secret: str


async def add(
    db: Writer, keyring: Keyring, name: str, settings: AppSettings, now: int
) -> Secrets:
    """Raises NameTaken."""
    made = _new_secrets()

    async def work(transaction: Transaction) -> None:
        rows = await transaction.execute(
            f"INSERT INTO apps (name, created_at, {_SETTINGS})"
            " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING RETURNING id",
            name,
            now,
            *_values(settings),
        )
        if not rows:
            raise NameTaken(name)
        await _add_key(transaction, keyring, rows[0][0], made, now)

    await db.write(work)
    return made


async def listed(db: Database) -> list[App]:
    """All apps with their keys, in the order of their names."""
    rows = await db.read(
        f"SELECT {_COLUMNS}, app_keys.id, app_keys.created_at, replaced_at, sealed"
        " FROM apps JOIN app_keys ON app_keys.app_id = apps.id"
        " ORDER BY apps.name, replaced_at IS NOT NULL"
    )
    return [_app(list(of_app)) for _, of_app in groupby(rows, key=lambda row: row[0])]


async def find(db: Database, name: str) -> App:
    """Raises NoSuchApp."""
    # There are few.
    for app in await listed(db):
        if app.name == name:
            return app
    raise NoSuchApp(name)


async def change(
    db: Writer, app_id: int, changed: Callable[[AppSettings], AppSettings]
) -> None:
    """Change what was said of an app, from what is so by then; at another address for webhooks all
    is told anew. If no visits are kept any more, forget those that were: they may be many."""

    async def work(transaction: Transaction) -> None:
        rows = await transaction.execute(f"SELECT {_SETTINGS} FROM apps WHERE id = $1", app_id)
        if not rows:
            return
        before = _settings(*rows[0])
        settings = changed(before)
        if settings.webhook != before.webhook:
            await webhooks.tell_anew(transaction, app_id)
        if settings.webhook is None:
            await webhooks.forget_all(transaction, app_id)
        await transaction.execute(
            "UPDATE apps SET origins = $2, webhook = $3, grace_milliseconds = $4, visits = $5"
            " WHERE id = $1",
            app_id,
            *_values(settings),
        )
        await next_change(transaction)

    await db.write(work)


async def resync(db: Writer, app_id: int) -> None:
    """Tell its backend anew who is here, as if that had never been acknowledged; also one that was
    gone."""

    async def work(transaction: Transaction) -> None:
        await webhooks.tell_anew(transaction, app_id)
        await next_change(transaction)

    await db.write(work)


async def rotate(db: Writer, keyring: Keyring, app_id: int, now: int) -> Secrets:
    """Make a new key; the one before it holds, and those before that one no longer."""
    made = _new_secrets()

    async def work(transaction: Transaction) -> None:
        await _drop_previous(transaction, app_id)
        await transaction.execute(
            "UPDATE app_keys SET replaced_at = $2 WHERE app_id = $1", app_id, now
        )
        if not await transaction.execute("SELECT id FROM apps WHERE id = $1", app_id):
            raise NoSuchApp
        await _add_key(transaction, keyring, app_id, made, now)

    await db.write(work)
    return made


async def drop_previous(db: Writer, app_id: int) -> list[str]:
    """Let no key hold but the one to use; the ids of those that no longer do."""

    async def work(transaction: Transaction) -> list[Row]:
        dropped = await _drop_previous(transaction, app_id)
        await next_change(transaction)
        return dropped

    return [id for (id,) in await db.write(work)]


async def delete(db: Writer, app_id: int) -> None:
    """Delete an app with all that belongs to it; forget its visits before, which may be many."""

    async def work(transaction: Transaction) -> None:
        await transaction.execute("DELETE FROM apps WHERE id = $1", app_id)
        await transaction.execute("DELETE FROM choices WHERE app = $1", app_id)
        await next_change(transaction)

    await db.write(work)


async def reseal(db: Database, keyring: Keyring) -> None:
    """Bring all secrets under the keyring's first key, so that older ones may go."""
    stale = [
        (key.id, sealed)
        for app in await listed(db)
        for key in app.keys
        if (sealed := _resealed(keyring, key)) is not None
    ]

    async def work(transaction: Transaction) -> None:
        await transaction.execute_many("UPDATE app_keys SET sealed = $2 WHERE id = $1", stale)

    if stale:
        await db.write(work)


def _resealed(keyring: Keyring, key: Key) -> str | None:
    try:
        return keyring.resealed(key.sealed)
    except Unreadable:
        return None


def unseal(keyring: Keyring, key: Key) -> Secrets:
    """Raises Unreadable."""
    secret, webhook_secret = json.loads(keyring.unseal(key.sealed))
    return Secrets(key.id, secret, webhook_secret)


async def last_change(db: Database) -> int:
    """Grows with every change of apps, keys and revocations."""
    ((number,),) = await db.read("SELECT number FROM app_changes")
    return int(number)


async def next_change(transaction: Transaction) -> int:
    """Number a change, in the transaction that makes it."""
    rows = await transaction.execute(
        "UPDATE app_changes SET number = number + 1 RETURNING number"
    )
    return int(rows[0][0])


async def _add_key(
    transaction: Transaction, keyring: Keyring, app_id: int, made: Secrets, now: int
) -> None:
    sealed = keyring.seal(json.dumps([made.secret, made.webhook_secret]))
    await transaction.execute(
        "INSERT INTO app_keys (id, app_id, created_at, sealed) VALUES ($1, $2, $3, $4)",
        made.key,
        app_id,
        now,
        sealed,
    )
    await next_change(transaction)


async def _drop_previous(transaction: Transaction, app_id: int) -> list[Row]:
    return await transaction.execute(
        "DELETE FROM app_keys WHERE app_id = $1 AND replaced_at IS NOT NULL RETURNING id", app_id
    )


def _new_secrets() -> Secrets:
    # Standard Webhooks gives its secrets in plain base64, after this word.
    webhook_secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    return Secrets(f"key_{secrets.token_hex(8)}", secrets.token_urlsafe(32), webhook_secret)


def _values(settings: AppSettings) -> tuple[str, str | None, int | None, int]:
    grace = None if settings.grace is None else round(1000 * settings.grace)
    return json.dumps(settings.origins), settings.webhook, grace, settings.visits


def _app(rows: Sequence[Row]) -> App:
    id, name, created_at, *settings = rows[0][:-4]
    return App(id, name, created_at, _settings(*settings), tuple(Key(*row[-4:]) for row in rows))


def _settings(
    origins: str, webhook: str | None, grace: int | None, visits: int
) -> AppSettings:
    seconds = None if grace is None else grace / 1000
    return AppSettings(tuple(json.loads(origins)), webhook, seconds, visits)
