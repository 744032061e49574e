"""A background task of the server fails, or is cancelled by what it waits for."""

import asyncio
import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from drill.figures import Faults, Figures
from drill.saboteur import FAILURE
from testing.processes import ServerProcess
from testing.redis_server import RedisServer, lasting_port

faults = Faults()

TASKS = (
    "presence",
    "hub",
    "flush",
    "rounds",
    "count",
    "heartbeat",
    "watch lagging observers",
    "presence clock",
    "presence ticks",
    "presence after pauses",
    "relay",
    "relay: publish",
    "relay: listen",
    "relay: watch",
    "endings",
    "store",
    "write who is here",
    "read notes",
    "upkeep of sessions",
    "crowds",
    "apps",
    "duty",
    "webhooks",
    "visits",
    "follow visits",
    "write visits",
    "pulse",
    "profiles",
    "watchdog",
)
FAILED = 1
ENDED = "ended by an error"


@faults.add(
    "F26",
    f"each of the {len(TASKS)} background tasks fails, or is cancelled by what it waits for",
    promised="none dies unseen: the process ends within 5 s, with status 1, and says why",
    seconds=60,
    alone=True,
)
async def tasks_end(figures: Figures) -> None:
    redis = RedisServer(port=lasting_port())
    seconds: list[float] = []
    try:
        await asyncio.to_thread(redis.start)
        with TemporaryDirectory(prefix="drill-") as folder:
            for how in ("fail", "cancel"):
                for start in range(0, len(TASKS), 3):
                    seconds += await asyncio.gather(
                        *(
                            _end(figures, Path(folder), redis.url, task, how)
                            for task in TASKS[start : start + 3]
                        )
                    )
    finally:
        redis.remove()
    figures.at_most("ended after", max(seconds), 5 * figures.slack)


async def _end(figures: Figures, folder: Path, redis_url: str, task: str, how: str) -> float:
    name = f"{task.replace(': ', '-').replace(' ', '-')}-{how}"
    database = folder / f"{name}.sqlite3"
    server = ServerProcess(folder, name, database=database, redis_url=redis_url)
    server.module = "drill.saboteur"
    server.environment = {"DRILL_TASK": task, "DRILL_TASK_END": how}
    await server.start()
    begun = monotonic()
    os.kill(server.pid, signal.SIGUSR2)
    try:
        status = await server.ended()
    except TimeoutError:
        figures.holds(f"{task}, {how}: the process ends", False, f"no; its log:\n{server.log}")
        return 0.0
    finally:
        await server.kill()
    figures.holds(f"{task}, {how}: status 1", status == FAILED, status)
    why = FAILURE if how == "fail" else task
    said = ENDED in server.log and why in server.log
    figures.holds(f"{task}, {how}: the log says so, and why", said, f"no:\n{server.log}")
    return monotonic() - begun
