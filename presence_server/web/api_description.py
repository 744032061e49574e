"""`/api/v1/openapi.json`: what the API is, for programs."""

import json

from aiohttp import web

from presence_server.keys import CONFIG
from presence_server.resources import OPENAPI
from presence_server.web.problems import API

_DOCUMENT = json.loads(OPENAPI.read_text("utf-8"))


async def serve(request: web.Request) -> web.Response:
    base = request.app[CONFIG].base_path
    return web.json_response({**_DOCUMENT, "servers": [{"url": base + API}]})
