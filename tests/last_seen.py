"""When people with an account were last seen, as it stands in a database."""

from presence_server.accounts import users
from presence_server.storage.database import Database


async def last_seen_of(db: Database, username: str) -> int | None:
    user = await users.find(db, username)
    assert user is not None
    return user.last_seen
