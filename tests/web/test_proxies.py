import pytest

from presence_server.accounts import sessions
from presence_server.settings import read_config
from presence_server.keys import DATABASE
from presence_server.web.devices import device_name, kind_of
from tests.conftest import Serve, Visit
from testing.visitor import PASSWORD


@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        ("", None, "127.0.0.1"),
        ("", "203.0.113.9", "127.0.0.1"),
        ("10.0.0.0/8", "203.0.113.9", "127.0.0.1"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        # What the client itself claimed stands to the left.
        ("127.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1, 10.0.0.0/8", "1.1.1.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("127.0.0.1, 10.0.0.0/8", "10.9.9.9, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("127.0.0.1", "1.1.1.1, 203.0.113.9, 10.1.2.3", "10.1.2.3"),
        ("127.0.0.1, 10.0.0.0/8", "10.1.2.3, 10.1.2.4", "10.1.2.3"),
        ("127.0.0.1", " 203.0.113.9 ", "203.0.113.9"),
        ("127.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("127.0.0.1", "[2001:DB8::7]", "2001:db8::7"),
        ("127.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, nonsense", "127.0.0.1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", ",,,", "127.0.0.1"),
        # As different proxies write it: with a port, in brackets, with empty places, in quotes.
        ("127.0.0.1", "203.0.113.9,", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9 , ,\t", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9:51234", "203.0.113.9"),
        ("127.0.0.1", "[2001:db8::7]:51234", "2001:db8::7"),
        ("127.0.0.1", "2001:db8::7%eth0", "2001:db8::7"),
        ("127.0.0.1", '"203.0.113.9"', "203.0.113.9"),
        ("127.0.0.1, 10.0.0.0/8", "203.0.113.9:1, 10.1.2.3:2", "203.0.113.9"),
        ("::ffff:127.0.0.0/104", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9:port", "127.0.0.1"),
        ("127.0.0.1", "[2001:db8::7", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9 203.0.113.8", "127.0.0.1"),
        ("127.0.0.1", "<script>", "127.0.0.1"),
        ("127.0.0.1", "9" * 5000, "127.0.0.1"),
    ],
)
async def test_t29_the_clients_address(
    serve: Serve, visit: Visit, trusted: str, forwarded: str | None, address: str
) -> None:
    networks = read_config({"trusted_proxies": trusted}, {}).trusted_proxies
    server = await serve(trusted_proxies=networks)
    alice = await visit(server)
    await alice.sign_up("alice")
    if forwarded is not None:
        alice.http.headers["X-Forwarded-For"] = forwarded
    await alice.log_in("alice")
    (session,) = await sessions.of_user(server.app[DATABASE], 1)
    assert session.address == address


async def test_t29_several_headers_count_as_one(serve: Serve, visit: Visit) -> None:
    server = await serve(public_url="http://presence.example")
    alice = await visit(server)
    await alice.sign_up("alice")
    page = await alice.get("/log_in/")
    fields = {"csrf_token": page.csrf_token, "username": "alice", "password": PASSWORD}
    headers = [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "203.0.113.9")]
    assert (await alice.post("/log_in/", fields, headers=headers)).status == 303
    (session,) = await sessions.of_user(server.app[DATABASE], 1)
    assert session.address == "203.0.113.9"


@pytest.mark.parametrize(
    ("user_agent", "name", "kind"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
         "Firefox on Linux", "computer"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
         " Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0", "Edge on Windows", "computer"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
         " Chrome/143.0.0.0 Safari/537.36", "Chrome on Windows", "computer"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15"
         " (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1",
         "Safari on iPhone", "mobile"),
        ("Mozilla/5.0 (Linux; Android 15; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko)"
         " SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
         "Samsung Internet on Android", "mobile"),
        ("curl/8.5.0", "curl", None),
        ("", "Unknown device", None),
        ("\udcff\x1b[31m<script>", "Unknown device", None),
    ],
)  # fmt: skip
def test_devices_are_named_as_people_name_them(
    user_agent: str, name: str, kind: str | None
) -> None:
    assert device_name(user_agent) == name
    assert kind_of(name) == kind
