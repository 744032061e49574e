"""What people say of themselves, as they and others are told it over sockets."""

import time
from typing import Any

from testing.processes import launch
from testing.redis_server import RedisServer
from testing.visitor import LiveSocket, Visitor
from tests.conftest import Serve, ServerProcesses, Visit

WITHIN = 20


async def choose(socket: LiveSocket, status: str, **words: Any) -> None:
    await socket.send({"type": "status", "scope": "user", "status": status, **words})


async def row_of(visitor: Visitor, username: str) -> dict[str, Any]:
    rows = (await visitor.api(f"?q={username}"))["users"]
    (row,) = [row for row in rows if row["username"] == username]
    return dict(row)


async def test_a_choice_is_told_to_others_and_to_all_of_ones_own_pages(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    until = int(time.time()) + 3600
    async with alice.live() as laptop, alice.live() as phone, bob.live() as of_bob:
        for socket in (laptop, phone, of_bob):
            await socket.sees("alice", "online")
        await choose(laptop, "busy", text="in a meeting 🙂", until=until)
        words = {"text": "in a meeting 🙂", "until": until}
        await of_bob.until(lambda: of_bob.about.get("alice") == words)
        assert of_bob.people["alice"] == "busy" and not of_bob.choice
        for socket in (laptop, phone):
            await socket.until(lambda: socket.choice == {"status": "busy", **words})
        row = await row_of(bob, "alice")
        assert (row["status"], row["text"], row["until"]) == ("busy", *words.values())
        # Who repeats it may have lost the answer.
        phone.choice.clear()
        await choose(phone, "busy", **words)
        await phone.until(lambda: phone.choice == {"status": "busy", **words})
        async with alice.live() as late:
            await late.until(lambda: bool(late.choice))
            assert [message["type"] for message in late.received] == ["snapshot", "choice"]
        await choose(phone, "online")
        await of_bob.until(lambda: of_bob.about.get("alice") == {})
        await of_bob.sees("alice", "online")
        await laptop.until(lambda: laptop.choice == {})


async def test_a_text_stays_beside_somebody_who_is_offline(serve: Serve, visit: Visit) -> None:
    server = await serve(grace=0)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with bob.live() as of_bob:
        async with alice.live() as of_alice:
            await choose(of_alice, "away", text="back on Monday")
            await of_bob.until(lambda: "alice" in of_bob.about)
        told = await of_bob.message(lambda message: "offline" in message)
        assert told["about"] == {"alice": {"text": "back on Monday"}}
        row = await row_of(bob, "alice")
        assert (row["status"], row["text"]) == ("offline", "back on Monday")
        async with alice.live() as again:
            await again.until(lambda: bool(again.choice))
            await of_bob.sees("alice", "away")
            assert of_bob.about["alice"] == {"text": "back on Monday"}


async def test_to_others_who_is_invisible_has_left(serve: Serve, visit: Visit) -> None:
    """At once, with the text that was there; and nothing that they do is told to anybody."""
    server = await serve()
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with alice.live() as of_alice, bob.live() as of_bob, bob.tutorial() as tutorial:
        await choose(of_alice, "busy", text="lunch")
        await of_bob.until(lambda: of_bob.people.get("alice") == "busy")
        await tutorial.sees("alice", True)
        before = int(time.time())
        await choose(of_alice, "invisible", text="secret")
        left = await of_bob.message(lambda message: "alice" in message.get("offline", {}))
        assert before <= left["offline"]["alice"] <= time.time()
        assert left["about"] == {"alice": {"text": "lunch"}}
        await tutorial.sees("alice", False)
        await of_alice.until(lambda: of_alice.choice == {"status": "invisible", "text": "secret"})
        row = await row_of(bob, "alice")
        assert row == {
            "username": "alice",
            "status": "offline",
            "since": left["offline"]["alice"],
            "name": None,
            "text": "lunch",
            "until": None,
        }
        assert "alice" not in [one["username"] for one in (await bob.api("?here=1"))["users"]]
        received = len(of_bob.received), len(tutorial.received)
        async with alice.live() as another:
            await another.until(lambda: another.choice.get("status") == "invisible")
            await another.send({"type": "status", "status": "away"})
            await choose(another, "invisible", text="another secret")
            await another.until(lambda: another.choice.get("text") == "another secret")
        # All that there was to tell has been told when somebody else's coming is.
        async with (await visit(server, "carol")).live():
            await of_bob.sees("carol", "online")
            await tutorial.sees("carol", True)
        assert [m for m in of_bob.received[received[0] :] if "alice" in str(m)] == []
        assert [m for m in tutorial.received[received[1] :] if "alice" in str(m)] == []
        await choose(of_alice, "online")
        came = await of_bob.message(lambda message: "alice" in message.get("online", {}))
        assert came["online"]["alice"] >= before and came["about"] == {"alice": {}}
        await tutorial.sees("alice", True)


async def test_nobody_is_invisible_where_nobody_may(serve: Serve, visit: Visit) -> None:
    server = await serve(invisible="nobody")
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with alice.live() as of_alice, bob.live() as of_bob:
        await choose(of_alice, "invisible")
        await choose(of_alice, "busy")
        await of_bob.sees("alice", "busy")
        assert not any("offline" in message for message in of_bob.received)


async def test_choices_hold_on_all_nodes_and_over_log_outs_and_restarts(
    server_process: ServerProcesses, visit: Visit, redis_server: RedisServer
) -> None:
    one, two = [await server_process(redis_url=redis_server.url, grace=1) for _ in range(2)]
    alice, carol = await visit(one, "alice"), await visit(one, "carol")
    bob = await visit(two, "bob")
    async with alice.live() as of_alice, carol.live() as of_carol, bob.live() as of_bob:
        await of_bob.sees("alice", "online", within=WITHIN)
        await choose(of_alice, "busy", text="painting")
        await choose(of_carol, "invisible")
        await of_bob.sees("alice", "busy", within=WITHIN)
        await of_bob.sees("carol", "offline", within=WITHIN)
    await alice.log_out()
    await one.terminate()
    again = await server_process(redis_url=redis_server.url, grace=1)
    alice, carol = await visit(again), await visit(again)
    await alice.log_in("alice")
    await carol.log_in("carol")
    async with alice.live() as of_alice, carol.live() as of_carol, bob.live() as of_bob:
        await of_bob.sees("alice", "busy", within=WITHIN)
        assert of_bob.about["alice"] == {"text": "painting"}
        await of_alice.until(lambda: of_alice.choice == {"status": "busy", "text": "painting"})
        await of_carol.until(lambda: of_carol.choice == {"status": "invisible"})
        assert "carol" not in of_bob.people and "carol" not in of_alice.people


async def test_a_name_reaches_all_nodes_within_a_second(
    server_process: ServerProcesses, visit: Visit, redis_server: RedisServer
) -> None:
    """Also when an operator gave it, of whom no node hears."""
    one, two = [await server_process(redis_url=redis_server.url) for _ in range(2)]
    alice, bob = await visit(one, "alice"), await visit(two, "bob")
    async with alice.live(), bob.live() as of_bob:
        await of_bob.sees("alice", "online", within=WITHIN)
        log = one.folder / "command.log"
        renaming = await launch(
            "user", "name", "ALICE", "Zoë Berg", "--database", str(one.flags["database"]),
            log_file=log,
        )
        assert await renaming.wait() == 0, log.read_text()
        assert renaming.stdout is not None
        assert (await renaming.stdout.read()).decode() == "Others see alice as Zoë Berg now.\n"
        await of_bob.until(lambda: of_bob.about.get("alice") == {"name": "Zoë Berg"})
        async with (await visit(two, "carol")).live() as late:
            assert (await late.first())["about"]["alice"] == {"name": "Zoë Berg"}


async def test_on_what_somebody_is_here_is_told_on_all_nodes_if_they_allow_it(
    server_process: ServerProcesses, visit: Visit, redis_server: RedisServer
) -> None:
    """Of each session that is here, and no longer; of who seems to be offline nothing."""
    one, two = [await server_process(redis_url=redis_server.url, grace=1) for _ in range(2)]
    bob, laptop, phone = [await visit(site) for site in (two, one, two)]
    await bob.enter("bob")
    laptop.http.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Firefox/145.0"
    phone.http.headers["User-Agent"] = "Mozilla/5.0 (Android 15; Mobile; rv:145.0) Firefox/145.0"
    await laptop.enter("alice")
    async with bob.live() as of_bob, laptop.live() as of_alice:
        await of_bob.sees("alice", "online", within=WITHIN)
        assert "alice" not in of_bob.about

        async def sees(*kinds: str) -> None:
            about = {"devices": list(kinds)} if kinds else {}
            await of_bob.until(lambda: of_bob.about.get("alice", {}) == about, within=WITHIN)

        await show_devices(laptop, "1")
        await sees("computer")
        await phone.log_in("alice")
        async with phone.live():
            await sees("computer", "mobile")
            async with (await visit(one, "carol")).live() as late:
                both = {"devices": ["computer", "mobile"]}
                await late.until(lambda: late.about.get("alice") == both, within=WITHIN)
            await choose(of_alice, "invisible")
            left = await of_bob.message(lambda message: "alice" in message.get("offline", {}))
            assert "devices" not in left.get("about", {}).get("alice", {})
            await choose(of_alice, "online")
            await sees("computer", "mobile")
        await sees("computer")
        await show_devices(laptop, "0")
        await sees()
        assert of_bob.people["alice"] == "online"


async def show_devices(visitor: Visitor, show: str) -> None:
    answer = await visitor.submit("/account/devices-shown", {"show": show}, form="/account/")
    assert answer.status == 303
