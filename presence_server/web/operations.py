"""What a load balancer asks: nothing here tells more than yes or no."""

from aiohttp import web

from presence_server.accounts.database import DatabaseUnavailable
from presence_server.keys import DATABASE, STOPPING


async def healthz(request: web.Request) -> web.Response:
    return web.Response(text="alive\n")


async def readyz(request: web.Request) -> web.Response:
    if await is_ready(request.app):
        return web.Response(text="ready\n")
    return web.Response(text="not ready\n", status=503)


async def is_ready(app: web.Application) -> bool:
    if app[STOPPING].is_set():
        return False
    try:
        await app[DATABASE].check_writable()
    except DatabaseUnavailable:
        return False
    return True
