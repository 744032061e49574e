"""How much a change in one of many rooms makes a node do: counted, for time depends on caches."""

import asyncio
import gc
import sys
from collections import Counter
from types import FrameType

import pytest

from presence_server.apps import rooms
from presence_server.apps.rooms import AppRooms
from presence_server.live import service
from presence_server.live.dialects import PRESENCE_V1
from presence_server.live.observer import Observer
from presence_server.live.pacing import Budget
from presence_server.live.service import PresenceService
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.names import key_of, session_of
from presence_server.relay.memory import MemoryRelay
from tests.live.silent_wire import SilentWire, flushed

APP = 1
NAME = "00000000000000aa"
# No time passes: a node that stood still first sees to what came in meanwhile.
STILL = Moment(0.0, 1_800_000_000)


async def work(count: int) -> Counter[str]:
    """The functions that are called for one change, its flush and the tick that says it to other
    nodes, by their names."""
    presence = PresenceService(NAME, MemoryRelay(NAME), grace=8, lease=10, heartbeat=20)
    of_app = AppRooms(presence, most_people=100_000)
    people = [fill(of_app, f"room{number % count}", number) for number in range(10 * count)]
    presence.carry_out(presence.node.tick(STILL))
    flushing = asyncio.create_task(presence.hub.flushing.run())
    await flushed(presence.hub)
    called: Counter[str] = Counter()

    def note(frame: FrameType, event: str, arg: object) -> None:
        if event == "call":
            called[frame.f_code.co_qualname] += 1

    key, who = people[-1]
    # What earlier tests have left is not this work.
    gc.collect()
    gc.disable()
    sys.setprofile(note)
    of_app.describe(key, who.session, who.user, {"data": {"typing": True}})
    assert (await flushed(presence.hub)).writes == 10
    presence.carry_out(presence.node.tick(STILL))
    sys.setprofile(None)
    gc.enable()
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    return called


def fill(of_app: AppRooms, room: str, number: int) -> tuple[str, Who]:
    user = f"user{number}"
    key, who = key_of(APP, room), Who(session_of(APP, user), user)
    observer = Observer(
        session=who.session,
        user=user,
        room=of_app.get(APP, room),
        dialect=PRESENCE_V1,
        wire=SilentWire(),
    )
    of_app.observe(observer, None)
    of_app.appear(key, who, None)
    return key, who


async def test_a_change_is_as_much_work_with_many_rooms_as_with_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rooms, "moment", lambda: STILL)
    monkeypatch.setattr(service, "moment", lambda: STILL)
    monkeypatch.setattr(Budget, "wait", lambda budget, now: 0.0)
    one = await work(1)
    assert await work(100) == one
