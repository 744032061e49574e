from presence_server.web.cors import answer_headers, preflight_headers

LISTED = {"https://wiki.example", "http://localhost:3000"}


def test_a_listed_origin_may_read_the_answer_and_nobody_else() -> None:
    headers = answer_headers("https://wiki.example", LISTED)
    assert headers["Access-Control-Allow-Origin"] == "https://wiki.example"
    assert headers["Vary"] == "Origin"
    others = (None, "", "null", "*", "https://wiki.example.evil", "http://wiki.example")
    for origin in (*others, "https://WIKI.example", "https://wiki.example:443", "https://wiki"):
        assert answer_headers(origin, LISTED) == {"Vary": "Origin"}


def test_cookies_are_never_allowed() -> None:
    for origin in LISTED:
        headers = preflight_headers(origin, LISTED, ("GET", "POST"))
        assert "Access-Control-Allow-Credentials" not in headers


def test_a_preflight_allows_what_our_clients_send() -> None:
    assert preflight_headers("http://localhost:3000", LISTED, ("GET", "POST")) == {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": "http://localhost:3000",
        "Access-Control-Expose-Headers": "Retry-After, WWW-Authenticate",
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "authorization, content-type, last-event-id",
        "Access-Control-Max-Age": "7200",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    assert preflight_headers("https://evil.example", LISTED, ("GET",)) == {"Vary": "Origin"}
