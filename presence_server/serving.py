"""One server process: its listeners, its signals, its end."""

import asyncio
import faulthandler
import gc
import logging
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack

from aiohttp import web

from presence_server.app import create_admin_app, create_app
from presence_server.config import Config, ConfigError
from presence_server.web.runner import Runner

BACKLOG = 4096
# Also the time within which a client must have sent its headers: AppRunner's own is an hour.
KEEP_ALIVE = 15.0
# aiohttp waits this long for handlers to end, cancels them, and waits as long again.
HANDLERS_END_WITHIN = 0.75
STOPPED_WITHIN = 4.8

log = logging.getLogger(__name__)


CleanupContext = Callable[[web.Application], AsyncIterator[None]]


def run(config: Config, *contexts: CleanupContext) -> int:
    """Serve until SIGTERM or SIGINT and return the exit status.

    `contexts` live within the services of the application. Whatever refuses the start, or fails
    in the background later, is raised.
    """
    for risk in config.risks():
        log.warning(risk)
    _raise_descriptor_limit()
    try:
        asyncio.run(_serve(config, contexts))
    except BaseExceptionGroup as group:
        raise _sole_cause(group) from None
    return 0


async def _serve(config: Config, contexts: Sequence[CleanupContext]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = create_app(config)
    app.cleanup_ctx.extend(contexts)
    async with AsyncExitStack() as runners:
        # When a background task fails, its TaskGroup in the app cancels this task, wherever it is.
        try:
            runner = await _start(runners, app)
            lines = ["Listening on " + await _listen(runner, config)]
            if config.admin_port is not None:
                admin = await _start(runners, create_admin_app(app))
                lines.append("Operators' pages on " + await _listen_admin(admin, config))
            _calm_collector()
            print("\n".join(lines), flush=True)
            await stop.wait()
            log.info("stopping")
        finally:
            # Whatever hangs from here on, also in a thread, the process ends in time.
            faulthandler.dump_traceback_later(STOPPED_WITHIN, exit=True)


async def _start(runners: AsyncExitStack, app: web.Application) -> web.AppRunner:
    runner = Runner(
        app, keepalive_timeout=KEEP_ALIVE, shutdown_timeout=HANDLERS_END_WITHIN
    )
    runners.push_async_callback(runner.cleanup)
    await runner.setup()
    return runner


async def _listen(runner: web.AppRunner, config: Config) -> str:
    site = web.TCPSite(
        runner,
        config.host,
        config.port,
        backlog=BACKLOG,
        # False would be refused where the platform has no such option.
        reuse_port=config.reuse_port or None,
    )
    return await _open(site, config.host, "--host and --port")


async def _listen_admin(runner: web.AppRunner, config: Config) -> str:
    site = web.TCPSite(runner, config.admin_host, config.admin_port)
    return await _open(site, config.admin_host, "--admin-host and --admin-port")


async def _open(site: web.TCPSite, host: str, flags: str) -> str:
    try:
        await site.start()
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"{flags}: cannot listen on {_url(host, site.port)}: {_reason(error)}."
        ) from None
    return _url(host, site.port)


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "not a host name"
    # The loop words a failed bind at length, the number says it shortly; look-ups have none.
    number = error.errno or 0
    return os.strerror(number) if number > 0 else str(error.strerror)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _calm_collector() -> None:
    """A full collection looks at every object of every socket, and the loop waits: 120 ms with
    2,000 sockets. What is there at the start is never looked at again, the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _raise_descriptor_limit() -> None:
    """Every socket takes a descriptor, and the usual 1,024 are few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError) as error:
        log.warning("The limit of %d descriptors could not be raised: %s", soft, error)


def _sole_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
