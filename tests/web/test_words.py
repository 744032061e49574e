"""What pages say to people whose form, cookie or address was not as expected."""

import re

import pytest

from presence_server.accounts import sessions, users
from presence_server.endings import Endings, Reason
from presence_server.keys import DATABASE, PRESENCE
from testing.visitor import PASSWORD, Page
from tests.conftest import Serve, Visit

NEW = "another good one"
CREDENTIALS = {"username": "alice", "password": PASSWORD}


def alert(page: Page) -> str:
    found = re.search(r'role="alert">([^<]*)<', page.text)
    assert found is not None, page.text
    return found[1]


def news(page: Page) -> str:
    found = re.search(r'class="outcome" role="status">([^<]*)<', page.text)
    return "" if found is None else found[1]


@pytest.mark.parametrize("typed", ["alice ", " alice", "\talice\r\n", "\u00a0Alice\u3000"])
async def test_blanks_around_a_username_do_not_count(
    serve: Serve, visit: Visit, typed: str
) -> None:
    server = await serve()
    alice = await visit(server)
    assert (await alice.sign_up(typed)).status == 303
    assert (await alice.log_in(typed)).status == 303
    assert (await alice.log_in("alice")).status == 303
    assert await users.find(server.app[DATABASE], "alice")


@pytest.mark.parametrize("path", ["/sign_up/", "/log_in/"])
async def test_a_browser_without_cookies_is_told_so(
    serve: Serve, visit: Visit, path: str
) -> None:
    alice = await visit(await serve())
    token = (await alice.get(path)).csrf_token
    (name,) = [cookie.key for cookie in alice.http.cookie_jar]
    alice.http.cookie_jar.clear()
    answer = await alice.post(path, {**CREDENTIALS, "csrf_token": token})
    assert answer.status == 403
    assert "sent no cookie" in alert(answer) and "allow cookies for this site." in alert(answer)
    # With a cookie that nobody can read any more it is the page.
    answer = await alice.post(path, {}, headers={"Cookie": f"{name}=x"})
    assert "too old" in alert(answer)


async def test_two_cookies_of_our_name_are_told(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve())
    page = await alice.get("/log_in/")
    (cookie,) = alice.http.cookie_jar
    headers = {"Cookie": f"{cookie.key}=x; {cookie.key}={cookie.value}"}
    alice.http.cookie_jar.clear()
    fields = {**CREDENTIALS, "csrf_token": page.csrf_token}
    assert "two cookies" in alert(await alice.post("/log_in/", fields, headers=headers))


async def test_whoever_comes_without_https_to_a_site_with_it_is_told(
    serve: Serve, visit: Visit
) -> None:
    alice = await visit(await serve(public_url="https://presence.example"))
    headers = {"Origin": "http://presence.example"}
    answer = await alice.post("/log_in/", CREDENTIALS, headers=headers)
    assert answer.status == 403
    assert "works with https only: open https://presence.example instead." in answer.text
    answer = await alice.post("/log_in/", CREDENTIALS, headers={"Origin": "http://evil.example"})
    assert "Request refused." in answer.text
    # A browser that tells nothing of where it is.
    assert "begin its address with https://" in alert(await alice.post("/log_in/", CREDENTIALS))


async def test_a_second_tab_with_a_log_in_form_leads_to_the_list(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    alice = await visit(server)
    await alice.sign_up("alice")
    tabs = [await alice.get("/log_in/") for _ in range(2)]
    for number, tab in enumerate(tabs):
        # Even if another password is typed.
        fields = {**CREDENTIALS, "csrf_token": tab.csrf_token, "password": PASSWORD + "x" * number}
        answer = await alice.post("/log_in/", fields)
        assert (answer.status, answer.location) == (303, "/")
    assert len(await sessions.of_user(server.app[DATABASE], 1)) == 1
    # A page of nobody's is refused all the same.
    assert (await alice.post("/log_in/", {**CREDENTIALS, "csrf_token": "x"})).status == 403


async def test_whoever_is_logged_in_finds_no_form_that_would_log_them_out(
    serve: Serve, visit: Visit
) -> None:
    alice = await visit(await serve(), "alice")
    for path in ("/log_in/", "/sign_up/", "/log_in/?next=//evil.example"):
        page = await alice.get(path)
        assert page.status == 200
        assert "You are logged in" in page.text
        assert 'name="password' not in page.text
        assert f"{alice.url.removeprefix('http://')}/sign_up/" in page.text
    answer = await alice.get("/log_in/?next=/account/")
    assert (answer.status, answer.location) == (303, "/account/")


async def test_the_first_one_is_given_an_address_to_share_and_no_link(
    serve: Serve, visit: Visit
) -> None:
    for settings, host in (({}, None), ({"public_url": "http://presence.example:81"},) * 2):
        alice = await visit(await serve(**settings))
        await (alice.enter("alice") if host is None else alice.log_in("alice"))
        page = (await alice.get("/")).text
        assert 'href="/sign_up/"' not in page
        shared = "presence.example:81" if host else alice.url.removeprefix("http://")
        assert f">{shared}/sign_up/<" in page


async def test_the_name_is_filled_in_after_the_sign_up(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve())
    await alice.sign_up("Alice")
    first, second = [await alice.get("/log_in/") for _ in range(2)]
    assert 'value="Alice"' in first.text and 'value="Alice"' not in second.text
    assert re.search(r'name="password"[^>]* autofocus', first.text)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        (
            Reason.ENDED,
            "This device was logged out from another one, or by whoever runs this site.",
        ),
        (Reason.PASSWORD, "Your password was changed, and all other devices are"),
        (Reason.DELETED, "Your account has been deleted."),
        (Reason.DISABLED, "Your account was disabled by whoever runs this site."),
        (Reason.EXPIRED, "You were logged out because this device had not been used"),
    ],
)
@pytest.mark.both_databases
async def test_whose_session_has_ended_is_told_why_once(
    serve: Serve, visit: Visit, how: Reason, sentence: str
) -> None:
    server = await serve()
    phone, alice = await visit(server, "alice"), await visit(server)
    await alice.log_in("alice")
    database = server.app[DATABASE]
    if how is Reason.PASSWORD:
        fields = {"old_password": PASSWORD, "password1": NEW, "password2": NEW}
        await alice.submit("/account/password", fields, form="/account/")
    elif how is Reason.DELETED:
        await alice.submit("/account/delete", {"password": PASSWORD}, form="/account/")
    elif how is Reason.DISABLED:
        await users.disable(Endings(database), 1, 1)
    else:
        await sessions.end_all(Endings(database), 1, 1, how)
    assert (await phone.get("/")).location == "/log_in/"
    assert news(await phone.get("/log_in/")).startswith(sentence)
    assert news(await phone.get("/log_in/")) == ""


@pytest.mark.parametrize("path", ["/?q=a%26b", "/?q=al&here=1", "/?after=bob"])
async def test_a_search_survives_the_log_in(serve: Serve, visit: Visit, path: str) -> None:
    alice = await visit(await serve())
    await alice.sign_up("alice")
    answer = await alice.get(path)
    assert answer.status == 303 and answer.location is not None
    page = await alice.get(answer.location)
    found = re.search(r'name="next" value="([^"]*)"', page.text)
    assert found is not None
    fields = {**CREDENTIALS, "csrf_token": page.csrf_token}
    next_page = found[1].replace("&amp;", "&")
    assert (await alice.post("/log_in/", {**fields, "next": next_page})).location == path


@pytest.mark.parametrize("path", ["/?x=1", "/?q=a&next=//evil.example", "//evil.example/?q=a"])
async def test_nothing_else_survives_it(serve: Serve, visit: Visit, path: str) -> None:
    alice = await visit(await serve())
    await alice.sign_up("alice")
    fields = {**CREDENTIALS, "csrf_token": (await alice.get("/log_in/")).csrf_token}
    assert (await alice.post("/log_in/", {**fields, "next": path})).location == "/"


@pytest.mark.parametrize("form", ["password", "end", "delete"])
async def test_enter_in_the_address_of_a_refused_form_leads_to_the_account_page(
    serve: Serve, visit: Visit, form: str
) -> None:
    alice = await visit(await serve(), "alice")
    answer = await alice.submit(f"/account/{form}", {}, form="/account/")
    assert answer.status == 400
    answer = await alice.get(f"/account/{form}")
    assert (answer.status, answer.location) == (303, "/account/")


@pytest.mark.parametrize("path", ["/account/", "/nothing", "/log_in/"])
async def test_whoever_looks_at_a_page_of_ours_is_here(
    serve: Serve, visit: Visit, path: str
) -> None:
    server = await serve(grace=0.1)
    alice, bob = await visit(server, "alice"), await visit(server, "bob")
    async with bob.live() as socket:
        await socket.first()
        await socket.sees("alice", "offline")
        await alice.get(path)
        await socket.sees("alice", "online")
    assert server.app[PRESENCE].degraded is False


@pytest.mark.parametrize(
    ("method", "path", "title"),
    [("GET", "/nothing", "Nothing here"), ("GET", "/log_out/", "This is no page")],
)
async def test_errors_are_said_in_words_for_people(
    serve: Serve, visit: Visit, method: str, path: str, title: str
) -> None:
    page = (await (await visit(await serve())).get(path)).text
    assert f'<h1 id="title">{title}</h1>' in page
    assert "Not Found" not in page and "Method Not Allowed" not in page


async def test_nothing_of_the_librarys_own_words_is_shown(serve: Serve, visit: Visit) -> None:
    alice = await visit(await serve())
    page = await alice.post("/log_in/", {"username": "a" * 100_000})
    assert page.status == 413
    assert "You sent more than this site accepts." in page.text and "Maximum" not in page.text
