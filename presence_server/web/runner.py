"""aiohttp's runner, with connections of our own class."""

import asyncio
import math

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import StreamWriter
from aiohttp.web_protocol import RequestHandler

from presence_server.crowd import Crowd
from presence_server.keys import CONFIG, SEATS, SITE
from presence_server.web.access_log import AccessLogger
from presence_server.web.connection import Connection
from presence_server.web.turnstile import TURNSTILE, Turnstile
from presence_server.web.waiting import Waiting

# Seconds of a body that nobody reads any more: who is cut in the middle of sending it never sees
# the answer.
_LINGERING = 1.0


def _lay_out_writers() -> None:
    """Let aiohttp's writers share the names of all their attributes.

    In CPython the first objects of a class find out which they are, and each leaves less room for
    names that come later. A writer has two more once it has sent something: where a crowd comes
    first there is no room left by then, and each would have a dict of 400 bytes from then on.
    """
    writer = StreamWriter(BaseProtocol(asyncio.get_running_loop()), asyncio.get_running_loop())
    writer.buffer_size = writer.output_size = 0


class Runner(web.AppRunner):
    def __init__(
        self, app: web.Application, *, keepalive_timeout: float, shutdown_timeout: float
    ) -> None:
        super().__init__(
            app,
            access_log_class=AccessLogger,
            # Nobody sends compressed forms, and small bombs could.
            auto_decompress=False,
            # Rounded to whole seconds, a thousand sockets would be pinged in one turn of the loop.
            timeout_ceil_threshold=math.inf,
            lingering_time=_LINGERING,
            keepalive_timeout=keepalive_timeout,
            shutdown_timeout=shutdown_timeout,
        )

    async def _make_server(self) -> web.Server:
        _lay_out_writers()
        server = await super()._make_server()
        for_operators = SITE in self.app
        site = self.app[SITE] if for_operators else self.app
        waiting = Waiting(self.app[CONFIG], site[SEATS].room)
        # Who asks whether the process is ready must not stand in the line of a crowd.
        turnstile = Turnstile(Crowd()) if for_operators else site[TURNSTILE]
        return _Server(server, turnstile, waiting)


class _Server(web.Server):
    def __init__(self, server: web.Server, turnstile: Turnstile, waiting: Waiting) -> None:
        super().__init__(
            server.request_handler, request_factory=server.request_factory, **server._kwargs
        )
        self._turnstile = turnstile
        self._waiting = waiting

    def __call__(self) -> RequestHandler:
        return Connection(
            self,
            turnstile=self._turnstile,
            waiting=self._waiting,
            loop=self._loop,
            **self._kwargs,
        )
