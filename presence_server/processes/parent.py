"""The parent of several server processes: it starts them, starts again what dies, and ends them.

Each process has a queue of its own at every address, over which the kernel spreads those who come.
The parent holds it, too: nobody who waits there is lost when the process is replaced. Of a process
that died the queue is closed, so that those who come then are led to the others. A socket file has
one queue for all.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic_ns
from typing import NoReturn

from aiohttp import web

from presence_server import logs
from presence_server.config import Config
from presence_server.listening import Listener, beside, open_listeners, serve_at
from presence_server.manager import tell_manager
from presence_server.processes.operators import create_operators_app
from presence_server.processes.server import Server
from presence_server.processes.slot import GivenUp, Slot, worded
from presence_server.processes.valkey import Valkey, valkey_program

log = logging.getLogger(__name__)


def run(config: Config, arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT and return the exit status; SIGHUP replaces the processes.

    `arguments` are those of the command line, for the processes. What refuses the start is raised.
    """
    logs.take_what_nobody_catches()
    log.info("starting", extra={**config.summary(), "processes": config.processes})
    for risk in config.risks():
        log.warning(risk)
    with TemporaryDirectory(prefix="presence-") as folder:
        return asyncio.run(_Parent(config, arguments, Path(folder)).live())


class _Parent:
    def __init__(self, config: Config, arguments: Sequence[str], folder: Path) -> None:
        self._config = config
        # What comes last counts.
        self._arguments = [*arguments, "--processes=1"]
        self._folder = folder
        self._servers: dict[int, Slot] = {}
        self._queues: dict[int, list[Listener]] = {}
        self._valkey: Slot | None = None
        self._replacing = asyncio.Event()

    async def live(self) -> int:
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        assert me is not None
        stop = _Once(me.cancel)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        # nohup has it ignored.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self._replacing.set)
        status = 0
        try:
            # Closed before the servers end: who comes then is turned away, and finds others.
            with ExitStack() as listeners:
                status = await self._serve(listeners)
        except asyncio.CancelledError:
            log.info("stopping")
            tell_manager("STOPPING=1")
        except GivenUp as error:
            logs.say(str(error))
            status = error.status
        finally:
            stop.disarm()
            worst = await self._end()
        return status or min(worst, 1)

    async def _serve(self, stack: ExitStack) -> int:
        """Until somebody cancels it; before that only the status of a server that does not start,
        and has said why. Raises GivenUp."""
        if self._config.redis_url is None:
            await self._start_valkey()
        where = await self._open_slots(stack)
        # The first makes what is missing: database, keys.
        numbers = list(self._servers)
        for some in (numbers[:1], numbers[1:]):
            statuses = await asyncio.gather(*(self._servers[number].fill() for number in some))
            if failed := [status for status in statuses if status is not None]:
                return max(*failed, 1)
        lines = [f"Listening on {where}"]
        async with AsyncExitStack() as runners:
            if self._config.admin_port is not None:
                lines.append(await self._listen_to_operators(runners, stack))
            print("\n".join(lines), flush=True)
            tell_manager("READY=1")
            return await self._keep()

    async def _keep(self) -> NoReturn:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._replace())
                for slot in self._slots():
                    tasks.create_task(slot.keep())
        except ExceptionGroup as group:
            # One is enough: it ended the others.
            raise group.exceptions[0] from None
        raise RuntimeError("what keeps processes has ended")

    async def _replace(self) -> None:
        """One by one, as often as SIGHUP says."""
        while True:
            await self._replacing.wait()
            self._replacing.clear()
            log.info("replacing the processes one by one")
            tell_manager(f"RELOADING=1\nMONOTONIC_USEC={monotonic_ns() // 1000}")
            for slot in self._servers.values():
                if not await slot.replace():
                    break
            else:
                log.info("replaced all processes")
            tell_manager("READY=1")

    async def _start_valkey(self) -> None:
        start = partial(Valkey.start, valkey_program(), self._folder)
        self._valkey = Slot("Valkey", start)
        self._arguments.append(f"--redis-url={Valkey.url(self._folder)}")
        status = await self._valkey.fill()
        if status is not None:
            raise GivenUp(f"Valkey does not start: it has ended {worded(status)}.", 1)

    async def _open_slots(self, stack: ExitStack) -> str:
        config = self._config
        flags = "--host and --port"
        opened = await open_listeners(
            stack, config.host, config.port, flags, reuse_port=config.reuse_port
        )
        for listener in opened.listeners:
            stack.enter_context(listener)
        for number in range(1, config.processes + 1):
            self._queues[number] = list(map(beside, opened.listeners))
            start, leave = partial(self._start_server, number), partial(self._renew, number)
            self._servers[number] = Slot(f"Process {number}", start, leave)
        stack.callback(self._close_queues)
        return opened.where

    async def _start_server(self, number: int) -> Server:
        return await Server.start(number, self._arguments, self._queues[number], self._folder)

    def _renew(self, number: int) -> None:
        """Of a process that is no more: whoever waits there is turned away, and finds another."""
        former = self._queues[number]
        with ExitStack() as begun:
            try:
                queues = [begun.enter_context(beside(listener)) for listener in former]
            except OSError as error:
                # They wait for the process that is started next.
                log.error("Process %d keeps its queue and who waits in it: %s.", number, error)
                return
            begun.pop_all()
        self._queues[number] = queues
        for listener in former:
            listener.close()

    def _close_queues(self) -> None:
        for listener in chain(*self._queues.values()):
            listener.close()

    async def _listen_to_operators(self, runners: AsyncExitStack, stack: ExitStack) -> str:
        config = self._config
        runner = web.AppRunner(create_operators_app(config, self._places), access_log=None)
        runners.push_async_callback(runner.cleanup)
        await runner.setup()
        flags = "--admin-host and --admin-port"
        opened = await open_listeners(stack, config.admin_host, config.admin_port or 0, flags)
        await serve_at(runner, opened, flags)
        return f"Operators' pages on {opened.where}"

    def _places(self) -> dict[int, Path | None]:
        found: dict[int, Path | None] = {}
        for number, slot in self._servers.items():
            server = slot.current
            assert isinstance(server, Server)
            found[number] = server.operators if server.serves else None
        return found

    def _slots(self) -> list[Slot]:
        return [*self._servers.values(), *filter(None, [self._valkey])]

    async def _end(self) -> int:
        """The servers first: they say goodbye over Redis. The worst exit status of them."""
        statuses = await asyncio.gather(*(slot.end() for slot in self._servers.values()))
        if self._valkey is not None:
            await self._valkey.end()
        return max(statuses, default=0)


class _Once:
    """A second signal must not interrupt the end."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._done = False
        self._act = act

    def __call__(self) -> None:
        if not self._done:
            self._done = True
            self._act()

    def disarm(self) -> None:
        """Not even a first one, from now on."""
        self._done = True
