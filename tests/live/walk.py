"""A random walk over a real server: `python -m tests.live.walk --seed 7`.

People log in, open tabs, reload, close and lose them, go away, come back with cursors, send rubbish
and log out, several at once, while an observer in each dialect reads all that it is told. The same
account of the sessions that judges the model says what they may be told. Who does what depends on
the seed alone.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from itertools import cycle
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp

from testing.meters import open_sockets
from testing.populate import populate
from presence_server.config import Config
from presence_server.presence.states import Status
from tests.live.stories import Act, Story
from tests.live.tab import WITHIN, Tab
from testing.processes import ServerProcess
from testing.raw_peer import RawPeer
from testing.visitor import Visitor

GRACE = 1.2
# Rule 8: an ended session is ended everywhere by then.
ENDED_WITHIN = 1.0
# Who walks, with which devices.
_WALKERS = {"walker0": ["laptop"], "walker1": ["laptop"], "walker2": ["laptop", "phone"]}
_MOST_TABS = 3
# A socket may say only so much, so that several take turns.
_BELLS = 8
# What is no message, with the code that closes the socket.
_RUBBISH = [(0x81, b"{", 1007), (0x81, b'{"type":1}', 1007), (0x82, b"x", 1003), (0x83, b"x", 1002)]
_PAUSES = [0] * 13 + [0.05, 0.1, 0.3, GRACE / 2, GRACE - 0.05, GRACE + 0.1, GRACE + 0.1]


class Device:
    """A browser of somebody's."""

    def __init__(self, visitor: Visitor, username: str, name: str) -> None:
        self.visitor = visitor
        self.username = username
        self.name = name
        self.log_ins = 0
        self.is_in = False
        self.csrf_token = ""
        self.tabs: list[Tab] = []
        self.connections = 0
        # The last one that was closed, for its cursor.
        self.before: Tab | None = None

    @property
    def session(self) -> str:
        return f"{self.name} {self.log_ins}"

    def number(self) -> int:
        self.connections += 1
        return self.connections


class Walk:
    """One walk over a server of its own that has an admin port and the grace of this module."""

    def __init__(self, server: ServerProcess, seed: int, acts: int) -> None:
        self.checks = 0
        # The longest that news took, and the end of sockets whose session had ended; in seconds.
        self.slowest_news = 0.0
        self.slowest_end = 0.0
        self._server = server
        self._seed = seed
        self._acts = acts
        self._random = random.Random(seed)
        self._done: list[str] = []
        self._stories: dict[str, Story] = {}
        self._devices: list[Device] = []
        self._heard, self._heard_plainly = Tab(False), Tab(True)
        self._bells = [Tab(False) for _ in range(_BELLS)]
        self._rings = cycle(
            [(number, status) for status in ("away", "online") for number in range(_BELLS)]
        )
        self._sockets = 0
        self._standstills = 0

    async def run(self) -> None:
        """AssertionError says what rule does not hold, after what, and how to see it again."""
        pid = self._server.pid
        before = open_sockets(pid)
        try:
            async with AsyncExitStack() as stack:
                await self._begin(stack)
                while len(self._done) < self._acts:
                    await self._step()
                await self._leave()
            await self._until(lambda: open_sockets(pid) <= before, "I10: no descriptors left")
            assert "Traceback" not in self._server.log, self._server.log
        except Exception as error:
            raise AssertionError(f"{error!r}\n{self._report()}") from error

    def _report(self) -> str:
        last = "\n".join(self._done[-40:])
        again = f"python -m tests.live.walk --seed {self._seed} --acts {self._acts}"
        return f"after {len(self._done)} acts, the last of which:\n{last}\nagain: {again}"

    async def _begin(self, stack: AsyncExitStack) -> None:
        config = Config(database=Path(str(self._server.flags["database"])))
        await populate(config, "walker", len(_WALKERS), 0)
        observers = [*self._bells, self._heard, self._heard_plainly]
        cookies = await populate(config, "observer", len(observers), len(observers))
        http = await stack.enter_async_context(
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        )
        for tab, cookie in zip(observers, cookies, strict=True):
            await self._open(tab, http, headers={"Cookie": cookie})
        for username, names in _WALKERS.items():
            self._stories[username] = Story(username, GRACE)
            for name in names:
                visitor = await stack.enter_async_context(Visitor.at(self._server.url))
                self._devices.append(Device(visitor, username, f"{username}'s {name}"))
        await self._check()

    async def _open(self, tab: Tab, http: aiohttp.ClientSession, **options: Any) -> None:
        await tab.open(http, self._server.url, **options)
        self._sockets += 1

    async def _step(self) -> None:
        names = self._random.sample(list(self._stories), self._random.choice([1, 1, 1, 2, 3]))
        # All is drawn before anything happens: what happens may take its time.
        plans = [self._plan(name) for name in names]
        check, pause = self._random.random() < 0.7, self._random.choice(_PAUSES)
        self._done += [words for words, _, _ in plans]
        if any(alone for _, alone, _ in plans):
            for _, _, act in plans:
                await act()
                await self._sockets_are_counted()
        else:
            await asyncio.gather(*(act() for _, _, act in plans))
            await self._sockets_are_counted()
        if check:
            await self._check()
        await asyncio.sleep(pause)

    def _plan(self, username: str) -> tuple[str, bool, Callable[[], Awaitable[None]]]:
        """What somebody does next: in words, whether nothing else may happen, and the act."""
        device = self._random.choice([d for d in self._devices if d.username == username])
        acts: dict[Callable[..., Awaitable[None]], int] = {self._log_in: 1}
        if device.is_in:
            acts = {self._open_list: 2, self._log_out: 2, self._end_others: 1, self._rubbish: 1}
            if len(device.tabs) < _MOST_TABS:
                acts |= {self._open_tab: 5, self._open_plain_tab: 3, self._come_back: 3}
            if device.tabs:
                acts |= {self._close_tab: 3, self._lose_tab: 3, self._reload: 4, self._close_all: 2}
                acts |= {self._say: 5, self._choose: 2}
            if any(not tab.tutorial for tab in device.tabs):
                acts |= {self._watch: 4}
        (act,) = self._random.choices(list(acts), list(acts.values()))
        draw = self._random.randrange(12)
        words = f"{device.session}:{act.__name__.replace('_', ' ')} ({draw})"
        # The end of these shows only in the number of sockets.
        alone = act in (self._lose_tab, self._rubbish)
        return words, alone, lambda: act(device, draw)

    # What people do

    def _happen(self, device: Device, begun: float, act: Act) -> None:
        self._stories[device.username].happen(act, begun)

    async def _log_in(self, device: Device, draw: int) -> None:
        begun = monotonic()
        device.log_ins += 1
        answer = await device.visitor.log_in(device.username)
        assert answer.status == 303, answer.text
        device.is_in = True
        await self._show_list(device, begun)

    async def _open_list(self, device: Device, draw: int) -> None:
        await self._show_list(device, monotonic())

    async def _show_list(self, device: Device, begun: float) -> None:
        page = await device.visitor.get("/")
        assert page.status == 200, page.text
        shown = [f"{device.username}: {word}" in page.text for word in ("Online", "Away")]
        assert sum(shown) == 1, "rule 2: not here on one's own list"
        device.csrf_token = page.csrf_token
        session, name = device.session, device.username
        self._happen(device, begun, lambda truth, now: truth.claim(session, name, now))

    async def _log_out(self, device: Device, draw: int) -> None:
        begun = monotonic()
        answer = await device.visitor.post("/log_out/", {"csrf_token": device.csrf_token})
        assert (answer.status, answer.location) == (303, "/log_in/"), answer.text
        await self._is_ended(device, begun)

    async def _end_others(self, device: Device, draw: int) -> None:
        begun = monotonic()
        fields = {"csrf_token": device.csrf_token, "device": "others"}
        answer = await device.visitor.post("/account/end", fields)
        assert (answer.status, answer.location) == (303, "/account/"), answer.text
        for other in self._devices:
            if other.username == device.username and other is not device:
                await self._is_ended(other, begun)

    async def _is_ended(self, device: Device, begun: float) -> None:
        session, tabs, answered = device.session, device.tabs, monotonic()
        codes = [await tab.ended() for tab in tabs]
        assert codes == [4401] * len(tabs), f"rule 8: closed with {codes}"
        if tabs:
            self.slowest_end = max(self.slowest_end, monotonic() - answered)
        self._sockets -= len(tabs)
        device.tabs, device.is_in = [], False

        def end(truth: Any, now: float) -> None:
            held = truth.sessions.get(session)
            if tabs:
                truth.end(session)
            elif held is not None:
                # Nothing shows when this has been read, but soon it has been.
                held.until = min(held.until, answered + ENDED_WITHIN)

        self._happen(device, begun, end)
        self._stories[device.username].may_be_over(session, begun)

    async def _open_tab(self, device: Device, draw: int) -> None:
        await self._come(device, Tab(False))

    async def _open_plain_tab(self, device: Device, draw: int) -> None:
        await self._come(device, Tab(True))

    async def _come_back(self, device: Device, draw: int) -> None:
        """With a cursor, if there is one."""
        before, device.before = device.before, None
        if before is not None and before.view is not None:
            await self._come_back_watching(device, before)
            return
        tab = Tab(False, before)
        await self._come(device, tab)
        assert tab.first is not None
        right = "changes" if before else "snapshot"
        assert tab.first["type"] == right, f"{tab.first} instead of {right}"

    async def _come_back_watching(self, device: Device, before: Tab) -> None:
        tab = Tab(False)
        await self._come(device, tab, "watch=some")
        assert not tab.people
        await tab.watch_again(before)

    async def _watch(self, device: Device, draw: int) -> None:
        """Some of those who walk, or everybody again."""
        tabs = [tab for tab in device.tabs if not tab.tutorial]
        some = [name for number, name in enumerate(_WALKERS) if draw >> number & 1]
        await tabs[draw % len(tabs)].watch(some if draw < 9 else None)

    async def _come(self, device: Device, tab: Tab, query: str = "") -> None:
        begun = monotonic()
        tab.number = device.number()
        await self._open(tab, device.visitor.http, query=query)
        device.tabs.append(tab)
        session, name = device.session, device.username
        self._happen(device, begun, lambda truth, now: truth.open(session, name, tab.number))
        if tab.tutorial:
            await tab.until(lambda: name in tab.people, "oneself")
        assert query or name in tab.people, "I6: people see themselves first"

    async def _close_tab(self, device: Device, draw: int) -> None:
        await self._go(device, device.tabs[draw % len(device.tabs)], Tab.close)

    async def _lose_tab(self, device: Device, draw: int) -> None:
        await self._go(device, device.tabs[draw % len(device.tabs)], Tab.lose)

    async def _close_all(self, device: Device, draw: int) -> None:
        for tab in list(device.tabs):
            await self._go(device, tab, Tab.close)

    async def _go(self, device: Device, tab: Tab, how: Callable[[Tab], Awaitable[None]]) -> None:
        begun = monotonic()
        device.tabs.remove(tab)
        await how(tab)
        self._sockets -= 1
        if how is Tab.lose:
            await self._sockets_are_counted()
        if not tab.tutorial:
            device.before = tab
        session, number = device.session, tab.number
        self._happen(device, begun, lambda truth, now: truth.close(session, number, now))

    async def _reload(self, device: Device, draw: int) -> None:
        tab = device.tabs[draw % len(device.tabs)]
        await self._go(device, tab, Tab.close)
        await self._show_list(device, monotonic())
        await self._come(device, Tab(tab.tutorial))

    async def _say(self, device: Device, draw: int) -> None:
        tab = device.tabs[draw % len(device.tabs)]
        status: Status = "online" if draw % 4 == 3 else "away"
        begun = monotonic()
        await tab.say(status)
        await tab.catch_up()
        session, number = device.session, tab.number
        self._happen(device, begun, lambda truth, now: truth.say(session, number, status))

    async def _choose(self, device: Device, draw: int) -> None:
        tab = device.tabs[draw % len(device.tabs)]
        status: Status = "online" if draw % 2 else "away"
        begun = monotonic()
        await tab.say(status, scope="user")
        await tab.catch_up()
        name = device.username
        self._happen(device, begun, lambda truth, now: truth.choose(name, status))

    async def _rubbish(self, device: Device, draw: int) -> None:
        """A further tab sends what is no message, and loses its socket by it."""
        session, name, number = device.session, device.username, device.number()
        first, payload, code = _RUBBISH[draw % len(_RUBBISH)]
        begun = monotonic()
        async with RawPeer.of(device.visitor) as peer:
            await peer.frame()
            self._happen(device, begun, lambda truth, now: truth.open(session, name, number))
            begun = monotonic()
            peer.write(bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
            async with asyncio.timeout(WITHIN):
                closed = await peer.close_code()
                assert closed == code, f"closed with {closed} instead of {code}"
                peer.write(bytes([0x88, 0x82, 0, 0, 0, 0]) + code.to_bytes(2, "big"))
                # The server ends the line when it has let go of the connection.
                with suppress(ConnectionError):
                    await peer.reader.read()
        self._happen(device, begun, lambda truth, now: truth.close(session, number, now))

    # What they are told

    async def _check(self) -> None:
        """All that is told is explained, and all that must be told is."""
        self.checks += 1
        deadline = monotonic() + WITHIN
        while True:
            await self._ring()
            self._doubt_after_a_standstill()
            for story in self._stories.values():
                told = self._told(story)
                assert story.explains(*told), f"falsely told: {self._trouble(story)}"
                assert story.is_told(*told), f"not told: {self._trouble(story)}"
            late = [story for story in self._stories.values() if not story.is_on_time()]
            if not late:
                break
            assert monotonic() < deadline, f"here too long: {', '.join(map(self._trouble, late))}"
            await asyncio.sleep(0.05)
        for story in self._stories.values():
            story.go_on()
        self._heard.told.clear()
        self._heard_plainly.told.clear()
        await self._compare()

    def _told(self, story: Story) -> tuple[Sequence[str], Sequence[str]]:
        name = story.username
        return self._heard.told[name], self._heard_plainly.told[name]

    def _trouble(self, story: Story) -> str:
        return f"{story}, told were {' and '.join(map(str, self._told(story)))}"

    async def _ring(self) -> None:
        """Until the observers have read what came of all that happened before."""
        begun = monotonic()
        number, status = next(self._rings)
        name = f"observer{number}"
        await self._bells[number].say("away" if status == "away" else "online")
        await self._heard.until(
            lambda: self._heard.people[name][0] == status, f"{name} being {status}"
        )
        self.slowest_news = max(self.slowest_news, monotonic() - begun)
        # What the same flush had for the other is written by now.
        await self._heard_plainly.catch_up()

    def _doubt_after_a_standstill(self) -> None:
        standstills = self._server.log.count("stood still")
        if standstills > self._standstills:
            self._standstills = standstills
            for story in self._stories.values():
                story.doubt()

    async def _compare(self) -> None:
        """A tab of anybody's shows what the observer shows."""
        tabs = [tab for device in self._devices for tab in device.tabs]
        if not tabs:
            return
        tab = self._random.choice(tabs)
        await tab.catch_up()
        right = self._heard_plainly if tab.tutorial else self._heard
        await right.catch_up()
        for name, story in self._stories.items():
            if tab.view is not None and name not in tab.view:
                assert name not in tab.people, f"{name} is told of and not watched"
                continue
            shown, expected = tab.people.get(name), right.people.get(name)
            # A grace may end in between.
            assert shown == expected or not story.is_sure(), (
                f"I5: a tab shows {name} as {shown}, the observer as {expected}"
            )

    async def _leave(self) -> None:
        """Everybody goes, and nothing is left of them."""
        self._done.append("all go")
        for device in self._devices:
            await self._close_all(device, 0)
        await asyncio.sleep(GRACE)
        await self._check()
        here = self._heard.people.keys() & self._stories.keys()
        assert not here, f"I3: {here} are still here"
        for tab in [*self._bells, self._heard, self._heard_plainly]:
            await tab.close()
            self._sockets -= 1
        await self._sockets_are_counted()

    async def _sockets_are_counted(self) -> None:
        async with aiohttp.ClientSession() as http:
            deadline = monotonic() + WITHIN
            while (counted := await self._counted(http)) != self._sockets:
                assert monotonic() < deadline, f"I10: {counted} sockets, not {self._sockets}"
                await asyncio.sleep(0.01)

    async def _counted(self, http: aiohttp.ClientSession) -> int:
        async with http.get(f"{self._server.admin_url}/roster") as answer:
            sockets: int = (await answer.json())["sockets"]
            return sockets

    async def _until(self, true: Callable[[], bool], what: str) -> None:
        deadline = monotonic() + WITHIN
        while not true():
            assert monotonic() < deadline, what
            await asyncio.sleep(0.05)


def flags(**more: object) -> dict[str, object]:
    """What the server is to be started with."""
    return {"grace": GRACE, "admin_port": 0, "max_sockets_per_address": 0, **more}


async def _walk(seed: int, acts: int) -> bool:
    """Walk over a server of its own, and print one line; False if a rule does not hold."""
    with tempfile.TemporaryDirectory(prefix="walk-") as folder:
        server = ServerProcess(Path(folder), "walk", **flags())
        begun = monotonic()
        try:
            await server.start()
            walk = Walk(server, seed, acts)
            await walk.run()
        except AssertionError as broken:
            print(f"seed {seed}: BROKEN: {broken}", flush=True)
            return False
        finally:
            await server.kill()
        print(
            f"seed {seed}: ok, {acts} acts and {walk.checks} checks in {monotonic() - begun:.0f} s,"
            f" news after at most {walk.slowest_news:.2f} s,"
            f" ended sockets closed after at most {walk.slowest_end:.2f} s",
            flush=True,
        )
        return True


async def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.live.walk", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first walk")
    parser.add_argument("--acts", type=int, default=1000, help="of each walk")
    parser.add_argument("--walks", type=int, default=1, help="so many, with further seeds")
    options = parser.parse_args(argv)
    seeds = range(options.seed, options.seed + options.walks)
    right = [await _walk(seed, options.acts) for seed in seeds]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
