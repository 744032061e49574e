"""Backends that receive, beside servers inside the test."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import standardwebhooks

from presence_server.accounts.keyring import open_keyring
from presence_server.apps.known import KnownApps
from presence_server.config import PostgresUrl
from presence_server.storage.database import open_database
from testing.processes import KEYS
from testing.receiver import Delivered, Receiver
from tests.api.conftest import add_app, http

__all__ = ["add_app", "http"]


@pytest.fixture
async def receiver(place: Path | PostgresUrl, tmp_path: Path) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with receiver.serve():
        yield receiver
    assert receiver.wrong == [] and receiver.most_at_once <= 1
    # As long as it has acknowledged all that it heard.
    has_acknowledged = not receiver.is_moody and len(receiver.accepted) == len(receiver.delivered)
    assert receiver.miscounted == [] or not has_acknowledged
    async with open_database(place) as db:
        apps = KnownApps(db, open_keyring(tmp_path / KEYS))
        await apps.read()
        secrets = [secret for app in apps.all() for secret in apps.webhook_secrets(app)]
    for delivered in receiver.delivered:
        assert any(_verifies(secret, delivered) for secret in secrets)


def _verifies(secret: str, delivered: Delivered) -> bool:
    """Whether the official library signs it so, however long ago it was delivered."""
    at = datetime.fromtimestamp(int(delivered.headers["webhook-timestamp"]), UTC)
    signed = standardwebhooks.Webhook(secret).sign(delivered.id, at, delivered.body.decode())
    return signed in delivered.headers["webhook-signature"].split()
