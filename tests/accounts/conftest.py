from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from presence_server.accounts.database import Database, open_database
from presence_server.config import PostgresUrl


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "presence.sqlite3"


@pytest.fixture
async def db(place: Path | PostgresUrl) -> AsyncIterator[Database]:
    async with open_database(place) as db:
        yield db
