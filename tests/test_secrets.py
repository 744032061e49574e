"""What a server leaves on the disk and in its log gives no secret away."""

import stat
from pathlib import Path

from tests.conftest import ServerProcesses, Visit
from testing.redis_server import RedisServer, free_port
from testing.visitor import PASSWORD


def modes(folder: Path) -> dict[str, int]:
    return {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in folder.iterdir()
        if path.name.startswith("presence.sqlite3")
    }


async def test_t31_files_are_for_the_owner_alone(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process()
    await visit(server, "alice")
    found = modes(server.folder)
    assert {"presence.sqlite3", "presence.sqlite3-wal", "presence.sqlite3.key"} <= found.keys()
    assert set(found.values()) == {0o600}


async def test_t31_no_hash_key_or_password_is_logged(
    server_process: ServerProcesses, visit: Visit
) -> None:
    redis = RedisServer(port=free_port(), password="redis-password")
    try:
        redis.start()
        server = await server_process(redis_url=redis.url, log_format="json")
        alice = await visit(server, "alice")
        async with alice.live() as socket:
            await socket.first()
            redis.kill()
            await socket.until(lambda: socket.degraded, within=15)
        await alice.log_in("alice", "a wrong password")
        await server.logged("Redis")
        assert await server.terminate() == 0
    finally:
        redis.remove()
    key = (server.folder / "presence.sqlite3.key").read_text().strip()
    secrets = ["redis-password", PASSWORD, "a wrong password", "$2b$", key]
    secrets += [cookie.value for cookie in alice.http.cookie_jar]
    assert [secret for secret in secrets if secret in server.log] == []
