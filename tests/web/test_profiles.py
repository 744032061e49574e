"""What accounts show of themselves, set on the account page and seen by others."""

import re
import time
from urllib.parse import quote

import pytest

from presence_server.accounts import profiles, users
from presence_server.keys import DATABASE, ENDINGS
from tests.conftest import Serve, Visit
from testing.visitor import Page, Visitor


async def rename(visitor: Visitor, name: str) -> Page:
    return await visitor.submit("/account/name", {"name": name}, form="/account/")


async def test_a_new_name_is_seen_by_others_at_once(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with alice.live() as of_alice, bob.live() as of_bob:
        await of_bob.sees("alice", "online")
        assert (await rename(alice, " Zoë  <b>Berg</b> 🌵")).location == "/account/"
        told = await of_bob.message(lambda message: "about" in message)
        assert told["about"] == {"alice": {"name": "Zoë <b>Berg</b> 🌵"}}
        await of_alice.until(lambda: bool(of_alice.about))
        page = (await alice.get("/account/")).text
        assert "Zoë &lt;b&gt;Berg&lt;/b&gt; 🌵" in page and "<b>Berg" not in page
        assert "Others see you as" in page
        async with bob.live() as late:
            assert (await late.first())["about"] == told["about"]
        for query in ("?q=berg", "?here=1&q=ZOE", f"?q={quote('zoë <b')}", "?q=ALI&here=1"):
            found = (await bob.api(query))["users"]
            assert [(row["username"], row["name"]) for row in found] == [
                ("alice", "Zoë <b>Berg</b> 🌵")
            ]
        assert 'data-username="alice"' in (await bob.get("/?q=berg")).text
        assert 'data-username="alice"' in (await alice.get("/?q=zoe&here=1")).text
        await rename(alice, "")
        await of_bob.until(lambda: of_bob.about.get("alice") == {})
        assert (await bob.api("?q=berg"))["users"] == []


async def test_a_name_stays_beside_who_is_offline_and_changes_there(
    serve: Serve, visit: Visit
) -> None:
    """Also of somebody who has not been here since the server started."""
    server = await serve(grace=0)
    database, ends = server.app[DATABASE], server.app[ENDINGS]
    carol = await users.create(database, "carol", "hash", 1, name="Carol One")
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    await rename(alice, "Zoë")
    async with bob.live() as of_bob:
        async with alice.live():
            await of_bob.sees("alice", "online")
        left = await of_bob.message(lambda message: "offline" in message)
        assert left["about"] == {"alice": {"name": "Zoë"}}
        await profiles.set_name(ends, 2, "Anna", 2)
        await of_bob.until(lambda: of_bob.about.get("alice") == {"name": "Anna"})
        await profiles.set_name(ends, carol.id, "Carol Two", 2)
        told = await of_bob.message(lambda message: "carol" in message.get("about", {}))
        assert told["about"] == {"carol": {"name": "Carol Two"}} and "offline" not in told
        await profiles.set_name(ends, carol.id, "", 3)
        await of_bob.until(lambda: of_bob.about.get("carol") == {})
        names = {row["username"]: row["name"] for row in (await bob.api())["users"]}
        assert names == {"alice": "Anna", "bob": None, "carol": None}


@pytest.mark.parametrize("name", ["a" * 65, "a\u202eb", "\u200b"])
async def test_a_bad_name_is_refused_in_words(serve: Serve, visit: Visit, name: str) -> None:
    alice = await visit(await serve(), "alice")
    answer = await rename(alice, name)
    assert answer.status == 400 and 'aria-invalid="true"' in answer.text
    assert "A name " in answer.text
    assert (await alice.api())["users"][0]["name"] is None


async def test_who_wishes_so_has_nobody_told_when_they_were_here_last(
    serve: Serve, visit: Visit
) -> None:
    server = await serve(grace=0)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    form = {"hide": "1"}
    assert (await alice.submit("/account/last-seen", form, form="/account/")).status == 303
    assert "Nobody is told" in (await alice.get("/account/")).text
    async with bob.live() as of_bob:
        async with alice.live():
            await of_bob.sees("alice", "online")
        left = await of_bob.message(lambda message: "offline" in message)
        assert left["offline"] == {"alice": 0}
        row = (await bob.api("?q=alice"))["users"][0]
        assert (row["status"], row["since"]) == ("offline", None)
        item = re.search(r'<li[^>]*data-username="alice"[^>]*>', (await bob.get("/")).text)
        assert item is not None and "data-since" not in item[0]
        # It was noted all the same: for others again as soon as she likes.
        await profiles.hide_last_seen(server.app[ENDINGS], 1, False, 1)
        shown = await of_bob.message(lambda message: bool(message.get("offline", {}).get("alice")))
        assert 0 < shown["offline"]["alice"] <= time.time()


async def test_a_site_may_tell_of_nobody(serve: Serve, visit: Visit) -> None:
    server = await serve(grace=0, hide_last_seen=True)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    assert "/account/last-seen" not in (await alice.get("/account/")).text
    async with bob.live() as of_bob:
        async with alice.live():
            await of_bob.sees("alice", "online")
        left = await of_bob.message(lambda message: "offline" in message)
        assert left["offline"] == {"alice": 0}
        assert (await bob.api("?q=alice"))["users"][0]["since"] is None


async def test_nobody_shows_something_else_again_and_again(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    answers = [await rename(alice, f"Alice {number}") for number in range(21)]
    assert [answer.status for answer in answers] == [303] * 20 + [429]
    assert "Too many attempts" in answers[-1].text and answers[-1].headers["Retry-After"]
    last = await alice.submit("/account/last-seen", {"hide": "1"}, form="/account/")
    assert last.status == 429
    assert (await rename(bob, "Bob")).status == 303
    rows = await server.app[DATABASE].read("SELECT * FROM endings")
    assert len(rows) == 21
