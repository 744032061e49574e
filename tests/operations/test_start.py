"""What the log says of a start, and what happens when there are no more descriptors."""

import asyncio
import json
import resource
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
import pytest

from presence_server.live.seats import _KEPT
from presence_server.resources import ROOT
from presence_server.serving import _LEAST_DESCRIPTORS
from tests.conftest import ServerProcesses, Visit
from testing.processes import ServerProcess
from testing.waiting import first_answer

# Sockets that a process whose descriptors are limited so has room for.
SEATS = 40
LIMIT = 2 * SEATS
WITHIN = 15


def limit_descriptors(server: ServerProcess, count: int) -> None:
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (count, count))


async def test_the_start_says_what_is_on_and_off(server_process: ServerProcesses) -> None:
    server = await server_process(log_format="json", redis_url="redis://:sesame@127.0.0.1:1")
    log = await server.logged('"starting"')
    events = [json.loads(line) for line in log.rpartition("\n")[0].splitlines()]
    (start,) = [event for event in events if event["message"] == "starting"]
    database = server.folder / "presence.sqlite3"
    assert start["database"] == str(database) and start["keys"] == f"{database}.key"
    assert (start["relay"], start["admin"], start["public_url"]) == ("redis", "off", "none")
    assert start["most_sockets"] > 0
    assert "sesame" not in server.log


async def test_a_proxy_that_is_not_trusted_is_noticed(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process()
    visitor = await visit(server)
    assert (await visitor.get("/log_in/")).status == 200
    assert "--trusted-proxies" not in server.log
    for _ in range(3):
        await visitor.get("/log_in/", headers={"X-Forwarded-For": "192.0.2.7"})
    assert await server.terminate() == 0
    assert "127.0.0.1 sends X-Forwarded-For and is not among" in server.log
    assert server.log.count("X-Forwarded-For") == 1


async def test_what_a_proxy_writes_that_is_no_address_is_warned_about_once(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(trusted_proxies="127.0.0.1")
    visitor = await visit(server)
    # What the client itself sent stands to the left, and is nobody's concern.
    await visitor.get("/log_in/", headers={"X-Forwarded-For": "<script>, 192.0.2.7:80"})
    for _ in range(3):
        await visitor.get("/log_in/", headers={"X-Forwarded-For": "192.0.2.7, client.internal"})
    await visitor.get("/log_in/", headers={"X-Forwarded-For": "unknown"})
    assert await server.terminate() == 0
    assert "X-Forwarded-For has client.internal where" in server.log
    assert server.log.count("X-Forwarded-For") == 1


async def test_a_variable_that_is_no_setting_is_named_with_the_nearest(
    tmp_path: Path,
) -> None:
    server = ServerProcess(tmp_path)
    server.environment = {
        "PRESENCE_SIGNUP": "closed",
        "PRESENCE_COLOUR": "blue",
        "PRESENCE_MAX_SOCKETS_PER_ADRESS": "7",
        # As backends have it.
        "PRESENCE_KEY": "k",
    }
    await server.start()
    try:
        await server.logged(
            "PRESENCE_SIGNUP is no setting and changes nothing: did you mean PRESENCE_SIGN_UP?"
        )
        await server.logged("did you mean PRESENCE_MAX_SOCKETS_PER_ADDRESS?")
        await server.logged("PRESENCE_COLOUR is no setting and changes nothing.")
        assert (await server.logged("is no setting", 3)).count("is no setting") == 3
    finally:
        await server.kill()


async def test_https_without_a_public_url_is_explained_once(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process()
    alice = await visit(server, "alice")
    through_proxy = {"Host": "presence.example", "Origin": "https://presence.example"}
    assert "--public-url" not in server.log
    for _ in range(3):
        assert (await alice.get("/users/", headers={**_UPGRADE, **through_proxy})).status == 403
    await server.logged("--public-url https://")
    assert server.log.count("--public-url") == 1 and "presence.example" not in server.log


async def test_what_is_served_does_not_depend_on_the_machine(
    tmp_path: Path, visit: Visit
) -> None:
    """On its locale, its time zone, or its table of types."""
    place = tmp_path / "Zo\u00eb"
    place.mkdir()
    server = ServerProcess(place, site_name="Zo\u00eb \u5c71")
    server.environment = {
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
        "TZ": "Asia/Kathmandu",
    }
    await server.start()
    try:
        alice = await visit(server, "alice")
        page = await alice.get("/account/")
        assert "<title>alice \u00b7 Zo\u00eb \u5c71</title>" in page.text
        assert (place / "presence.sqlite3").exists()
        expires = (await alice.log_out()).headers["Set-Cookie"].partition("expires=")[2]
        deleted_at = parsedate_to_datetime(expires.partition(";")[0])
        assert abs(deleted_at.timestamp() - time.time()) < 60
        hour = time.strftime("%Y-%m-%dT%H:", time.gmtime())
        assert server.log.startswith((hour, hour[:10])) and "Logging error" not in server.log
    finally:
        await server.kill()


async def test_the_descriptor_limit_is_raised(server_process: ServerProcesses) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        server = await server_process()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.prlimit(server.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    await server.logged(f"most_sockets={hard - _KEPT}")


def limited(folder: Path, count: int) -> ServerProcess:
    """A server whose limit nobody can raise."""
    (folder / "limited.py").write_text(
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({count}, {count}))\n"
        "from presence_server import cli\n"
        "sys.exit(cli.main())\n"
    )
    server = ServerProcess(folder, admin_port=0, max_sockets_per_user=0)
    server.module = "limited"
    server.environment["PYTHONPATH"] = f"{ROOT}:{folder}"
    return server


@pytest.mark.parametrize("count", [_LEAST_DESCRIPTORS, 200])
async def test_few_descriptors_are_warned_about_and_serve_some(
    tmp_path: Path, visit: Visit, count: int
) -> None:
    server = limited(tmp_path, count)
    try:
        await server.start()
        said = f"A limit of {count} descriptors (ulimit -n, LimitNOFILE) is low: there is room for "
        await server.logged(f"WARNING presence_server.serving: {said}{count // 2} sockets.")
        alice, bob = await visit(server, "alice"), await visit(server, "bob")
        sockets = [await alice.http.ws_connect(f"{server.url}/users/") for _ in range(count // 2)]
        assert (await bob.get("/users/", headers=_UPGRADE)).status == 503
        assert (await bob.get("/")).status == 200
        for socket in sockets:
            await socket.close()
        assert await server.terminate() == 0
    finally:
        await server.kill()


async def test_with_fewer_descriptors_than_serve_anybody_it_does_not_start(
    tmp_path: Path,
) -> None:
    server = limited(tmp_path, _LEAST_DESCRIPTORS - 1)
    with pytest.raises(AssertionError, match="the log says"):
        await server.start()
    assert server.log == (
        f"presence-server: A limit of {_LEAST_DESCRIPTORS - 1} descriptors (ulimit -n, LimitNOFILE)"
        f" is too low to serve anybody: at least {_LEAST_DESCRIPTORS} are needed.\n"
    )


async def test_enough_descriptors_are_not_warned_about(server_process: ServerProcesses) -> None:
    server = await server_process()
    assert await server.terminate() == 0
    assert "A limit of" not in server.log


async def test_a_full_process_says_so_and_has_room_again(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(max_sockets_per_user=0)
    alice = await visit(server, "alice")
    limit_descriptors(server, LIMIT)
    open_sockets = [
        await alice.http.ws_connect(f"{server.url}/users/") for _ in range(SEATS)
    ]
    begun = time.monotonic()
    refusals = [await alice.get("/users/", headers=_UPGRADE) for _ in range(20)]
    assert {answer.status for answer in refusals} == {503}
    assert json.loads(refusals[0].text) == {
        "error": "The site is busy. Please try again in a moment."
    }
    assert refusals[0].headers["Retry-After"] == "10"
    # Pages go on.
    assert (await alice.get("/")).status == 200
    full = f"all {SEATS} sockets that this process can hold are open"
    told = (await server.logged(full)).count(full)
    assert told <= 2 + time.monotonic() - begun, "more than one line a second"
    await open_sockets[0].close()
    await first_answer(
        lambda: alice.get("/users/", headers=_UPGRADE), lambda page: page.status != 503, WITHIN
    )
    for socket in open_sockets[1:]:
        await socket.close()


_UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.slow
async def test_without_descriptors_connections_wait_and_the_log_stays_short(
    server_process: ServerProcesses, visit: Visit, tmp_path: Path
) -> None:
    server = await server_process()
    alice = await visit(server, "alice")
    taken = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
    limit_descriptors(server, taken + 3)
    begun = time.monotonic()
    # Connections that say nothing, until no descriptor is left for more.
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(20)]
    await server.logged("no connection can be accepted: Too many open files")
    # asyncio tries again each second, and complains of each connection that may wait.
    await asyncio.sleep(2.5)
    lines = [line for line in server.log.splitlines() if "no connection can be accepted" in line]
    assert len(lines) <= 2 + time.monotonic() - begun, "more than one line a second"
    assert "Traceback" not in server.log
    for _, writer in idle:
        writer.close()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(WITHIN)) as http:
        assert (await http.get(f"{server.url}/healthz")).status == 200
    assert (await alice.get("/")).status == 200
