"""Accounts out of tables: what would happen is shown, and then all of it happens or nothing."""

import io
import re
from html import unescape

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from presence_server.accounts import audit, users
from presence_server.csv_text import csv_rows
from presence_server.keys import DATABASE
from presence_server.web.bodies import LARGEST_TABLE
from testing.visitor import Page, Visitor, hidden_field
from tests.admin.conftest import Administrator
from tests.conftest import Serve, Visit

NEW = "another good one"


async def upload(visitor: Visitor, table: bytes, token: str | None = None) -> Page:
    if token is None:
        token = (await visitor.get("/admin/import/")).csrf_token
    form = aiohttp.FormData()
    form.add_field("csrf_token", token)
    form.add_field("table", io.BytesIO(table), filename="people.csv", content_type="text/csv")
    return await visitor._ask("POST", "/admin/import/", data=form)


async def make(visitor: Visitor, shown: Page) -> Page:
    fields = {name: hidden_field(shown.text, name) for name in ("csrf_token", "table")}
    return await visitor.post("/admin/import/make", fields)


async def number_of_accounts(server: TestServer) -> int:
    return await users.count(server.app[DATABASE])


@pytest.mark.both_databases
async def test_a_table_becomes_accounts_whose_owners_choose_their_passwords(
    serve: Serve, visit: Visit, administrator: Administrator
) -> None:
    server = await serve()
    alice, bob = await administrator(server), await visit(server)
    lines = ["Class;Username;Name", "7b;bob;Bob Brün", '7b;"Carol"', ";", "7c;ALICE", ""]
    table = "\r\n".join(lines).encode("utf-8-sig")
    shown = await upload(alice, table)
    assert "2 accounts would be added" in shown.text and "1 account already exists" in shown.text
    assert await number_of_accounts(server) == 1
    made = await make(alice, shown)
    assert "2 accounts added" in made.text
    links = dict(re.findall(r"(\w+),http://[^/]+(/reset/[\w-]+)", unescape(made.text)))
    assert list(links) == ["bob", "Carol"]
    answer = await bob.submit(links["bob"], {"password1": NEW, "password2": NEW})
    assert answer.status == 303
    assert (await bob.log_in("bob", NEW)).status == 303
    assert "Bob Brün" in (await alice.get("/admin/accounts/?q=brun")).text
    assert "Bob Brün" in (await bob.get("/")).text
    (entry,) = await audit.page(server.app[DATABASE], None, None, 10)
    assert entry.act == "added 2 accounts from a table"


async def test_what_somebody_took_meanwhile_is_shown_and_nothing_is_half_done(
    serve: Serve, administrator: Administrator
) -> None:
    server = await serve()
    alice = await administrator(server)
    shown = await upload(alice, b"username\nbob\ncarol\n")
    await users.create(server.app[DATABASE], "Carol", "", 1)
    answer = await make(alice, shown)
    assert answer.status == 409
    assert "1 account would be added" in answer.text and "nothing was added" in answer.text
    assert await number_of_accounts(server) == 2
    assert (await make(alice, answer)).status == 200
    assert await number_of_accounts(server) == 3


async def test_an_apostrophe_is_taken_from_formulas_only(
    serve: Serve, administrator: Administrator
) -> None:
    server = await serve()
    alice = await administrator(server)
    names = {"bob": "'t Hart", "carol": "=1+1", "dave": "@home", "erin": "-", "frank": "'Abd"}
    rows = [("username", "name"), *names.items()]
    await make(alice, await upload(alice, csv_rows(rows)))
    for username, name in names.items():
        user = await users.find(server.app[DATABASE], username)
        assert user is not None and user.name == name


HOSTILE = {
    b"": "one of them",
    b"name\nbob\n": "one of them",
    b"username,username\nbob,bob\n": "one of them",
    b"username\n": "no account",
    b"username;x\n\n;y;;\n": "Line 3: A username has",
    b"username\nM\xfcller\n": "not in UTF-8",
    b"PK\x03\x04\x14\x00": "not a table of text",
    b"\xff\xfeu": "not in UTF-8",
    "username,name\nbob,\u202ebob\n".encode(): "Line 2: A name cannot have",
    b'username\n"bob\n': "Line 2 is broken",
    b"username\n" + b"x" * 140_000: "is broken",
    b"username\nbob\nBOB\n": "twice",
    b"username\n=1+1\n": "Line 2: A username is made of",
    b"username\n<script>alert(1)</script>\n": "letters a to z",
    b"username\n" + b"".join(b"user%d\n" % n for n in range(5001)): "At most 5,000",
}


async def test_hostile_tables_make_nothing(serve: Serve, administrator: Administrator) -> None:
    server = await serve()
    alice = await administrator(server)
    token = (await alice.get("/admin/import/")).csrf_token
    for table, words in HOSTILE.items():
        answer = await upload(alice, table, token)
        assert words in answer.text, (table[:40], answer.text)
        assert "<script>alert" not in answer.text
        # Who leaves the preview out comes no further.
        text = table.decode("utf-8", "replace").replace("\0", "")
        fields = {"csrf_token": token, "table": text}
        answer = await alice.post("/admin/import/make", fields)
        assert answer.status in (400, 409)
    assert (await upload(alice, b"username\nbob\n", "x")).status == 403
    assert (await upload(alice, b"x" * LARGEST_TABLE * 2, token)).status == 413
    assert (await alice.post("/admin/import/", {"csrf_token": token})).status == 415
    for boundary in ("", "; boundary=x", ";boundary*=é''"):
        head = "multipart/form-data" + boundary
        answer = await alice._ask(
            "POST", "/admin/import/", data=b"--x\r\n\r\n--x--", headers={"Content-Type": head}
        )
        assert answer.status in (400, 403)
    for part in (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
        b"Content-Type: message/rfc822\r\n\r\n",
        b"--x\r\n\r\n",
        b"Content-Disposition: form-data;" + b";" * 1000 + b"\r\n",
        b"Content-Disposition: form-data; " + b"name*0=a; " * 1000,
    ):
        body = b"--x\r\n" + part * (LARGEST_TABLE // len(part))
        head = "multipart/form-data; boundary=x"
        answer = await alice._ask(
            "POST", "/admin/import/", data=io.BytesIO(body), headers={"Content-Type": head}
        )
        assert answer.status == 403
    assert await number_of_accounts(server) == 1
    # What this server wrote out it reads again, in any order of bytes.
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        shown = await upload(alice, "username\nbob\n".encode(encoding), token)
        assert "1 account would be added" in shown.text


@pytest.mark.both_databases
async def test_many_at_once(serve: Serve, administrator: Administrator) -> None:
    server = await serve()
    alice = await administrator(server)
    table = b"username\n" + b"".join(b"person%d\n" % n for n in range(1200))
    made = await make(alice, await upload(alice, table))
    assert "1200 accounts added" in made.text
    assert made.text.count("/reset/") == 1200
    assert await number_of_accounts(server) == 1201
