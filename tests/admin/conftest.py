from collections.abc import Awaitable, Callable

import pytest
from aiohttp.test_utils import TestServer

from presence_server.accounts import users
from presence_server.keys import DATABASE
from testing.visitor import Visitor
from tests.conftest import Visit
from tests.webhooks.conftest import receiver

__all__ = ["receiver"]

Administrator = Callable[..., Awaitable[Visitor]]


@pytest.fixture
def administrator(visit: Visit) -> Administrator:
    """Opens a browser of somebody who runs the site and has just come in."""

    async def open_at(server: TestServer, username: str = "alice") -> Visitor:
        visitor = await visit(server, username)
        database = server.app[DATABASE]
        user = await users.find(database, username)
        assert user is not None
        await users.set_administrator(database, user.id, True)
        return visitor

    return open_at
