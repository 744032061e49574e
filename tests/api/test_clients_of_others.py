"""Clients that others made come back after a kill of the server, from where they were."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from httpx_sse import aconnect_sse

from testing.app_client import AppClient
from testing.install_node_packages import FOLDER, MISSING, are_installed
from testing.processes import ServerProcess
from testing.redis_server import free_port
from tests.api.conftest import AddApp, written_down
from tests.conftest import ServerProcesses

# Says each event that comes, in a line of JSON.
_EVENTSOURCE = """
import { EventSource } from "eventsource";
const source = new EventSource(process.argv[1]);
for (const type of ["snapshot", "changes", "bye"]) {
  source.addEventListener(type, (event) => {
    console.log(JSON.stringify({ type, id: event.lastEventId, data: JSON.parse(event.data) }));
  });
}
"""


@asynccontextmanager
async def served(
    server_process: ServerProcesses, add_app: AddApp
) -> AsyncIterator[tuple[ServerProcess, AppClient]]:
    server = await server_process(port=free_port(), grace=20)
    yield server, await (await add_app(server.url)).until_known()


async def test_eventsource_for_node_comes_back_by_itself(
    server_process: ServerProcesses, add_app: AddApp
) -> None:
    if not are_installed() and "CI" not in os.environ:
        pytest.skip(MISSING)
    async with served(server_process, add_app) as (server, app):
        url = f"{app.url}/api/v1/rooms/doc?token={app.token('alice')}"
        node = ("node", "--input-type=module", "--eval", _EVENTSOURCE, "--", url)
        process = await asyncio.create_subprocess_exec(*node, cwd=FOLDER, stdout=PIPE)
        assert process.stdout is not None

        async def event() -> dict[str, object]:
            assert process.stdout is not None
            async with asyncio.timeout(15):
                found: dict[str, object] = json.loads(await process.stdout.readline())
            return found

        try:
            first = await event()
            assert first["type"] == "snapshot" and "alice" in str(first["data"])
            await written_down(server, ["alice"])
            await server.kill()
            await server.start()
            # Somebody else's life of the server knows nothing of the cursor, and says all.
            again = await event()
            assert again["type"] == "snapshot" and again["id"] != first["id"]
            async with app.line("bob") as bob:
                await bob.sees("alice", "online")
                changed = await event()
                assert changed["type"] == "changes" and "bob" in str(changed["data"])
        finally:
            process.kill()
            await process.wait()


async def test_httpx_sse_goes_on_from_the_last_id(
    server_process: ServerProcesses, add_app: AddApp
) -> None:
    async with served(server_process, add_app) as (server, app), httpx.AsyncClient() as http:
        url = f"{app.url}/api/v1/rooms/doc"
        headers = {"Authorization": f"Bearer {app.token('alice')}"}
        async with aconnect_sse(http, "GET", url, headers=headers) as source:
            events = source.aiter_sse()
            first = await anext(events)
            assert first.event == "snapshot" and "alice" in first.json()["online"]
        async with app.line("bob") as bob:
            await bob.sees("alice", "online")
            going_on = {**headers, "Last-Event-ID": first.id}
            async with aconnect_sse(http, "GET", url, headers=going_on) as source:
                missed = await anext(source.aiter_sse())
                assert missed.event == "changes" and "bob" in missed.json()["online"]
        await server.kill()
        await server.start()
        going_on = {**headers, "Last-Event-ID": missed.id}
        async with aconnect_sse(http, "GET", url, headers=going_on) as source:
            again = await anext(source.aiter_sse())
            assert again.event == "snapshot" and "alice" in again.json()["online"]
