"""The rules of presence as people see them; what all else rests on however the site is run."""

import time
from collections.abc import Awaitable, Callable
from itertools import count

import pytest

from presence_server.keys import CROWD
from tests.conftest import Serve, Visit
from tests.live.conftest import OpenSite, every_way
from testing.processes import ServerProcess
from testing.visitor import LiveSocket, Message
from testing.waiting import STALL

# And not a grace later, which is long where this is asked; the second itself is measured alone.
AT_ONCE = 15

AllIsTold = Callable[[LiveSocket, ServerProcess], Awaitable[None]]


def said_of(socket: LiveSocket, username: str) -> list[str]:
    """The statuses that a socket was told of a user, in order."""
    return [
        status
        for message in socket.received
        for status in ("online", "away", "offline", "deleted")
        if username in message.get(status, {})
    ]


@pytest.fixture
def all_is_told(visit: Visit) -> AllIsTold:
    """Waits until an observer must have heard of all that has happened at a door so far.

    Somebody else comes in there: news of one node keep their order.
    """
    names = (f"passer-by-{number}" for number in count(1))

    async def wait(observer: LiveSocket, door: ServerProcess) -> None:
        name = next(names)
        passer_by = await visit(door, name)
        async with passer_by.live():
            await observer.sees(name, "online")

    return wait


@every_way
async def test_both_see_each_other_come_and_go(open_site: OpenSite, visit: Visit) -> None:
    site = await open_site(grace=0.2)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    async with alice.live() as of_alice:
        await of_alice.sees("alice", "online")
        async with bob.live() as of_bob:
            await of_bob.sees("alice", "online")
            await of_bob.sees("bob", "online")
            await of_alice.sees("bob", "online")
        await of_alice.sees("bob", "offline")
        async with bob.live():
            await of_alice.sees("bob", "online")


@every_way
async def test_the_tutorials_socket_tells_the_same(open_site: OpenSite, visit: Visit) -> None:
    site = await open_site(grace=0.2)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    async with alice.tutorial() as of_alice:
        await of_alice.sees("alice", True)
        async with bob.tutorial() as of_bob:
            await of_bob.sees("alice", True)
            await of_alice.sees("bob", True)
        await of_alice.sees("bob", False)


async def test_away_counts_as_here_in_the_tutorials_socket(
    open_site: OpenSite, visit: Visit
) -> None:
    site = await open_site(grace=30)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    async with alice.tutorial() as tutorial, alice.live() as live, bob.live() as of_bob:
        await live.sees("bob", "online")
        await tutorial.sees("bob", True)
        await of_bob.send({"type": "status", "status": "away"})
        await live.sees("bob", "away")
        await bob.log_out()
        await tutorial.sees("bob", False)
    told = [m["is_logged_in"] for m in tutorial.received if m["username"] == "bob"]
    assert told == [True, False]


async def test_closing_two_of_three_tabs_changes_nothing(
    open_site: OpenSite, visit: Visit, all_is_told: AllIsTold
) -> None:
    site = await open_site(grace=0)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    async with alice.live() as of_alice:
        async with bob.live(), bob.live() as second, bob.live() as third:
            await of_alice.sees("bob", "online")
            await second.raw.close()
            await third.raw.close()
            await all_is_told(of_alice, site.there)
            assert said_of(of_alice, "bob") == ["online"]
        await of_alice.sees("bob", "offline")
        assert said_of(of_alice, "bob") == ["online", "offline"]


async def test_tabs_at_different_nodes_are_one_user(
    open_site: OpenSite, visit: Visit, all_is_told: AllIsTold
) -> None:
    site = await open_site(grace=0)
    alice, bob = await visit(site.here, "alice"), await visit(site.here, "bob")
    elsewhere = await visit(site.there)
    await elsewhere.log_in("bob")
    async with alice.live() as of_alice:
        async with elsewhere.live():
            await of_alice.sees("bob", "online")
            async with bob.live() as of_bob:
                await of_bob.sees("bob", "online")
            await all_is_told(of_alice, site.here)
            assert said_of(of_alice, "bob") == ["online"]
        await of_alice.sees("bob", "offline")


@every_way
async def test_a_reload_within_the_grace_is_no_event(
    open_site: OpenSite, visit: Visit, all_is_told: AllIsTold
) -> None:
    site = await open_site(grace=30)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    async with alice.live() as of_alice:
        async with bob.live():
            await of_alice.sees("bob", "online")
        async with bob.live() as again:
            await again.sees("alice", "online")
            await all_is_told(of_alice, site.there)
        assert said_of(of_alice, "bob") == ["online"]


@every_way
async def test_who_leaves_is_gone_at_once_unless_another_line_stays(
    open_site: OpenSite, visit: Visit, all_is_told: AllIsTold
) -> None:
    site = await open_site(grace=60)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    async with alice.live() as of_alice, bob.live() as first, bob.live() as second:
        await of_alice.sees("bob", "online")
        await first.send({"type": "leave"})
        assert await first.closed() == 1000
        await all_is_told(of_alice, site.there)
        assert said_of(of_alice, "bob") == ["online"]
        await second.send({"type": "leave"})
        assert await second.closed() == 1000
        await of_alice.sees("bob", "offline")
        async with bob.live():
            await of_alice.sees("bob", "online")


@every_way
async def test_of_what_a_user_says_on_several_devices_the_newest_is_shown_while_one_is_here(
    open_site: OpenSite, visit: Visit, all_is_told: AllIsTold
) -> None:
    site = await open_site(grace=0)
    alice, laptop = await visit(site.here, "alice"), await visit(site.here, "bob")
    phone, tablet = await visit(site.there), await visit(site.there)
    for device in (phone, tablet):
        await device.log_in("bob")

    async def shows(of_alice: LiveSocket, row: int | None) -> None:
        about = {} if row is None else {"data": {"row": row}}
        await of_alice.message(lambda m: m.get("about", {}).get("bob") == about)

    async with alice.live() as of_alice:
        async with tablet.live() as third:
            async with laptop.live() as first:
                await first.send({"type": "data", "data": {"row": 1}})
                await shows(of_alice, 1)
                async with phone.live() as second:
                    await second.send({"type": "data", "data": {"row": 2}})
                    await shows(of_alice, 2)
            # Now only one is here that said nothing; whoever comes is told all the same.
            async with (await visit(site.there, "carol")).live() as of_carol:
                about = (await of_carol.first())["about"]
                assert about == {"bob": {"data": {"row": 2}}}, about
            await third.send({"type": "data", "data": {}})
            await shows(of_alice, None)
            await third.send({"type": "data", "data": {"row": 3}})
            await shows(of_alice, 3)
            told = len(of_alice.received)
            async with phone.live() as last:
                await last.sees("bob", "online")
                await third.raw.close()
                await all_is_told(of_alice, site.there)
                assert "bob" not in str(of_alice.received[told:])
        await of_alice.sees("bob", "offline")
        async with tablet.live():
            await of_alice.sees("bob", "online")
            assert "about" not in of_alice.received[-1], of_alice.received


async def test_the_grace_ends(open_site: OpenSite, visit: Visit) -> None:
    site = await open_site(grace=1.5)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    async with alice.live() as of_alice:
        async with bob.live():
            await of_alice.sees("bob", "online")
            closing, closing_at = time.monotonic(), time.time()
        closed_at = time.time()
        await of_alice.sees("bob", "offline")
        assert 1.4 < time.monotonic() - closing < 1.5 + 2 * STALL
        # The second of the close, not of the end of the grace.
        assert closing_at - 1 <= of_alice.received[-1]["offline"]["bob"] <= closed_at + 1


async def test_nobody_is_taken_for_gone_while_a_crowd_comes_in(serve: Serve, visit: Visit) -> None:
    server = await serve(grace=0.2)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with alice.live() as of_alice:
        async with bob.live():
            await of_alice.sees("bob", "online")
            now = time.monotonic()
            server.app[CROWD].note(now - 1, now)
        await of_alice.sees("bob", "offline")
    # So long those who were let in last take to be known.
    assert time.monotonic() - now > 1


@every_way
async def test_logging_out_is_seen_at_once_and_closes_the_sockets(
    open_site: OpenSite, visit: Visit
) -> None:
    site = await open_site(grace=30)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    async with alice.live() as of_alice, bob.live() as of_bob, bob.tutorial() as plain:
        await of_alice.sees("bob", "online")
        left = time.monotonic()
        assert (await bob.log_out()).status == 303
        await of_alice.sees("bob", "offline", within=AT_ONCE)
        assert await of_bob.closed() == 4401
        assert of_bob.received[-1] == {"type": "bye", "reason": "session_ended"}
        assert await plain.closed() == 4401
        assert time.monotonic() - left < AT_ONCE
        assert (await bob.get("/")).location == "/log_in/"


async def test_logging_out_closes_sockets_at_the_other_node(
    open_site: OpenSite, visit: Visit
) -> None:
    site = await open_site(grace=30)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    # The same browser at the other node: ports are not told apart by cookies.
    bob_here = await visit(site.here)
    bob_here.http.cookie_jar.update_cookies(
        {cookie.key: cookie.value for cookie in bob.http.cookie_jar}
    )
    async with alice.live() as of_alice, bob_here.live() as of_bob:
        await of_alice.sees("bob", "online")
        await bob.log_out()
        assert await of_bob.closed(within=AT_ONCE) == 4401
        await of_alice.sees("bob", "offline", within=AT_ONCE)


async def test_logging_out_on_one_device_leaves_the_other(
    open_site: OpenSite, visit: Visit, all_is_told: AllIsTold
) -> None:
    site = await open_site(grace=30)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    phone = await visit(site.here)
    await phone.log_in("bob")
    async with alice.live() as of_alice, bob.live(), phone.live():
        await of_alice.sees("bob", "online")
        await bob.log_out()
        await all_is_told(of_alice, site.there)
        assert said_of(of_alice, "bob") == ["online"]
        await phone.log_out()
        await of_alice.sees("bob", "offline", within=AT_ONCE)


async def test_the_page_that_one_is_sent_to_shows_oneself(
    open_site: OpenSite, visit: Visit
) -> None:
    site = await open_site(grace=30)
    alice = await visit(site.here, "alice")
    await visit(site.there, "bob")
    assert "alice: Online" in (await alice.get("/")).text
    async with alice.live() as of_alice:
        await of_alice.sees("bob", "online")
        assert "bob: Online" in (await alice.get("/")).text


async def test_a_claim_lasts_one_grace(open_site: OpenSite, visit: Visit) -> None:
    # Not so short that somebody could come and go unseen.
    site = await open_site(grace=1.5)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    async with alice.live() as of_alice:
        await bob.get("/")
        await of_alice.sees("bob", "online")
        await of_alice.sees("bob", "offline")


async def test_a_user_is_away_when_all_connections_are(
    open_site: OpenSite, visit: Visit, all_is_told: AllIsTold
) -> None:
    site = await open_site(grace=30)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    phone = await visit(site.here)
    await phone.log_in("bob")
    async with alice.live() as of_alice, bob.live() as desk, phone.live() as pocket:
        await desk.send({"type": "status", "status": "away"})
        await all_is_told(of_alice, site.there)
        assert said_of(of_alice, "bob") == ["online"]
        await pocket.send({"type": "status", "status": "away"})
        await of_alice.sees("bob", "away")
        await desk.send({"type": "status", "status": "online"})
        await of_alice.sees("bob", "online")


async def test_a_choice_holds_for_all_connections_of_a_user(
    open_site: OpenSite, visit: Visit, all_is_told: AllIsTold
) -> None:
    site = await open_site(grace=30)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    phone = await visit(site.here)
    await phone.log_in("bob")
    async with alice.live() as of_alice, bob.live() as desk, phone.live() as pocket:
        await of_alice.sees("bob", "online")
        await desk.send({"type": "status", "status": "away", "scope": "user"})
        await of_alice.sees("bob", "away")
        await pocket.sees("bob", "away")
        # Activity on another device does not undo what one chose.
        await pocket.send({"type": "status", "status": "online"})
        await all_is_told(of_alice, site.here)
        assert of_alice.people["bob"] == "away"
        await pocket.send({"type": "status", "status": "online", "scope": "user"})
        await of_alice.sees("bob", "online")


@every_way
async def test_who_comes_back_with_a_cursor_gets_just_what_was_missed(
    open_site: OpenSite, visit: Visit
) -> None:
    site = await open_site(grace=0)
    alice, bob, carol = [
        await visit(door, name)
        for door, name in ((site.here, "alice"), (site.there, "bob"), (site.there, "carol"))
    ]
    async with alice.live() as first, carol.live():
        async with bob.live():
            await first.sees("bob", "online")
            await first.sees("carol", "online")
            cursor = first.cursor
        await first.sees("bob", "offline")
        async with alice.live(cursor=cursor) as second:
            missed = await second.first()
            assert missed["type"] == "changes"
            assert set(missed["offline"]) == {"bob"} and "carol" not in missed.get("online", {})
            newest = second.cursor
        async with alice.live(cursor=newest) as third:
            message = await third.first()
            assert message["type"] == "changes"
            assert not {"online", "away", "offline", "deleted"} & message.keys()


async def test_a_cursor_of_somewhere_else_brings_a_snapshot(
    open_site: OpenSite, visit: Visit
) -> None:
    site = await open_site()
    alice = await visit(site.here, "alice")
    for cursor in ("", "x", "0123456789abcdef.3", "0123456789abcdef.-1", "%00", "9" * 300):
        async with alice.live(cursor=cursor) as socket:
            message: Message = await socket.first()
            assert message["type"] == "snapshot" and "alice" in message["online"]


async def test_a_peer_that_falls_silent_is_gone(open_site: OpenSite, visit: Visit) -> None:
    site = await open_site(grace=0, heartbeat=1)
    alice, bob = await visit(site.here, "alice"), await visit(site.there, "bob")
    async with alice.live() as of_alice:
        # One that answers no ping.
        async with bob.live(autoping=False):
            await of_alice.sees("bob", "online")
            silent = time.monotonic()
            await of_alice.sees("bob", "offline")
            assert time.monotonic() - silent < 3 + STALL


async def test_quiet_sockets_hear_that_the_server_lives(open_site: OpenSite, visit: Visit) -> None:
    site = await open_site(heartbeat=1)
    alice = await visit(site.here, "alice")
    opened = time.monotonic()
    async with alice.live() as socket:
        first = await socket.first()
        assert first["heartbeat"] == 1
        await socket.message(lambda message: message["type"] == "alive")
        assert 0.8 < time.monotonic() - opened < 1.2 + 2 * STALL
        cursor = str(socket.received[-1]["cursor"])
    async with alice.live(cursor=cursor) as socket:
        resumed = await socket.first()
        assert resumed["type"] == "changes" and not resumed.get("online")
