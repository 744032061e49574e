"""A device that has logged in before is not held up by what strangers guess."""

import asyncio
import re
import time

import pytest

from presence_server.keys import KEYRING
from presence_server.web.devices import device_of, proof_of
from tests.conftest import Serve, ServerProcesses, Visit
from testing.visitor import PASSWORD, Visitor
from testing.waiting import STALL, until

NEW = "another good one"
_META = re.compile(r'<meta name="device" content="([^"]+)">')


async def proof_given_to(visitor: Visitor) -> str:
    """What the page's script keeps for the next log-in."""
    found = _META.search((await visitor.get("/")).text)
    assert found is not None
    return found[1]


async def guess(visitor: Visitor, username: str, count: int) -> list[int]:
    token = (await visitor.get("/log_in/")).csrf_token
    fields = {"csrf_token": token, "username": username, "password": "a guess"}
    return [(await visitor.post("/log_in/", fields)).status for _ in range(count)]


async def log_in(visitor: Visitor, username: str, **fields: str) -> int:
    typed = {"username": username, "password": PASSWORD, **fields}
    return (await visitor.submit("/log_in/", typed)).status


async def test_t10_guesses_from_ones_own_address_hold_up_only_strangers(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    alice, mallory = await visit(server, "alice"), await visit(server)
    proof = await proof_given_to(alice)
    await alice.log_out()
    assert (await guess(mallory, "alice", 40))[-1] == 429
    assert await log_in(alice, "alice") == 429
    assert await log_in(alice, "ALICE", device=proof) == 303


async def test_a_browser_that_has_not_logged_out_needs_no_script_for_it(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    phone, laptop, mallory = (
        await visit(server, "alice"),
        await visit(server),
        await visit(server),
    )
    await laptop.log_in("alice")
    await laptop.submit("/account/end", {"device": "others"}, form="/account/")
    assert (await phone.get("/")).location == "/log_in/"
    assert (await guess(mallory, "alice", 20))[-1] == 429
    assert await log_in(phone, "alice") == 303


async def test_a_proof_is_good_for_one_account_and_one_password(
    serve: Serve, visit: Visit
) -> None:
    server = await serve()
    alice, mallory = await visit(server, "alice"), await visit(server, "mallory")
    of_alice, of_mallory = await proof_given_to(alice), await proof_given_to(mallory)
    change = {"old_password": PASSWORD, "password1": NEW, "password2": NEW}
    assert (await alice.submit("/account/password", change, form="/account/")).status == 303
    renewed = await proof_given_to(alice)
    assert renewed != of_alice
    await alice.log_out()
    await mallory.log_out()
    assert (await guess(mallory, "alice", 20))[-1] == 429
    for proof in (of_mallory, of_alice, "x", "\0", renewed[:-1], renewed.swapcase(), "é" * 61):
        assert await log_in(mallory, "alice", password=NEW, device=proof) == 429
    assert await log_in(mallory, "alice", password=NEW, device=renewed) == 303


async def test_t10_guesses_on_a_known_device_are_counted(serve: Serve, visit: Visit) -> None:
    server = await serve()
    alice = await visit(server, "alice")
    proof = await proof_given_to(alice)
    wrong = {"username": "alice", "password": "a guess", "device": proof}
    statuses = [(await alice.submit("/log_in/", wrong)).status for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2


async def test_rotated_keys_still_know_a_device(serve: Serve) -> None:
    keyring = (await serve()).app[KEYRING]
    proof = proof_of(keyring, None, 1, "hash")
    device = device_of(keyring, proof, 1, "hash")
    assert device is not None and proof_of(keyring, device, 1, "hash") == proof
    assert device_of(keyring, proof, 2, "hash") is None
    assert device_of(keyring, proof, 1, "other hash") is None


@pytest.mark.alone
@pytest.mark.slow
async def test_t10_fifty_attackers_keep_nobody_out(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(bcrypt_cost=9, trusted_proxies="127.0.0.1")
    alice, elsewhere = await visit(server, "alice"), await visit(server)
    proof = await proof_given_to(alice)
    await alice.log_out()
    async with asyncio.TaskGroup() as attackers:
        tasks = [attackers.create_task(_attack(await visit(server), n)) for n in range(50)]
        # The hashes that may wait all do.
        await until(lambda: "503" in server.log, 20)
        started = time.monotonic()
        assert await log_in(alice, "alice", device=proof) == 303
        assert time.monotonic() - started < 2 + STALL
        while (status := await log_in(elsewhere, "alice")) != 303:
            assert status == 503
            assert time.monotonic() - started < 80
            # As it is told to.
            await asyncio.sleep(2)
        for task in tasks:
            task.cancel()


async def _attack(attacker: Visitor, number: int) -> None:
    """Guess at alice's password and at others', from an address of one's own."""
    headers = {"X-Forwarded-For": f"10.0.{number}.1"}
    token = (await attacker.get("/log_in/")).csrf_token
    for guesses in range(1_000_000):
        fields = {"csrf_token": token, "username": "alice", "password": "a guess"}
        if guesses % 2:
            fields["username"] = f"user{guesses}"
        await attacker.post("/log_in/", fields, headers=headers)
        # Two hundred a second, all together.
        await asyncio.sleep(0.25)
