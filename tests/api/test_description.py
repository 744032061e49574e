"""The API is what its description says: asked by schemathesis in every way that it allows, and
in many that it does not, no answer is a 5xx or other than described."""

import json
import os
import sys
from asyncio import create_subprocess_exec, timeout
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Callable

import pytest

from presence_server.app import create_app
from presence_server.config import Config
from presence_server.resources import OPENAPI
from tests.api.conftest import AddApp
from tests.conftest import ServerProcesses

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "15"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bearer", ["key", "token"])
async def test_every_answer_is_as_described(
    server_process: ServerProcesses, add_app: AddApp, bearer: str
) -> None:
    server = await server_process()
    await server.terminate()
    server.module = "tests.api.unhurried_server"
    await server.start()
    app = await (await add_app(server.url)).until_known()
    shown = f"{app.key}.{app.secret}" if bearer == "key" else app.token("alice", {"*": "join"})
    command = (
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{app.url}/api/v1/openapi.json"),
        *("--header", f"Authorization: Bearer {shown}"),
        *("--checks", "not_a_server_error,status_code_conformance,content_type_conformance,"
          "response_schema_conformance,response_headers_conformance"),
        *("--max-examples", str(EXAMPLES), "--seed", "7", "--phases", "examples,coverage,fuzzing"),
        *("--suppress-health-check", "all", "--no-color", "--request-timeout", "30"),
    )
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    process = await create_subprocess_exec(
        *command, cwd=server.folder, env=environment, stdout=PIPE, stderr=STDOUT
    )
    async with timeout(200):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert "Traceback" not in server.log
    assert await server.terminate() == 0


def test_every_route_is_described(config: Callable[..., Config]) -> None:
    described = {
        (f"/api/v1{path}", method.upper())
        for path, operations in json.loads(OPENAPI.read_text("utf-8"))["paths"].items()
        for method in operations
        if method != "parameters"
    }
    served = {
        (route.resource.canonical, route.method)
        for route in create_app(config()).router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api/v1/")
    }
    assert {pair for pair in served if pair[1] not in ("HEAD", "OPTIONS")} == described
