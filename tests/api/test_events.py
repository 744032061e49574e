"""Server-Sent Events from rooms, and what those say who have no socket."""

import asyncio
import time
from typing import Any

import pytest

from testing.app_client import AppClient
from testing.visitor import Message
from tests.api.conftest import AT_ONCE
from tests.api.test_rooms import is_problem


async def test_the_same_messages_as_over_a_socket(app: AppClient) -> None:
    async with app.events("alice") as alice:
        assert alice.status == 200
        headers = alice.response.headers
        assert headers["Content-Type"] == "text/event-stream"
        assert headers["X-Accel-Buffering"] == "no" and "no-store" in headers["Cache-Control"]
        first = await alice.event()
        assert first["type"] == "snapshot" and first["cursor"] == alice.last_id
        async with app.line("bob") as bob:
            await bob.sees("alice", "online")
            await alice.sees("bob", "online")
            assert alice.last_id is not None
        await alice.sees("bob", "offline")
        async with app.events("alice", query=f"?cursor={first['cursor']}") as again:
            resumed = await again.event()
            assert resumed["type"] == "changes" and "bob" in str(resumed)


async def test_it_goes_on_from_the_last_event_id(app: AppClient) -> None:
    async with app.line("bob"), app.events("alice") as alice:
        first = await alice.event()
        headers = {"Accept": "text/event-stream", "Last-Event-ID": first["cursor"]}
        url = f"{app.url}/api/v1/rooms/doc?token={app.token('alice')}&cursor=older"
        async with app.http.get(url, headers=headers) as response:
            line = await response.content.readline()
            assert line == b"event: changes\n"


@pytest.mark.parametrize(
    ("claims", "status", "code"),
    [
        ({"exp": 1, "iat": 0}, 401, "token_expired"),
        ({"aud": "x"}, 401, "token_invalid"),
        ({"rooms": {"other": "join"}}, 403, "not_allowed"),
    ],
)
async def test_a_refusal_is_an_answer(
    app: AppClient, claims: dict[str, Any], status: int, code: str
) -> None:
    headers = {"Accept": "text/event-stream"}
    token = app.token("alice", **claims)
    answer = await app.ask("GET", f"/rooms/doc?token={token}", bearer="", headers=headers)
    assert is_problem(answer, status, code)


async def test_a_token_in_the_address_is_for_an_event_source_only(app: AppClient) -> None:
    answer = await app.ask("GET", f"/rooms/doc?token={app.token('alice')}", bearer="")
    assert is_problem(answer, 401, "token_invalid")


async def test_a_stream_ends_with_its_token(app: AppClient) -> None:
    token = app.token("alice", exp=int(time.time()) + 2)
    async with app.line("watcher") as watcher, app.events("alice", token=token) as alice:
        await watcher.sees("alice", "online")
        said: list[Message] = []
        while not said or said[-1]["type"] != "bye":
            async with asyncio.timeout(15):
                said.append(await alice.event())
        assert said[-1]["reason"] == "token_expired"
        assert "expiring" in [message["type"] for message in said]
        assert await alice.response.content.read() == b""
        await watcher.sees("alice", "offline")


async def test_what_is_said_by_post_is_of_the_stream(patient: AppClient) -> None:
    async with patient.line("watcher") as watcher, patient.events("alice") as alice:
        await watcher.sees("alice", "online")
        assert (await patient.say("alice", status="away")).status == 204
        await watcher.sees("alice", "away")
        assert (await patient.say("alice", status="online")).status == 204
        await watcher.sees("alice", "online")
        assert (await patient.say("alice", data={"row": 7})).status == 204
        await watcher.until(lambda: watcher.received[-1].get("about") == {
            "alice": {"data": {"row": 7}}
        })
        until = int(time.time()) + 60
        assert (await patient.say("alice", status="busy", text="lunch", until=until)).status == 204
        await watcher.sees("alice", "busy")
        assert (await patient.room())["users"]["alice"]["text"] == "lunch"
        assert (await patient.say("alice", text="late lunch")).status == 204
        assert (await patient.room())["users"]["alice"]["status"] == "busy"
        assert (await patient.room())["users"]["alice"]["text"] == "late lunch"
        assert (await patient.say("alice", status="online", scope="user")).status == 204
        await watcher.sees("alice", "online")
        started = time.monotonic()
        assert (await patient.say("alice", leave=True)).status == 204
        await watcher.sees("alice", "offline")
        assert time.monotonic() - started < AT_ONCE
        while (await alice.response.content.readline()) != b"":
            pass


async def test_a_stream_may_be_named_among_several_lines(app: AppClient) -> None:
    async with (
        app.line("watcher") as watcher,
        app.events("alice", query="?line=one") as one,
        app.events("alice", query="?line=two") as two,
    ):
        await one.event()
        await two.event()
        await watcher.sees("alice", "online")
        await app.say("alice", status="away", line="one")
        async with app.line("bob"):
            await watcher.sees("bob", "online")
        assert watcher.people["alice"] == "online"
        await app.say("alice", status="away", line="two")
        await watcher.sees("alice", "away")
        await app.say("alice", leave=True, line="one")
        async with app.line("carol"):
            await watcher.sees("carol", "online")
        assert watcher.people["alice"] == "away"
        await app.say("alice", leave=True, line="two")
        await watcher.sees("alice", "offline")


async def test_a_page_that_unloads_leaves_at_once(patient: AppClient) -> None:
    """Whether its socket closes before or after what it says."""
    async with patient.line("watcher") as watcher:
        for closes_first in (True, False):
            async with patient.line("alice") as alice:
                await watcher.sees("alice", "online")
                if closes_first:
                    await alice.raw.close()
                started = time.monotonic()
                assert (await patient.say("alice", leave=True)).status == 204
                await watcher.sees("alice", "offline")
                assert time.monotonic() - started < AT_ONCE


async def test_with_several_sockets_the_one_that_closes_has_left(app: AppClient) -> None:
    async with app.line("watcher") as watcher, app.line("alice") as one:
        async with app.line("alice"):
            await one.first()
            await watcher.sees("alice", "online")
            assert (await app.say("alice", leave=True)).status == 204
        async with app.line("bob"):
            await watcher.sees("bob", "online")
        assert watcher.people["alice"] == "online"


@pytest.mark.parametrize("closes_first", [True, False])
async def test_whoever_leaves_without_a_name_ends_no_other_line(
    patient: AppClient, closes_first: bool
) -> None:
    async with patient.line("watcher") as watcher, patient.line("alice") as other:
        async with patient.line("alice") as one:
            await one.first()
            if not closes_first:
                assert (await patient.say("alice", leave=True)).status == 204
        if closes_first:
            assert (await patient.say("alice", leave=True)).status == 204
        # What was said is of the line that closed, and not of the next one as well.
        async with patient.line("bob"):
            await other.sees("bob", "online")
        assert watcher.people.get("alice", "online") == "online"
        started = time.monotonic()
        await other.raw.close()
        assert (await patient.say("alice", leave=True)).status == 204
        await watcher.sees("alice", "offline")
        assert time.monotonic() - started < AT_ONCE


async def test_of_several_streams_that_one_leaves_which_closes(patient: AppClient) -> None:
    async with patient.line("watcher") as watcher, patient.events("alice") as other:
        async with patient.events("alice") as one:
            await one.event()
            assert (await patient.say("alice", leave=True)).status == 204
        async with patient.line("bob"):
            await other.sees("bob", "online")
            await watcher.sees("bob", "online")
        assert watcher.people["alice"] == "online"


@pytest.mark.parametrize(
    "body",
    [
        {"status": "dancing"}, {"status": 7}, {"data": []}, {"data": {"x": "y" * 513}},
        {"status": "busy", "text": "x" * 101}, {"status": "busy", "until": "tomorrow"},
        {"status": "busy", "until": int(time.time()) + 31 * 24 * 3600}, {"leave": "yes"},
        {"text": 7}, {"line": ""}, {"line": 7}, {"status": "busy", "text": "a\nb"},
    ],
)
async def test_what_cannot_be_said(app: AppClient, body: dict[str, Any]) -> None:
    assert is_problem(await app.say("alice", **body), 400, "bad_request")


async def test_who_may_say_what(app: AppClient) -> None:
    watching = app.token("alice", {"doc": "watch"})
    assert is_problem(await app.say("alice", bearer=watching, status="away"), 403, "not_allowed")
    elsewhere = app.token("alice", "other")
    assert is_problem(await app.say("alice", bearer=elsewhere, status="away"), 403, "not_allowed")
    assert is_problem(await app.say("alice", status="invisible"), 403, "not_allowed")
    invisible = app.token("alice", invisible=True)
    assert (await app.say("alice", bearer=invisible, status="invisible")).status == 204
    # Words alone would prolong it.
    for words in ({"text": "lunch"}, {"until": int(time.time()) + 3600}):
        assert is_problem(await app.say("alice", **words), 403, "not_allowed")
        assert (await app.say("alice", bearer=invisible, **words)).status == 204
    assert (await app.say("alice", status="online", scope="user")).status == 204
    assert (await app.say("alice", text="lunch")).status == 204
