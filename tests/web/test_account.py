import re

import pytest

from presence_server.accounts import sessions, users
from presence_server.keys import DATABASE
from tests.conftest import Serve, Visit
from testing.visitor import PASSWORD, Page, Visitor

pytestmark = pytest.mark.both_databases

NEW = "another good one"


async def change(visitor: Visitor, old: str = PASSWORD, new: str = NEW, again: str = NEW) -> Page:
    fields = {"old_password": old, "password1": new, "password2": again}
    return await visitor.submit("/account/password", fields, form="/account/")


def handles(page: Page) -> list[str]:
    found = re.findall(r'name="device" value="([^"]+)"', page.text)
    return [handle for handle in found if handle != "others"]


async def test_the_page_shows_devices_and_where_they_are(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice = await visit(server, "alice")
    phone = await visit(server)
    phone.http.headers["User-Agent"] = "Mozilla/5.0 (Android 15; Mobile) Firefox/145.0"
    await phone.log_in("alice")
    page = await alice.get("/account/")
    assert page.status == 200
    assert "Firefox on Android" in page.text
    assert "127.0.0.1" in page.text
    assert len(handles(page)) == 1
    for session in await sessions.of_user(server.app[DATABASE], 1):
        assert session.key not in page.text


async def test_a_new_password_ends_the_other_sessions(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice, other = await visit(server, "alice"), await visit(server)
    await other.log_in("alice")
    answer = await change(alice)
    assert (answer.status, answer.location) == (303, "/account/")
    assert (await alice.get("/")).status == 200
    told = "Your password has been changed."
    assert [told in (await alice.get("/account/")).text for _ in range(2)] == [True, False]
    assert (await other.get("/")).location == "/log_in/"
    assert (await other.log_in("alice")).status == 401
    assert (await other.log_in("alice", NEW)).status == 303


@pytest.mark.parametrize(
    ("old", "new", "again", "field", "message"),
    [
        ("wrong", NEW, NEW, "old_password", "not your password"),
        ("", NEW, NEW, "old_password", "not your password"),
        ("x" * 100, NEW, NEW, "old_password", "not your password"),
        (PASSWORD, "", "", "password1", "at least 8"),
        (PASSWORD, "short", "short", "password1", "at least 8"),
        (PASSWORD, "x" * 73, "x" * 73, "password1", "at most 72"),
        (PASSWORD, "password", "password", "password1", "too easy"),
        (PASSWORD, NEW, NEW + "x", "password2", "not the same"),
        (PASSWORD, NEW, "", "password2", "not the same"),
    ],
)
async def test_bad_new_password(
    serve: Serve, visit: Visit, old: str, new: str, again: str, field: str, message: str
) -> None:
    server = await serve()
    alice = await visit(server, "alice")
    before = await users.password_hash(server.app[DATABASE], "alice")
    answer = await change(alice, old, new, again)
    assert answer.status == 400
    assert f'id="{field}-error"' in answer.text
    assert message in answer.text
    assert NEW not in answer.text
    assert await users.password_hash(server.app[DATABASE], "alice") == before


async def test_guessing_the_old_password_is_slowed_down(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(), "alice")
    statuses = [(await change(alice, "a guess")).status for _ in range(11)]
    assert statuses == [400] * 10 + [429]
    assert (await change(alice)).status == 429


async def test_one_device_is_ended(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice, other = await visit(server, "alice"), await visit(server)
    await other.log_in("alice")
    page = await alice.get("/account/")
    (handle,) = handles(page)
    async with other.live() as socket:
        answer = await alice.post(
            "/account/end", {"csrf_token": page.csrf_token, "device": handle}
        )
        assert (answer.status, answer.location) == (303, "/account/")
        assert await socket.closed() == 4401
    assert (await other.get("/")).location == "/log_in/"
    assert (await alice.get("/")).status == 200


async def test_all_others_are_ended(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice = await visit(server, "alice")
    others = [await visit(server) for _ in range(3)]
    for other in others:
        await other.log_in("alice")
    answer = await alice.submit("/account/end", {"device": "others"}, form="/account/")
    assert answer.status == 303
    assert [(await other.get("/")).status for other in others] == [303] * 3
    assert (await alice.get("/")).status == 200


@pytest.mark.parametrize("device", ["", "x", "others ", "0" * 16, "%", "'; DROP TABLE sessions"])
async def test_a_device_that_is_none_of_mine(serve: Serve, visit: Visit, device: str) -> None:
    server = await serve()
    alice = await visit(server, "alice")
    await visit(server, "bob")
    answer = await alice.submit("/account/end", {"device": device}, form="/account/")
    assert answer.status == 400
    assert "no longer logged in" in answer.text


async def test_the_device_of_somebody_else_cannot_be_ended(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    for session in await sessions.of_user(server.app[DATABASE], 2):
        for handle in (session.key, session.key[:16]):
            fields = {"device": handle}
            assert (await alice.submit("/account/end", fields, form="/account/")).status == 400
    assert (await bob.get("/")).status == 200


async def test_a_deleted_account_is_gone_everywhere(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with bob.live() as socket:
        await socket.sees("alice", "online")
        answer = await alice.submit("/account/delete", {"password": PASSWORD}, form="/account/")
        assert (answer.status, answer.location) == (303, "/log_in/")
        await socket.message(lambda message: "alice" in message.get("deleted", {}))
    assert "alice" not in (await bob.get("/")).text
    assert "Your account has been deleted." in (await alice.get("/log_in/")).text
    assert (await alice.log_in("alice")).status == 401
    # The name is free again.
    assert (await alice.sign_up("alice")).status == 303


async def test_the_last_administrator_cannot_delete_their_account(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    database, alice = server.app[DATABASE], await visit(server, "alice")
    await users.set_administrator(database, 1, True)
    # Who has only a link yet may never use it.
    await users.create(database, "bob", "", 1, administrator=True)
    answer = await alice.submit("/account/delete", {"password": PASSWORD}, form="/account/")
    assert answer.status == 400 and "You are the last administrator" in answer.text
    await visit(server, "carol")
    await users.set_administrator(database, 3, True)
    answer = await alice.submit("/account/delete", {"password": PASSWORD}, form="/account/")
    assert (answer.status, answer.location) == (303, "/log_in/")


@pytest.mark.parametrize("password", ["", "wrong", "x" * 100])
async def test_an_account_is_not_deleted_without_its_password(
    serve: Serve, visit: Visit, password: str
) -> None:
    server = await serve()
    alice = await visit(server, "alice")
    answer = await alice.submit("/account/delete", {"password": password}, form="/account/")
    assert answer.status == 400
    assert 'id="password-error"' in answer.text
    assert await users.count(server.app[DATABASE]) == 1
    assert (await alice.get("/")).status == 200


@pytest.mark.parametrize("path", ["password", "end", "delete"])
async def test_without_log_in_there_is_nothing_to_change(
    serve: Serve, visit: Visit, path: str
) -> None:
    answer = await (await visit(await serve())).post(f"/account/{path}", {"device": "others"})
    assert (answer.status, answer.location) == (303, "/log_in/?next=/account/")
