"""What happens to accounts can be read in the log."""

import json

from tests.conftest import ServerProcesses, Visit
from testing.processes import ServerProcess
from testing.visitor import PASSWORD

NEW = "another good one"


def events(server: ServerProcess) -> list[str]:
    lines = [json.loads(line) for line in server.log.splitlines()]
    found = [line for line in lines if line["logger"] == "presence_server.web.events"]
    assert all(line["address"] == "192.0.2.7" for line in found), found
    return [f"{line['user']} {line['message']}" for line in found]


async def test_what_happens_to_accounts_is_logged(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(log_format="json", trusted_proxies="127.0.0.1")
    alice, elsewhere = await visit(server), await visit(server)
    for visitor in (alice, elsewhere):
        visitor.http.headers["X-Forwarded-For"] = "192.0.2.7"
    await alice.enter("Alice")
    await elsewhere.log_in("alice")
    await elsewhere.log_out()
    # A password in the wrong field is nobody's name.
    await elsewhere.log_in(PASSWORD, PASSWORD)
    await elsewhere.log_in("alice", "a wrong one")
    await elsewhere.log_in("alice")
    await alice.submit("/account/end", {"device": "others"}, form="/account/")
    change = {"old_password": PASSWORD, "password1": NEW, "password2": NEW}
    await alice.submit("/account/password", change, form="/account/")
    await alice.submit("/account/delete", {"password": NEW}, form="/account/")
    await server.logged("deleted the account")
    assert events(server) == [
        "Alice signed up",
        "Alice logged in",
        "Alice logged in",
        "Alice logged out",
        "- unknown name",
        "Alice wrong password",
        "Alice logged in",
        "Alice logged devices out",
        "Alice changed the password",
        "Alice deleted the account",
    ]
    assert PASSWORD not in server.log and NEW not in server.log
