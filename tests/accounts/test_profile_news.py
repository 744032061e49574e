"""How a node hears what accounts show of themselves."""

import asyncio
from collections.abc import Collection, Mapping

import pytest

from presence_server.accounts import profiles
from presence_server.accounts.profiles import ProfileNews
from presence_server.endings import Ending, Reason
from presence_server.presence.profiles import Profile
from presence_server.storage.database import Database
from testing.waiting import until


def changed(username: str) -> Ending:
    return Ending(reason=Reason.PROFILE, username=username, account=1, ended_at=0)


async def test_who_changes_again_while_it_is_read_is_read_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[frozenset[str]] = []

    async def of(_: Database, usernames: Collection[str]) -> Mapping[str, Profile]:
        read.append(frozenset(usernames))
        if len(read) == 1:
            news.heed(changed("alice"))
        return {}

    monkeypatch.setattr(profiles, "of", of)
    news = ProfileNews(db, lambda username, profile: None)
    reading = asyncio.create_task(news.run())
    news.heed(changed("alice"))
    await until(lambda: len(read) == 2)
    assert read == [{"alice"}, {"alice"}]
    reading.cancel()
