"""The client in Node, at a real server: a backend or a bot that looks on."""

import asyncio
import json
import subprocess

from tests.api.conftest import AddApp, add_app, http
from tests.client.test_package import CLIENT
from tests.conftest import ServerProcesses

__all__ = ["add_app", "http"]

SCRIPT = """
    import { Presence } from "./presence.js";
    const [url, token] = process.argv.slice(-2);
    const room = new Presence(url, { getToken: async () => token }).room("doc");
    room.addEventListener("change", () => {
        if (room.state !== "live" || !room.people.has("bob")) return;
        console.log(JSON.stringify([room.state, ...room.people.keys()].sort()));
        room.leave();
    });
"""


async def test_node_sees_who_is_here_and_ends_when_it_leaves(
    server_process: ServerProcesses, add_app: AddApp, node: str
) -> None:
    server = await server_process()
    app = await (await add_app(server.url)).until_known()
    async with app.line("bob") as bob:
        await bob.first()
        process = await asyncio.create_subprocess_exec(
            node, "--input-type=module", "--eval", SCRIPT, "--", server.url, app.token("node"),
            cwd=CLIENT, stdout=subprocess.PIPE,
        )
        await bob.sees("node", "online")
        await bob.sees("node", "offline")
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert json.loads(out) == ["bob", "live", "node"]
