"""What the running node does beside its rules: sessions that end meanwhile, and outages."""

import asyncio

from presence_server.live.service import PresenceService
from presence_server.presence.members import Who
from presence_server.presence.records import OWN, Notes, Stay
from presence_server.presence.timing import DEAF
from presence_server.relay.memory import MemoryRelay
from testing.waiting import until
from tests.live.silent_wire import running, silent_observer

NAME = "00000000000000aa"
LEASE = 1.0


class Breakable(MemoryRelay):
    """A relay that a test can cut off."""

    cut = False

    def send(self, text: str, to: str | None = None) -> None:
        if not self.cut:
            super().send(text, to)


def service(relay: MemoryRelay) -> PresenceService:
    return PresenceService(NAME, relay, grace=8, lease=LEASE, heartbeat=20)


def test_a_session_that_ends_during_the_upgrade_gets_no_line() -> None:
    presence = service(MemoryRelay(NAME))
    presence.end("of a thief")
    observer = silent_observer(presence, "of a thief", "bob")
    assert not presence.connect(observer, Who("of a thief", "bob"))
    assert len(presence.hub) == 0 and "bob" not in presence.here


def test_nor_does_it_count_as_here_for_a_grace() -> None:
    presence = service(MemoryRelay(NAME))
    presence.end("of a thief")
    presence.claim(OWN, Who("of a thief", "bob"))
    assert "bob" not in presence.here


async def test_a_line_begins_with_the_status_that_it_brings() -> None:
    presence = service(MemoryRelay(NAME))
    observer = silent_observer(presence, "s", "bob")
    assert presence.connect(observer, Who("s", "bob"), None, "away")
    assert presence.here["bob"].status == "away"


async def test_a_node_that_only_writes_is_waited_for() -> None:
    presence, other = service(MemoryRelay(NAME)), "00000000000000bb"
    alice = Stay(OWN, "s", "alice", 1, "online", 1)
    presence.heed(Notes({other: 1}, {other: [alice]}, []), 0)
    meeting = asyncio.create_task(presence.meet())
    await asyncio.wait([meeting], timeout=0.3)
    assert not meeting.done(), "what it had not written yet may be still to come"
    presence.heed(Notes({other: 3}, {}, []), 1)
    await meeting
    assert "alice" in presence.here


async def test_after_an_outage_others_have_a_lease_to_make_themselves_heard() -> None:
    relay = Breakable(NAME)
    presence = service(relay)
    async with running(presence):
        await until(lambda: not presence.unheard)
        relay.cut = True
        await until(lambda: presence.degraded)
        relay.cut = False
        async with asyncio.timeout(15):
            while presence.degraded:
                last_degraded = asyncio.get_running_loop().time()
                await asyncio.sleep(0.01)
        await until(lambda: not presence.unheard)
        assert asyncio.get_running_loop().time() - last_degraded > 0.7 * DEAF * LEASE
