"""When --bcrypt-cost changes, hashes follow as people log in."""

import sqlite3
from contextlib import closing

from tests.conftest import ServerProcesses, Visit
from testing.processes import ServerProcess


def stored_hash(server: ServerProcess) -> str:
    with closing(sqlite3.connect(server.folder / "presence.sqlite3")) as database:
        ((password_hash,),) = database.execute("SELECT password_hash FROM users")
    return str(password_hash)


async def test_the_next_log_in_renews_a_hash_of_another_cost(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(bcrypt_cost=4)
    phone, laptop = await visit(server, "alice"), await visit(server)
    assert stored_hash(server).startswith("$2b$04$")
    await server.terminate()
    server.flags["bcrypt_cost"] = 6
    await server.start()
    phone.url = laptop.url = server.url
    assert (await laptop.log_in("alice", "a wrong one")).status == 401
    assert stored_hash(server).startswith("$2b$04$")
    assert (await laptop.log_in("alice")).status == 303
    renewed = stored_hash(server)
    assert renewed.startswith("$2b$06$")
    # Nobody is logged out by that, and the next log-in finds nothing to renew.
    assert (await phone.get("/account/")).status == 200
    assert (await laptop.log_in("alice")).status == 303
    assert stored_hash(server) == renewed
