"""The server with faults of its own: `python -m drill.saboteur` takes the same flags.

DRILL_CLOCK_SKEW    seconds by which its clock is wrong
DRILL_STALL         SIGUSR1: its event loop stands still for so many seconds
DRILL_TASK          SIGUSR2: what the background task of this name waits for fails, or with
DRILL_TASK_END      `cancel`: is cancelled
DRILL_NEWER         it speaks as a later version would: further fields, further kinds of letters
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from presence_server.storage.database import Database

FAILURE = "failed by the drill"
REAL_TIME = time.time


def skew_clock(seconds: float) -> None:
    time.time = lambda: REAL_TIME() + seconds


def stall(number: int, frame: FrameType | None) -> None:
    time.sleep(float(os.environ["DRILL_STALL"]))


def end_task(number: int, frame: FrameType | None) -> None:
    name = os.environ["DRILL_TASK"]
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == name)
    asyncio.get_running_loop().call_soon_threadsafe(_end, task)


def _end(task: asyncio.Task[Any]) -> None:
    # What a task waits for, and what comes in this turn, is known to nobody but asyncio itself.
    private: Any = task
    waiter: asyncio.Future[Any] | None = private._fut_waiter
    loop = asyncio.get_running_loop()
    if waiter is None or waiter.done() or _timer_due(loop) or _is_at_the_database(task):
        loop.call_soon(_end, task)
    elif os.environ["DRILL_TASK_END"] == "cancel":
        waiter.cancel()
    else:
        waiter.set_exception(RuntimeError(FAILURE))


def _is_at_the_database(task: asyncio.Task[Any]) -> bool:
    # What fails there is told, counted and outlived.
    awaited: Any = task.get_coro()
    while awaited is not None:
        if getattr(awaited, "__name__", "") == Database.attempt.__name__:
            return True
        awaited = getattr(awaited, "cr_await", None)
    return False


def _timer_due(loop: asyncio.AbstractEventLoop) -> bool:
    # A timeout that runs out in the turn of the blow takes it: of the two the task is shown the
    # timeout alone, and it rightly goes on.
    private: Any = loop
    return any(isinstance(handle, asyncio.TimerHandle) for handle in private._ready)


def speak_newer() -> None:
    from presence_server.presence import writing

    encode: Callable[[Any], str] = writing._encode

    def encode_newer(value: Any) -> str:
        # Parts of letters are encoded for their size alone.
        further = {"colour": {"of": ["a", "later", "version"]}}
        return encode(value | further if isinstance(value, dict) else value)

    writing._encode = encode_newer

    from presence_server.relay.redis import RedisRelay

    send = RedisRelay.send

    def send_more(self: RedisRelay, text: str, to: str | None = None) -> None:
        node = json.loads(text)["node"]
        send(self, json.dumps({"kind": "wave", "node": node, "hands": 2}), to)
        send(self, text, to)

    RedisRelay.send = send_more  # type: ignore[method-assign]  # whatever relay is made


def main() -> int:
    skew_clock(float(os.environ.get("DRILL_CLOCK_SKEW", 0)))
    if "DRILL_STALL" in os.environ:
        signal.signal(signal.SIGUSR1, stall)
    if "DRILL_TASK" in os.environ:
        signal.signal(signal.SIGUSR2, end_task)
    if "DRILL_NEWER" in os.environ:
        speak_newer()
    from presence_server.cli import main as serve

    return serve()


if __name__ == "__main__":
    sys.exit(main())
