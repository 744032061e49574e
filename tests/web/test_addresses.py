"""Addresses as people and their programs type them."""

import pytest

from tests.conftest import Serve, Visit


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/account", 308, "/account/"),
        ("/log_in?next=/account/", 308, "/log_in/?next=/account/"),
        ("/log_in?next=%2Faccount%2F&x=%C3%A4", 308, "/log_in/?next=/account/&x=%C3%A4"),
        ("/sign_up", 308, "/sign_up/"),
        ("/log_out", 308, "/log_out/"),
        ("/users", 308, "/users/"),
        ("/users/", 303, "/"),
        ("/.well-known/change-password", 302, "/account/"),
    ],
)
async def test_what_was_typed_leads_where_it_was_meant(
    serve: Serve, visit: Visit, path: str, status: int, location: str
) -> None:
    visitor = await visit(await serve())
    answer = await visitor.get(path)
    assert (answer.status, answer.location) == (status, location)


async def test_nothing_leads_to_another_site(serve: Serve, visit: Visit) -> None:
    visitor = await visit(await serve())
    for path in ("//evil.example/account", "//evil.example", "/account//evil.example"):
        assert (await visitor.get(path)).location is None
    answer = await visitor.post("/log_out", {}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403
