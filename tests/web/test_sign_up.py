import asyncio

import pytest
from aiohttp.test_utils import TestServer

from presence_server.accounts import users
from presence_server.keys import DATABASE
from tests.conftest import Serve, Visit

pytestmark = pytest.mark.both_databases


async def accounts(server: TestServer) -> int:
    return await users.count(server.app[DATABASE])


async def test_sign_up_leads_to_log_in(serve: Serve, visit: Visit) -> None:
    server = await serve()
    michael = await visit(server)
    answer = await michael.sign_up("michael", "johnson123")
    assert (answer.status, answer.location) == (303, "/log_in/")
    assert await accounts(server) == 1


GOOD = {"username": "michael", "password1": "johnson123", "password2": "johnson123"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"username": ""}, "3 to 32 characters"),
        ({"username": "al"}, "3 to 32 characters"),
        ({"username": "a" * 33}, "3 to 32 characters"),
        ({"username": "a" * 5000}, "3 to 32 characters"),
        ({"username": "mi chael"}, "letters a to z"),
        ({"username": "michael\u200b\n"}, "letters a to z"),
        ({"username": "mich\0ael"}, "letters a to z"),
        ({"username": "micha\u0435l"}, "letters a to z"),
        ({"username": "michael\u200b"}, "letters a to z"),
        ({"username": "\u202emichael"}, "letters a to z"),
        ({"username": "<img onerror=x>"}, "letters a to z"),
        ({"username": "../michael"}, "letters a to z"),
        ({"username": "'; DROP TABLE users; --"}, "letters a to z"),
        ({"username": "𝓂𝒾𝒸𝒽"}, "letters a to z"),
        ({"username": "__proto__"}, "begins and ends with a letter"),
        ({"username": "..."}, "begins and ends with a letter"),
        ({"username": "-x-"}, "begins and ends with a letter"),
        ({"username": "alice."}, "begins and ends with a letter"),
        ({"username": "_alice"}, "begins and ends with a letter"),
        ({"username": "Admin"}, "not available"),
        ({"username": "everyone"}, "not available"),
        ({"password1": "123456\n89", "password2": "123456\n89"}, "control characters"),
        ({"password1": "johnson\0123", "password2": "johnson\0123"}, "control characters"),
        ({"password1": "", "password2": ""}, "at least 8 characters"),
        ({"password1": "short1!", "password2": "short1!"}, "at least 8 characters"),
        ({"password1": "x" * 73, "password2": "x" * 73}, "at most 72"),
        ({"password1": "ö" * 37, "password2": "ö" * 37}, "at most 72"),
        ({"password1": "password", "password2": "password"}, "too easy to guess"),
        ({"username": "rumpelstilz", "password1": "rumpelstilz", "password2": "rumpelstilz"},
         "too easy to guess"),
        ({"password2": "johnson124"}, "not the same"),
        ({"password2": ""}, "not the same"),
    ],
)  # fmt: skip
async def test_bad_sign_up(
    serve: Serve, visit: Visit, changes: dict[str, str], message: str
) -> None:
    server = await serve()
    answer = await (await visit(server)).submit("/sign_up/", {**GOOD, **changes})
    assert answer.status == 400
    assert message in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert await accounts(server) == 0


@pytest.mark.parametrize("field", ["username", "password1", "password2"])
async def test_a_missing_field_is_a_bad_field(serve: Serve, visit: Visit, field: str) -> None:
    server = await serve()
    fields = {name: value for name, value in GOOD.items() if name != field}
    answer = await (await visit(server)).submit("/sign_up/", fields)
    assert answer.status == 400
    assert f'id="{field if field != "password1" else "password1"}-error"' in answer.text
    assert await accounts(server) == 0


async def test_what_was_typed_is_kept_but_for_passwords(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve())
    fields = {"username": 'a"><b>', "password1": "hunter2hunter", "password2": "another"}
    answer = await alice.submit("/sign_up/", fields)
    assert 'value="a&#34;&gt;&lt;b&gt;"' in answer.text
    assert "hunter2hunter" not in answer.text
    assert "another" not in answer.text


@pytest.mark.parametrize("username", ["michael", "Michael", "MICHAEL"])
async def test_a_taken_name_is_taken_whatever_the_case(
    serve: Serve, visit: Visit, username: str
) -> None:
    server = await serve()
    await (await visit(server)).sign_up("michael")
    answer = await (await visit(server)).sign_up(username)
    assert answer.status == 400
    assert "That username is not available." in answer.text
    assert await accounts(server) == 1


async def test_t37_of_many_sign_ups_with_one_name_one_wins(serve: Serve, visit: Visit) -> None:
    server = await serve()
    visitors = [await visit(server) for _ in range(20)]
    answers = await asyncio.gather(*(visitor.sign_up("michael") for visitor in visitors))
    assert sorted(answer.status for answer in answers) == [303] + [400] * 19
    assert await accounts(server) == 1


async def test_closed_sign_up_says_so(serve: Serve, visit: Visit) -> None:
    server = await serve(sign_up="closed")
    alice = await visit(server)
    page = await alice.get("/sign_up/")
    assert page.status == 403
    assert "Sign-up is closed" in page.text
    token = (await alice.get("/log_in/")).csrf_token
    answer = await alice.post("/sign_up/", {**GOOD, "csrf_token": token})
    assert answer.status == 403
    assert await accounts(server) == 0


async def test_throttled_sign_up_says_when_to_try_again(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice = await visit(server)
    token = (await alice.get("/sign_up/")).csrf_token
    async with asyncio.timeout(30):
        while (answer := await alice.post("/sign_up/", {"csrf_token": token})).status == 400:
            pass
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert "Too many attempts." in answer.text
    assert (await alice.post("/sign_up/", {**GOOD, "csrf_token": answer.csrf_token})).status == 429
    assert await accounts(server) == 0


async def test_a_password_composed_once_and_decomposed_once_is_the_same(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    fields = {"username": "michael", "password1": "jöhnson123", "password2": "jo\u0308hnson123"}
    assert (await (await visit(server)).submit("/sign_up/", fields)).status == 303
    assert (await (await visit(server)).log_in("michael", "jöhnson123")).status == 303
