"""What a load balancer asks: nothing here tells more than yes or no."""

from aiohttp import web

from presence_server.keys import DATABASE, STOPPING


async def healthz(request: web.Request) -> web.Response:
    return web.Response(text="alive\n")


async def readyz(request: web.Request) -> web.Response:
    if await reasons_not_ready(request.app):
        return web.Response(text="not ready\n", status=503)
    return web.Response(text="ready\n")


async def reasons_not_ready(app: web.Application) -> list[str]:
    """Sentences for operators; nobody else is told them."""
    if app[STOPPING].is_set():
        return ["The server is stopping."]
    trouble = await app[DATABASE].why_not_writable()
    return [trouble] if trouble else []
