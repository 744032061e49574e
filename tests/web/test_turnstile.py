"""How many requests begin, or go on, in one turn of the event loop."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, web

from presence_server.accounts import users
from presence_server.app import create_admin_app, create_app
from presence_server.config import Config
from presence_server.crowd import Crowd
from presence_server.keys import PRESENCE
from presence_server.web.runner import Runner
from presence_server.web.turnstile import _GONE_IN_ONE_TURN, _IN_ONE_TURN, TURNSTILE, Turnstile
from testing.waiting import until
from tests.conftest import Serve, Visit


async def test_a_crowd_comes_in_by_turns_and_in_its_order() -> None:
    turnstile = Turnstile(Crowd())
    turn, entered = 0, []

    async def enter(number: int) -> None:
        await turnstile.enter(lambda: False)
        entered.append((turn, number))

    crowd = [asyncio.ensure_future(enter(number)) for number in range(20 * _IN_ONE_TURN)]
    while not all(task.done() for task in crowd):
        await asyncio.sleep(0)
        turn += 1
    assert [number for _, number in entered] == list(range(len(crowd)))
    in_each = [[at for at, _ in entered].count(one) for one in range(turn + 1)]
    assert max(in_each) <= _IN_ONE_TURN
    # And who comes alone comes in at once.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.wait_for(turnstile.enter(lambda: False), 15)


async def test_those_who_go_on_come_first_and_share_the_room() -> None:
    turnstile = Turnstile(Crowd())
    turn, passed = 0, []

    async def answer(number: int) -> None:
        await turnstile.enter(lambda: False)
        passed.append((turn, "began", number))
        # As a database does: what all of them wait for comes at once.
        await read.wait()
        await turnstile.go_on()
        passed.append((turn, "went on", number))

    read = asyncio.Event()
    crowd = [asyncio.ensure_future(answer(number)) for number in range(10 * _IN_ONE_TURN)]
    while not all(task.done() for task in crowd):
        await asyncio.sleep(0)
        turn += 1
        if len(passed) == 5 * _IN_ONE_TURN:
            read.set()
    in_each = [[at for at, *_ in passed].count(one) for one in range(turn + 1)]
    assert max(in_each) <= _IN_ONE_TURN
    went_on = [at for at, what, _ in passed if what == "went on"]
    began_last = max(at for at, what, _ in passed if what == "began")
    assert went_on == sorted(went_on) and sum(at < began_last for at in went_on) >= len(crowd) / 2


async def test_it_is_noted_for_how_long_people_wait() -> None:
    waits: list[float] = []

    class Noted(Crowd):
        def note(self, since: float, now: float) -> None:
            waits.append(now - since)

    turnstile = Turnstile(Noted())
    crowd = [
        asyncio.ensure_future(turnstile.enter(lambda: False)) for _ in range(3 * _IN_ONE_TURN)
    ]
    await asyncio.sleep(0)
    time.sleep(0.1)
    await asyncio.gather(*crowd)
    assert len(waits) == 2 * _IN_ONE_TURN and all(0.1 <= wait < 10 for wait in waits)


async def test_those_who_are_gone_take_little_room() -> None:
    turnstile = Turnstile(Crowd())
    crowd = 10 * _GONE_IN_ONE_TURN
    gone = [asyncio.ensure_future(turnstile.enter(lambda: True)) for _ in range(crowd)]
    last = asyncio.ensure_future(turnstile.enter(lambda: False))
    in_each = [0]
    while not last.done():
        await asyncio.sleep(0)
        in_each.append(sum(task.done() for task in gone))
    assert in_each[-1] == crowd and len(in_each) < 20
    most = max(now - before for before, now in pairwise(in_each))
    assert most <= _GONE_IN_ONE_TURN


async def test_lists_for_programs_are_made_by_turns(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(max_sockets_per_address=0)
    alice = await visit(server, "alice")
    read = asyncio.Event()
    turn, asked, made_in = 0, 0, Counter[int]()

    async def page(*values: Any) -> list[tuple[str, None]]:
        nonlocal asked
        asked += 1
        # What all of them wait for comes in one turn.
        await read.wait()
        return [("bob", None)]

    def left(username: str) -> None:
        made_in[turn] += 1

    monkeypatch.setattr(users, "page", page)
    monkeypatch.setattr(server.app[PRESENCE], "left", left)
    crowd = [asyncio.ensure_future(alice.get("/api/users")) for _ in range(10 * _IN_ONE_TURN)]
    await until(lambda: asked == len(crowd))
    read.set()
    while not all(task.done() for task in crowd):
        turn += 1
        await asyncio.sleep(0)
    assert {task.result().status for task in crowd} == {200}
    assert made_in.total() == len(crowd) and max(made_in.values()) <= _IN_ONE_TURN


async def test_operators_do_not_stand_in_the_line_of_a_crowd(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_over = asyncio.Event()

    async def enter(_: object) -> None:
        await is_over.wait()

    app = create_app(config())
    monkeypatch.setattr(app[TURNSTILE], "enter", enter)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(ClientSession(timeout=ClientTimeout(10)))
        pages, operators = [
            await _listen(stack, Runner(each, keepalive_timeout=15, shutdown_timeout=1))
            for each in (app, create_admin_app(app))
        ]
        waiting = asyncio.create_task(http.get(f"{pages}/readyz"))
        async with http.get(f"{operators}/readyz") as answer:
            assert answer.status == 200
        assert not waiting.done()
        is_over.set()
        async with await waiting as answer:
            assert answer.status == 200


async def _listen(stack: AsyncExitStack, runner: Runner) -> str:
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"
