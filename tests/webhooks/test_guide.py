"""The receivers of docs/webhooks.md, as they stand there, with the libraries that verify."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import DEVNULL
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from presence_server.presence.told import Change, Told
from presence_server.webhooks import messages
from testing.guide import code
from testing.install_node_packages import FOLDER, MISSING, are_installed
from testing.redis_server import free_port
from testing.waiting import listening

SECRET = "whsec_" + "c2VjcmV0" * 6


def _command(language: str, text: str, tmp_path: Path) -> tuple[list[str], Path]:
    if language == "python":
        return [sys.executable, "-c", text], tmp_path
    if not are_installed() and "CI" not in os.environ:
        pytest.skip(MISSING)
    return ["node", "--input-type=module", "--eval", text], FOLDER


SINCE = 1_795_420_800
# A second address, at which each receiver shows what it holds.
SHOW = {
    "python": (
        "app = web.Application()",
        """async def show(request):
    return web.json_response(list(newest.values()))

app = web.Application()
app.add_routes([web.get("/newest", show)])""",
    ),
    "js": (
        "createServer(async (request, response) => {",
        """createServer(async (request, response) => {
  if (request.url === "/newest") return response.end(JSON.stringify([...newest.values()]));""",
    ),
}


def _message(here: bool = True, since: int = SINCE) -> bytes:
    changes = [Change("doc", "Zoë 😀", here, since, since)]
    return messages.body(Told({}).take(changes), time.time())


@pytest.mark.parametrize("language", ["python", "js"])
async def test_it_takes_what_is_ours_and_nothing_else(language: str, tmp_path: Path) -> None:
    port = free_port()
    text = code("A receiver", language, "webhooks").replace("3000", str(port))
    assert len(text.splitlines()) <= 22
    command, folder = _command(language, text.replace(*SHOW[language]), tmp_path)
    environment = {**os.environ, "PRESENCE_WEBHOOK_SECRET": SECRET}
    receiver = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdout=DEVNULL
    )
    url, body, now = f"http://localhost:{port}/presence", _message(), int(time.time())
    good = messages.headers("msg_1", body, now, ["whsec_b3RoZXI=", SECRET])
    changed = body.replace(b'"here"', b'"gone"')
    left, returned = _message(False, SINCE + 9), _message(True, SINCE + 9)
    old = messages.headers("msg_1", body, now - 600, [SECRET])
    foreign = messages.headers("msg_1", body, now, ["whsec_b3RoZXI="])
    held: list[str] = []
    try:
        await listening(port)
        async with aiohttp.ClientSession() as http:
            assert await _status(http, url, body, good) == 204
            assert await _status(http, url, changed, good) == 401
            assert await _status(http, url, body, old) == 401
            assert await _status(http, url, body, foreign) == 401
            assert await _status(http, url, body, {**good, "Webhook-Id": "msg_2"}) == 401
            # The third comes late; what the fourth tells became so within the same second.
            for told in (body, left, body, returned):
                signed = messages.headers("msg_1", told, now, [SECRET])
                assert await _status(http, url, told, signed) == 204
                held.append(await _newest(http, port))
            assert held == ["here", "gone", "gone", "here"]
    finally:
        receiver.kill()
        await receiver.wait()


async def _status(
    http: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str]
) -> int:
    async with http.post(url, data=body, headers=headers) as answer:
        return answer.status


async def _newest(http: aiohttp.ClientSession, port: int) -> str:
    async with http.get(f"http://localhost:{port}/newest") as answer:
        (change,) = await answer.json(content_type=None)
        return str(change["status"])


def test_the_example_message_is_one() -> None:
    told = code("What your backend is told", "json", "webhooks")
    example, real = json.loads(told), json.loads(_message())
    assert real.keys() == example.keys() and real["data"].keys() == example["data"].keys()
    assert real["data"]["changes"][0].keys() == example["data"]["changes"][0].keys()
