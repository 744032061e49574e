"""Apps and their keys, on both databases."""

import asyncio
from dataclasses import replace

import pytest
from cryptography.fernet import Fernet

from presence_server.accounts.keyring import Keyring, Unreadable
from presence_server.apps import register
from presence_server.apps.register import AppSettings, NameTaken, NoSuchApp, unseal
from presence_server.storage.database import Database

pytestmark = pytest.mark.both_databases

NOW = 1_795_420_800
SETTINGS = AppSettings(("https://a.example", "http://localhost:3000"), "https://a/hook", 2.5, 30)


async def sealed_texts(db: Database) -> list[str]:
    return [sealed for (sealed,) in await db.read("SELECT sealed FROM app_keys")]


async def test_an_app_is_made_changed_and_deleted(db: Database, keyring: Keyring) -> None:
    made = await register.add(db, keyring, "wiki", SETTINGS, NOW)
    app = await register.find(db, "wiki")
    assert (app.name, app.created_at, app.settings) == ("wiki", NOW, SETTINGS)
    assert [key.id for key in app.keys] == [made.key]
    assert unseal(keyring, app.keys[0]) == made
    await register.change(db, app.id, lambda before: AppSettings())
    assert (await register.find(db, "wiki")).settings == AppSettings()
    await register.delete(db, app.id)
    assert await register.listed(db) == []
    assert await sealed_texts(db) == []
    with pytest.raises(NoSuchApp):
        await register.find(db, "wiki")


async def test_a_name_is_one_apps_alone(db: Database, keyring: Keyring) -> None:
    await register.add(db, keyring, "wiki", AppSettings(), NOW)
    with pytest.raises(NameTaken):
        await register.add(db, keyring, "wiki", SETTINGS, NOW)
    assert [app.settings for app in await register.listed(db)] == [AppSettings()]


async def test_the_number_of_a_deleted_app_is_never_anothers(
    db: Database, keyring: Keyring
) -> None:
    await register.add(db, keyring, "wiki", AppSettings(), NOW)
    deleted = await register.find(db, "wiki")
    await register.delete(db, deleted.id)
    await register.add(db, keyring, "wiki", AppSettings(), NOW)
    assert (await register.find(db, "wiki")).id > deleted.id


async def test_secrets_are_strong_and_stand_nowhere_in_the_clear(
    db: Database, keyring: Keyring
) -> None:
    made = [await register.add(db, keyring, f"app{n}", AppSettings(), NOW) for n in range(5)]
    assert len({m.key for m in made} | {m.secret for m in made}) == 10
    kept = repr([await db.read(f"SELECT * FROM {table}") for table in ("apps", "app_keys")])
    for secrets in made:
        assert "." not in secrets.key and len(secrets.secret.encode()) >= 32
        assert secrets.webhook_secret.startswith("whsec_")
        assert secrets.secret not in kept and secrets.webhook_secret[6:] not in kept


async def test_the_previous_key_holds_until_the_next_rotation(
    db: Database, keyring: Keyring
) -> None:
    first = await register.add(db, keyring, "wiki", AppSettings(), NOW)
    app = await register.find(db, "wiki")

    async def keys() -> list[str]:
        return [key.id for key in (await register.find(db, "wiki")).keys]

    second = await register.rotate(db, keyring, app.id, NOW + 1)
    assert await keys() == [second.key, first.key]
    third = await register.rotate(db, keyring, app.id, NOW + 1)
    assert await keys() == [third.key, second.key]
    assert await register.drop_previous(db, app.id) == [second.key]
    assert await keys() == [third.key]
    assert await register.drop_previous(db, app.id) == []
    assert await keys() == [third.key]


async def test_an_app_that_is_gone_gets_no_key(db: Database, keyring: Keyring) -> None:
    await register.add(db, keyring, "wiki", AppSettings(), NOW)
    app = await register.find(db, "wiki")
    await register.delete(db, app.id)
    with pytest.raises(NoSuchApp):
        await register.rotate(db, keyring, app.id, NOW)
    await register.change(db, app.id, lambda before: SETTINGS)
    assert await register.listed(db) == []


async def test_two_who_change_an_app_at_once_keep_what_the_other_changed(
    db: Database, keyring: Keyring
) -> None:
    await register.add(db, keyring, "wiki", AppSettings(), NOW)
    app = await register.find(db, "wiki")
    await asyncio.gather(
        register.change(db, app.id, lambda before: replace(before, visits=1)),
        register.change(db, app.id, lambda before: replace(before, grace=3.0)),
    )
    changed = (await register.find(db, "wiki")).settings
    assert (changed.visits, changed.grace) == (1, 3.0)


async def test_every_change_is_numbered(db: Database, keyring: Keyring) -> None:
    numbers = [await register.last_change(db)]

    async def changed() -> None:
        numbers.append(await register.last_change(db))
        assert numbers[-1] > numbers[-2]

    await register.add(db, keyring, "wiki", AppSettings(), NOW)
    app = await register.find(db, "wiki")
    await changed()
    await register.change(db, app.id, lambda before: replace(before, visits=1))
    await changed()
    await register.rotate(db, keyring, app.id, NOW)
    await changed()
    await register.drop_previous(db, app.id)
    await changed()
    await register.delete(db, app.id)
    await changed()


async def test_secrets_move_to_a_new_key_of_the_key_file(db: Database) -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    made = await register.add(db, Keyring([old]), "wiki", AppSettings(), NOW)
    await register.reseal(db, Keyring([old]))
    (before,) = await sealed_texts(db)
    await register.reseal(db, Keyring([new, old]))
    (after,) = await sealed_texts(db)
    assert before != after
    app = await register.find(db, "wiki")
    assert unseal(Keyring([new]), app.keys[0]) == made
    with pytest.raises(Unreadable):
        unseal(Keyring([old]), app.keys[0])
    # Nothing is lost of what was sealed with keys that are not ours.
    await register.reseal(db, Keyring([Fernet.generate_key()]))
    assert await sealed_texts(db) == [after]
