import pytest

from presence_server.accounts import sessions, users
from presence_server.accounts.passwords import PasswordsBusy
from presence_server.keys import DATABASE, ENDINGS, PASSWORDS, PRESENCE
from presence_server.presence.members import Who
from presence_server.presence.records import OWN
from tests.conftest import Serve, Visit
from testing.visitor import PASSWORD, Page, Visitor

pytestmark = pytest.mark.both_databases


async def test_log_in_leads_to_the_list_and_shows_oneself_online(
    serve: Serve, visit: Visit
) -> None:
    michael = await visit(await serve(), "michael")
    page = await michael.get("/")
    assert page.status == 200
    assert "michael: Online" in page.text


async def test_a_name_may_be_typed_in_any_case(serve: Serve, visit: Visit) -> None:
    michael = await visit(await serve())
    await michael.sign_up("Michael")
    assert (await michael.log_in("mICHAEL")).status == 303
    assert "Michael: Online" in (await michael.get("/")).text


async def test_log_in_counts_as_being_here(serve: Serve, visit: Visit) -> None:
    server = await serve()
    michael = await visit(server)
    await michael.sign_up("michael")
    assert server.app[PRESENCE].status_of("michael") is None
    await michael.log_in("michael")
    person = server.app[PRESENCE].status_of("michael")
    assert person is not None and person.status == "online"


async def refused(alice: Visitor, username: str, password: str) -> Page:
    return await alice.submit("/log_in/", {"username": username, "password": password})


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("michael", "wrong"),
        ("michael", ""),
        ("michael", "johnson1234"),
        ("michael", "Johnson123"),
        ("michael", PASSWORD + "\0"),
        ("michael", "x" * 73),
        ("michael", "ö" * 1000),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("", ""),
        ("michael\0", PASSWORD),
        ("mi chael", PASSWORD),
        ("' OR 1=1 --", PASSWORD),
        ("m%", PASSWORD),
        ("x" * 8000, PASSWORD),
        ("\ufeffmichael", PASSWORD),
    ],
)
async def test_bad_log_in(serve: Serve, visit: Visit, username: str, password: str) -> None:
    server = await serve()
    alice = await visit(server)
    await alice.sign_up("michael")
    answer = await refused(alice, username, password)
    assert answer.status == 401
    assert "Wrong username or password." in answer.text
    assert not await sessions.of_user(server.app[DATABASE], 1)
    assert (await alice.get("/")).location == "/log_in/"


async def test_t12_all_reasons_for_a_refusal_look_the_same(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice = await visit(server)
    for username in ("michael", "disabled", "deleted"):
        await alice.sign_up(username)
    database = server.app[DATABASE]
    for username in ("disabled", "deleted"):
        user = await users.find(database, username)
        assert user is not None
        end = users.disable if username == "disabled" else users.delete
        await end(server.app[ENDINGS], user.id, 0)
    answers = [
        await refused(alice, "michael", "not this one"),
        await refused(alice, "michael", "x" * 100),
        await refused(alice, "nobody", PASSWORD),
        await refused(alice, "disabled", PASSWORD),
        await refused(alice, "deleted", PASSWORD),
    ]
    assert {answer.status for answer in answers} == {401}
    names = ("michael", "nobody", "disabled", "deleted")
    assert len({_without(answer.text, *names) for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.keys())) for answer in answers}) == 1


def _without(text: str, *names: str) -> str:
    for name in names:
        text = text.replace(f'value="{name}"', "")
    return text


async def test_a_name_is_kept_after_a_refusal_and_a_password_is_not(
    serve: Serve, visit: Visit
) -> None:
    answer = await refused(await visit(await serve()), "michael", "secret sentence")
    assert 'value="michael"' in answer.text
    assert "secret sentence" not in answer.text


async def test_what_is_missing_is_said_at_the_field(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve())
    answer = await alice.submit("/log_in/", {})
    assert answer.status == 401
    assert 'id="username-error"' in answer.text
    assert 'id="password-error"' in answer.text


@pytest.mark.parametrize("how", ["field", "query"])
@pytest.mark.parametrize(
    ("next_path", "location"),
    [
        ("/", "/"),
        ("/account/", "/account/"),
        ("", "/"),
        *(
            (path, "/")
            for path in (
                "//evil.example",
                "///evil.example",
                "/\\evil.example",
                "\\\\evil.example",
                "/\t/evil.example",
                "/%09/evil.example",
                "/%2F/evil.example",
                "%2F%2Fevil.example",
                "https://evil.example/",
                "https:evil.example",
                "http:///evil.example",
                "javascript:alert(1)",
                "JaVaScRiPt:alert(1)",
                "data:text/html,hi",
                "//evil.example/account/",
                "/account/../../evil",
                "/account/?x=//evil.example",
                "/account",
                "/account/\r\nSet-Cookie: x=y",
                "/account/%0d%0aSet-Cookie:%20x=y",
                "/log_out/",
                "/users/",
                "@evil.example",
                "/@evil.example",
                ".evil.example",
                "/account/\0",
                "/\u2215evil.example",
                "http://[::1",
            )
        ),
    ],
)
async def test_t25_next_leads_only_to_paths_of_ours(
    serve: Serve, visit: Visit, how: str, next_path: str, location: str
) -> None:
    alice = await visit(await serve())
    await alice.sign_up("alice")
    token = (await alice.get("/log_in/")).csrf_token
    fields = {"csrf_token": token, "username": "alice", "password": PASSWORD}
    if how == "field":
        answer = await alice.post("/log_in/", {**fields, "next": next_path})
    else:
        answer = await alice.post("/log_in/", fields, params={"next": next_path})
    assert (answer.status, answer.location) == (303, location)
    assert "x" not in answer.headers.getall("Set-Cookie")[0].partition("=")[0]


async def test_the_account_page_is_where_one_goes_on_after_log_in(
    serve: Serve, visit: Visit
) -> None:
    alice = await visit(await serve())
    await alice.sign_up("alice")
    sent_away = await alice.get("/account/")
    assert (sent_away.status, sent_away.location) == (303, "/log_in/?next=/account/")
    page = await alice.get("/log_in/?next=/account/")
    fields = {"csrf_token": page.csrf_token, "username": "alice", "password": PASSWORD}
    assert 'name="next" value="/account/"' in page.text
    answer = await alice.post("/log_in/", {**fields, "next": "/account/"})
    assert answer.location == "/account/"
    assert "evil" not in (await alice.get("/log_in/?next=//evil")).text


async def test_t2_log_in_replaces_the_session_that_was_there(serve: Serve, visit: Visit) -> None:
    server = await serve()
    browser = await visit(server, "alice")
    await (await visit(server)).sign_up("bob")
    await browser.log_in("bob")
    bob = await users.find(server.app[DATABASE], "bob")
    alice = await users.find(server.app[DATABASE], "alice")
    assert alice is not None and bob is not None
    assert not await sessions.of_user(server.app[DATABASE], alice.id)
    assert len(await sessions.of_user(server.app[DATABASE], bob.id)) == 1
    assert "bob: Online" in (await browser.get("/")).text


async def test_t8_guessing_is_slowed_down_alike_for_names_that_exist_and_not(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    alice = await visit(server)
    await alice.sign_up("michael")
    tries = {}
    for username in ("michael", "nobody"):
        page = await alice.get("/log_in/")
        fields = {"csrf_token": page.csrf_token, "username": username, "password": "a guess"}
        statuses = [(answer := await alice.post("/log_in/", fields)).status for _ in range(12)]
        tries[username] = statuses
        assert int(answer.headers["Retry-After"]) > 1
        assert "Too many attempts." in answer.text
    assert tries["michael"] == tries["nobody"] == [401] * 10 + [429] * 2
    assert (await alice.log_in("michael")).status == 429


async def test_busy_passwords_are_no_guess_and_nobodys_fault(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve()
    alice = await visit(server)
    await alice.sign_up("alice")

    async def busy(*_: object, **__: object) -> bool:
        raise PasswordsBusy

    with monkeypatch.context() as patch:
        patch.setattr(type(server.app[PASSWORDS]), "verify", busy)
        for _ in range(15):
            answer = await alice.log_in("alice")
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "2"
            assert 'value="alice"' in answer.text
    assert (await alice.log_in("alice")).status == 303


async def test_log_out_ends_the_session_and_deletes_the_cookie(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice = await visit(server, "alice")
    answer = await alice.log_out()
    assert (answer.status, answer.location) == (303, "/log_in/")
    assert len(alice.http.cookie_jar) == 0
    assert not await sessions.of_user(server.app[DATABASE], 1)
    assert (await alice.get("/")).location == "/log_in/"


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("{ours}/", True),
        ("{ours}/account/", True),
        ("{ours}/sign_up/", False),
        ("{ours}.evil.example/", False),
        ("https://evil.example/", False),
        ("nonsense", False),
        ("http://[", False),
    ],
)
async def test_the_log_out_is_told_once_to_whoever_comes_from_a_page_for_those_logged_in(
    serve: Serve, visit: Visit, page: str, told: bool
) -> None:
    alice = await visit(await serve(), "alice")
    await alice.log_out()
    headers = {"Referer": page.format(ours=alice.url)}
    answers = [await alice.get("/log_in/", headers=headers) for _ in range(2)]
    said = ["You are logged out." in answer.text for answer in answers]
    assert said == [told, False]


async def test_t37_log_out_twice_is_no_error(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(), "alice")
    token = (await alice.get("/")).csrf_token
    await alice.post("/log_out/", {"csrf_token": token})
    for fields in ({"csrf_token": token}, {}):
        answer = await alice.post("/log_out/", fields)
        assert (answer.status, answer.location) == (303, "/log_in/")


async def test_log_out_by_get_is_not_allowed(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(), "alice")
    answer = await alice.get("/log_out/")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert (await alice.get("/")).status == 200


async def test_log_out_with_a_bad_token_offers_a_fresh_one(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve(), "alice")
    answer = await alice.post("/log_out/", {"csrf_token": "bad"})
    assert answer.status == 403
    assert (await alice.get("/")).status == 200
    answer = await alice.post("/log_out/", {"csrf_token": answer.csrf_token})
    assert (answer.status, answer.location) == (303, "/log_in/")


async def test_t37_a_page_that_was_under_way_at_log_out_brings_nobody_back(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    bob, alice = await visit(server, "bob"), await visit(server, "alice")
    (session,) = await sessions.of_user(server.app[DATABASE], 2)
    async with bob.live() as socket:
        await socket.sees("alice", "online")
        await alice.log_out()
        await socket.sees("alice", "offline")
        server.app[PRESENCE].claim(OWN, Who(session.key, "alice"))
        assert server.app[PRESENCE].status_of("alice") is None
