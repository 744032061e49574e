"""One server process: its listeners, its signals, its end."""

import asyncio
import errno
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from time import monotonic
from typing import Any

from aiohttp import web

from presence_server import logs
from presence_server.app import create_admin_app, create_app
from presence_server.collector import short_collections
from presence_server.config import Config, ConfigError
from presence_server.keys import CONFIG, CROWD
from presence_server.event_loop import new_event_loop
from presence_server.listening import open_listeners, serve_at, serve_on
from presence_server.live.seats import capacity
from presence_server.logs import Seldom
from presence_server.manager import tell_manager
from presence_server.processes.inheritance import Inheritance
from presence_server.processes.slot import ENDS_WITHIN
from presence_server.watchdog import stack_of
from presence_server.web.runner import Runner

# Also the time within which a client must have sent its headers: AppRunner's own is an hour.
KEEP_ALIVE = 15.0
# aiohttp waits this long for handlers to end, cancels them, and waits as long again.
HANDLERS_END_WITHIN = 0.75
STOPPED_WITHIN = 4.5
# Where not even Python runs any more, the system ends the process.
_KILLED_AFTER = 4.8

# What is gentler comes first; a parent that ended a server sooner would take its last words.
assert 2 * HANDLERS_END_WITHIN < STOPPED_WITHIN < _KILLED_AFTER < ENDS_WITHIN

# Some 30 are taken before the first visitor comes.
_LEAST_DESCRIPTORS = 64
_USUAL_DESCRIPTORS = 1024

# For so many seconds a thread that waits for its turn leaves another one its own. The database's
# thread needs a turn for each row: with the 5 ms that are usual it would hold the database, for all
# processes, for seconds while the event loop is busy.
_TURN_OF_A_THREAD = 0.0001

_TOO_MANY = (errno.EMFILE, errno.ENFILE)

log = logging.getLogger(__name__)


Furnish = Callable[[web.Application], None]


def run(
    config: Config,
    furnish: Furnish = lambda app: None,
    *,
    invitation: str = "",
    inherited: Inheritance | None = None,
) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP and return the exit status.

    `furnish` may add routes, and what lives within the services of the application; the invitation
    is printed when it listens. With something inherited it serves on that, and tells the parent
    instead. Whatever refuses the start, or fails in the background later, is raised.
    """
    logs.take_what_nobody_catches()
    _raise_descriptor_limit()
    sys.setswitchinterval(_TURN_OF_A_THREAD)
    log.info("starting", extra={**config.summary(), "most_sockets": capacity()})
    if inherited is None:
        for risk in config.risks():
            log.warning(risk)
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(config, furnish, invitation, inherited))
    except BaseExceptionGroup as group:
        raise _sole_cause(group) from None
    return 0


async def _serve(
    config: Config, furnish: Furnish, invitation: str, inherited: Inheritance | None
) -> None:
    stop = _Stop()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_Complaints())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # nohup has SIGHUP ignored.
        if signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, stop)
    app = create_app(config)
    furnish(app)
    async with AsyncExitStack() as runners:
        # Before all that other nodes say of their people comes in.
        crowd = app[CROWD]
        runners.enter_context(
            short_collections(
                loop.call_soon_threadsafe, lambda: crowd.since(monotonic()) is not None
            )
        )
        # When a background task fails, its TaskGroup in the app cancels this task, wherever it is.
        try:
            with stop.cuts_short():
                runner = await _start(runners, app)
                if inherited is None:
                    lines = await _listen(runners, runner, app)
                    print("\n".join(filter(None, [*lines, invitation])), flush=True)
                    tell_manager("READY=1")
                else:
                    await serve_on(runner, inherited.pages, app[CROWD])
                    admin = await _start(runners, create_admin_app(app))
                    await serve_on(admin, [inherited.operators])
                    inherited.tell_ready(gone=stop)
            await stop.wait()
            log.info("stopping")
            tell_manager("STOPPING=1")
        finally:
            _end_in_time()


class _Stop:
    """Called when the process is to end, as often as may be."""

    def __init__(self) -> None:
        self._said = asyncio.Event()
        self._start: asyncio.Task[Any] | None = None

    def __call__(self) -> None:
        if self._start is not None and not self._said.is_set():
            self._start.cancel()
        self._said.set()

    async def wait(self) -> None:
        await self._said.wait()

    @contextmanager
    def cuts_short(self) -> Iterator[None]:
        """Leave this start when called, whatever it waits for, such as a locked database."""
        self._start = asyncio.current_task()
        assert self._start is not None
        try:
            yield
        except asyncio.CancelledError:
            if not self._said.is_set():
                raise
            # What closes may have timeouts, which would take it for their caller's.
            self._start.uncancel()
        finally:
            self._start = None


def _end_in_time() -> None:
    """Whatever hangs from here on, also in a thread: the log, or whoever reads it, included."""
    signal.setitimer(signal.ITIMER_REAL, _KILLED_AFTER)
    giving_up = threading.Timer(STOPPED_WITHIN, _give_up, (threading.get_ident(),))
    giving_up.daemon = True
    giving_up.start()


def _give_up(thread: int) -> None:
    log.critical("it does not end by itself, and hangs at\n%s", stack_of(thread))
    logs.flush()
    os._exit(1)


async def _start(runners: AsyncExitStack, app: web.Application) -> web.AppRunner:
    runner = Runner(
        app, keepalive_timeout=KEEP_ALIVE, shutdown_timeout=HANDLERS_END_WITHIN
    )
    runners.push_async_callback(runner.cleanup)
    await runner.setup()
    return runner


async def _listen(
    stack: AsyncExitStack, runner: web.AppRunner, app: web.Application
) -> list[str]:
    """The lines that say where."""
    config = app[CONFIG]
    files = stack.enter_context(ExitStack())
    opened = await open_listeners(
        files, config.host, config.port, "--host and --port", reuse_port=config.reuse_port
    )
    await serve_at(runner, opened, "--host and --port", app[CROWD])
    lines = [f"Listening on {opened.where}"]
    if config.admin_port is not None:
        admin = await _start(stack, create_admin_app(app))
        flags = "--admin-host and --admin-port"
        opened = await open_listeners(files, config.admin_host, config.admin_port, flags)
        await serve_at(admin, opened, flags)
        lines.append(f"Operators' pages on {opened.where}")
    return lines


def _raise_descriptor_limit() -> None:
    """Every socket takes a descriptor, and the usual 1,024 are few. Raises ConfigError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError) as error:
        log.warning("The limit of %d descriptors could not be raised: %s", soft, error)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < _LEAST_DESCRIPTORS:
        raise ConfigError(
            f"A limit of {limit} descriptors (ulimit -n, LimitNOFILE) is too low to serve anybody: "
            f"at least {_LEAST_DESCRIPTORS} are needed."
        )
    if limit < _USUAL_DESCRIPTORS:
        log.warning(
            "A limit of %d descriptors (ulimit -n, LimitNOFILE) is low: there is room for %d "
            "sockets.",
            limit,
            capacity(),
        )


class _Complaints:
    """The loop's exception handler. Out of descriptors, asyncio tries to accept as many connections
    as may wait, complains of each at length, and does so again a second later."""

    def __init__(self) -> None:
        self._full = Seldom(log)

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _TOO_MANY:
            self._full.warning("no connection can be accepted: %s", error.strerror)
        else:
            loop.default_exception_handler(context)


def _sole_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
