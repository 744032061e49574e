import asyncio
import gc
import logging
import os
import statistics
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import AsyncIterator

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presence_server.accounts import queues
from presence_server.accounts import passwords as passwords_module
from presence_server.accounts.queues import Waiter
from presence_server.accounts.passwords import (
    MOST_WAITING,
    Passwords,
    PasswordsBusy,
    password_problem,
)
from presence_server.resources import ROOT
from testing.waiting import until

GOOD = "johnson123"


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    passwords = Passwords(cost=4)
    yield passwords
    passwords.close()


class Gate:
    """Work for the pool that ends when it is told to."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.passed: list[str] = []

    def __call__(self, password: str, *values: object) -> str:
        assert self.opened.wait(10)
        self.passed.append(password)
        return password


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr(passwords_module, "_hash", gate)
    return gate


async def test_a_password_fits_its_hash_and_no_other(passwords: Passwords) -> None:
    hashed = await passwords.hash(GOOD)
    assert hashed.startswith("$2b$04$")
    assert await passwords.hash(GOOD) != hashed
    assert await passwords.verify(GOOD, hashed)
    for wrong in ("", "Johnson123", GOOD + " ", GOOD + "\0", f"{GOOD}\0{GOOD}", "\udc80"):
        assert not await passwords.verify(wrong, hashed)


async def test_nobody_logs_in_without_an_account(passwords: Passwords) -> None:
    for password in ("", GOOD, "." * 31):
        assert not await passwords.verify(password, None)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 64, 71, 72, 73, 74, 1000])
@pytest.mark.parametrize("character", ["x", "é", "€", "😀"])
async def test_t15_no_length_is_an_error_and_nothing_is_cut_off(
    passwords: Passwords, character: str, length: int
) -> None:
    password = character * length
    first_72 = password.encode()[:72]
    hashed = bcrypt.hashpw(first_72, bcrypt.gensalt(4)).decode()
    assert await passwords.verify(password, hashed) == (len(password.encode()) <= 72)


async def test_a_stored_hash_that_is_none_lets_nobody_in(
    passwords: Passwords, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        for malformed in ("x", "$2b$04$short", "\0", "$2b$99$" + "x" * 53):
            assert not await passwords.verify(GOOD, malformed)
    assert "malformed" in caplog.text
    assert "$2b$" not in caplog.text and GOOD not in caplog.text


@pytest.mark.parametrize("cost", [6, 8], ids=["of a lower cost", "of our cost"])
async def test_t13_unknown_names_take_as_long_as_wrong_passwords(cost: int) -> None:
    """In turns and by the processor's time, so that other programs do not matter."""
    passwords = Passwords(cost=8)
    hashed = bcrypt.hashpw(GOOD.encode(), bcrypt.gensalt(cost)).decode()
    times: dict[str | None, list[float]] = {hashed: [], None: []}
    for _ in range(40):
        for known, spent in times.items():
            started = time.process_time_ns()
            assert not await passwords.verify("wrong password", known)
            spent.append(time.process_time_ns() - started)
    passwords.close()
    wrong, unknown = (statistics.median(spent) for spent in times.values())
    # A check that was left out would make a third or more.
    assert abs(wrong - unknown) / wrong < 0.25


async def test_t14_so_many_may_wait_and_no_more(passwords: Passwords, gate: Gate) -> None:
    workers = passwords._pool._max_workers
    waiting = [
        asyncio.ensure_future(passwords.hash(f"{n}")) for n in range(workers + MOST_WAITING)
    ]
    await asyncio.sleep(0)
    for refused in (passwords.hash(GOOD), passwords.verify(GOOD, None), passwords.problem("", "")):
        with pytest.raises(PasswordsBusy):
            await refused
    gate.opened.set()
    await asyncio.gather(*waiting)
    assert await passwords.hash(GOOD) == GOOD


async def test_who_gives_up_makes_room_and_costs_nothing(passwords: Passwords, gate: Gate) -> None:
    workers = passwords._pool._max_workers
    running = [asyncio.ensure_future(passwords.hash(f"running {n}")) for n in range(workers)]
    gone = [asyncio.ensure_future(passwords.hash(f"gone {n}")) for n in range(MOST_WAITING)]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    await asyncio.wait(gone)
    patient = [asyncio.ensure_future(passwords.hash(f"patient {n}")) for n in range(MOST_WAITING)]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(*running, *patient)
    assert not [password for password in gate.passed if password.startswith("gone")]


async def test_those_who_were_here_before_and_strangers_take_turns(
    passwords: Passwords, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords_module, "_matches", gate)
    workers = passwords._pool._max_workers
    waiting = [
        asyncio.ensure_future(passwords.verify(f"stranger {n}", None))
        for n in range(workers + MOST_WAITING)
    ]
    await asyncio.sleep(0)
    assert passwords.busy() and not passwords.busy(known=True)
    waiting += [
        asyncio.ensure_future(passwords.verify(f"known {n}", None, known=True)) for n in range(3)
    ]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(*waiting)
    assert {"known 0", "known 1", "known 2"} <= set(gate.passed[: 3 * workers + 6])


async def test_one_account_keeps_no_other_out_that_was_here_before(
    passwords: Passwords, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords_module, "_matches", gate)
    workers = passwords._pool._max_workers
    mallory, alice = Waiter(b"mallory"), Waiter(b"alice")
    waiting = [
        asyncio.ensure_future(passwords.verify(f"mallory {n}", None, mallory, known=True))
        for n in range(workers + MOST_WAITING)
    ]
    await asyncio.sleep(0)
    assert passwords.busy(mallory, known=True) and not passwords.busy(alice, known=True)
    hers = asyncio.ensure_future(passwords.verify("alice", None, alice, known=True))
    await asyncio.sleep(0)
    gate.opened.set()
    await hers
    # Her turn came next but for those whose hash had begun, and one who waited made room.
    assert gate.passed.index("alice") <= 2 * workers
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results].count(PasswordsBusy) == 1


async def test_nobody_queues_for_one_who_is_gone(passwords: Passwords, gate: Gate) -> None:
    workers = passwords._pool._max_workers
    running = [asyncio.ensure_future(passwords.hash(f"running {n}")) for n in range(workers)]
    gone = asyncio.get_running_loop().create_future()
    waiting = [
        asyncio.ensure_future(passwords.hash("gone", Waiter(gone=gone))) for _ in range(5)
    ]
    await asyncio.sleep(0)
    gone.set_result(None)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionResetError] * 5
    gate.opened.set()
    await asyncio.gather(*running)
    assert "gone" not in gate.passed
    assert await passwords.hash(GOOD) == GOOD


async def test_queues_end_in_time_and_with_the_server(
    passwords: Passwords, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = passwords._pool._max_workers
    running = [asyncio.ensure_future(passwords.hash(f"running {n}")) for n in range(workers)]
    await asyncio.sleep(0)
    monkeypatch.setattr(queues, "LONGEST", 0.05)
    with pytest.raises(PasswordsBusy):
        await passwords.hash("late")
    monkeypatch.setattr(queues, "LONGEST", 30)
    waiting = asyncio.ensure_future(passwords.hash("waiting"))
    await asyncio.sleep(0)
    passwords.stop()
    for refused in (waiting, passwords.hash("after the end")):
        with pytest.raises(PasswordsBusy):
            await refused
    gate.opened.set()
    await asyncio.gather(*running)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priorities of their own")
async def test_t14_passwords_get_what_others_leave_of_the_processors(passwords: Passwords) -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert passwords._pool.submit(priority).result(10) > priority()


_WITHOUT_SYS_NICE = ("--bounding-set=-sys_nice", "--inh-caps=-sys_nice")
_HASH_AT_ONCE = """
import asyncio, os, threading
from presence_server.accounts.passwords import Passwords

async def main():
    passwords = Passwords(4)
    async with asyncio.timeout(20):
        print(*[(await passwords.hash("johnson123"))[:4] for _ in range(5)])
    thread = passwords._pool.submit(threading.get_native_id).result()
    print(os.getpriority(os.PRIO_PROCESS, thread))

asyncio.run(main())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="becomes somebody without rights")
@pytest.mark.parametrize("niceness", [0, 10, 19])
# As in a container: without the right to raise one's own priority.
@pytest.mark.parametrize("weak", [[], ["setpriv", *_WITHOUT_SYS_NICE]], ids=["strong", "weak"])
def test_passwords_are_hashed_whatever_the_niceness_of_the_process(
    niceness: int, weak: list[str]
) -> None:
    done = subprocess.run(
        ["nice", "-n", f"{niceness}", *weak, sys.executable, "-c", _HASH_AT_ONCE],
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    *hashed, nicer = done.stdout.split()
    assert hashed == ["$2b$"] * 5
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert int(nicer) == min(19, min(19, ours + niceness) + 5)


async def test_a_turn_that_could_not_be_used_goes_to_the_next(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_threads(*values: object) -> None:
        raise RuntimeError("can't start new thread")

    workers = passwords._pool._max_workers
    with monkeypatch.context() as without_threads:
        without_threads.setattr(passwords._pool, "submit", out_of_threads)
        for _ in range(workers + 1):
            with pytest.raises(RuntimeError, match="new thread"):
                await passwords.hash(GOOD)
    async with asyncio.timeout(10):
        assert await passwords.hash(GOOD)


async def test_a_failure_that_nobody_waits_for_is_logged_once(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened = threading.Event()

    def fail(*values: object) -> None:
        assert opened.wait(10)
        raise RuntimeError("no memory")

    monkeypatch.setattr(passwords_module, "_hash", fail)
    hashing = asyncio.ensure_future(passwords.hash(GOOD))
    await asyncio.sleep(0)
    hashing.cancel()
    await asyncio.wait([hashing])
    opened.set()
    await until(lambda: caplog.records, 10)
    gc.collect()
    (told,) = caplog.records
    assert told.name == "presence_server.background" and told.exc_info


@pytest.mark.parametrize("typed", ["déjà-vu-№9", "한글-비밀번호", "ﬁ-é-ligature", "𝅗𝅥-odd-é"])
async def test_every_spelling_of_the_same_letters_is_one_password(
    passwords: Passwords, typed: str
) -> None:
    spellings = {typed, *(unicodedata.normalize(form, typed) for form in ("NFC", "NFD"))}
    for chosen in spellings:
        # As it was hashed before, and as it is now.
        for hashed in bcrypt.hashpw(chosen.encode(), bcrypt.gensalt(4)), None:
            stored = hashed.decode() if hashed else await passwords.hash(chosen)
            for spelling in spellings:
                assert await passwords.verify(spelling, stored)
            assert not await passwords.verify(typed[:-1], stored)


def test_a_password_is_as_long_as_it_is_when_composed() -> None:
    decomposed = unicodedata.normalize("NFD", "é" * 35)
    assert len(decomposed.encode()) > 72
    assert "at most" not in (password_problem(decomposed, "bob") or "")
    assert "at least" in (password_problem(unicodedata.normalize("NFD", "é" * 7), "bob") or "")


def test_hashes_of_another_cost_are_outdated() -> None:
    passwords = Passwords(cost=5)
    for cost in (4, 5, 6):
        hashed = bcrypt.hashpw(b"x", bcrypt.gensalt(cost)).decode()
        assert passwords.is_outdated(hashed) == (cost != 5)
    passwords.close()


async def test_the_event_loop_goes_on_while_passwords_are_hashed() -> None:
    passwords = Passwords(cost=12)
    hashing, turns = asyncio.ensure_future(passwords.hash(GOOD)), 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    passwords.close()
    assert turns > 100


@pytest.mark.parametrize(
    ("password", "username"),
    [
        (GOOD, "michael"),
        ("correct horse", "bob"),
        ("tr0ub4dor&3", "bob"),
        ("пароль-из-слов", "bob"),
        ("0123456789abcdefghijklmnopqrstuvwxyz" * 2, "bob"),
        ("😀🎉🚀🌈🍕🎸📚🔑", "bob"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa wrong horse battery", "bob"),
    ],
)
def test_good_passwords(password: str, username: str) -> None:
    assert password_problem(password, username) is None


@pytest.mark.parametrize(
    ("password", "username", "said"),
    [
        ("", "bob", "at least 8"),
        ("short-7", "bob", "at least 8"),
        ("x" * 73, "bob", "at most 72"),
        ("é" * 37, "bob", "at most 72"),
        ("😀" * 19, "bob", "at most 72"),
        ("1234567\n", "bob", "control characters"),
        ("johnson\0123", "bob", "control characters"),
        ("password", "bob", "too easy to guess"),
        ("12345678", "bob", "too easy to guess"),
        ("qwertyuiop", "bob", "too easy to guess"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bob", "too easy to guess"),
        ("password" * 9, "bob", "too easy to guess"),
        ("Xq7-zebra", "Xq7-zebra", "too easy to guess"),
        ("zebra-is-my-name-since-1999", "zebra-is-my-name-since-1999", "too easy to guess"),
    ],
)
def test_bad_passwords_are_told_what_is_wrong(password: str, username: str, said: str) -> None:
    problem = password_problem(password, username)
    assert problem is not None and said in problem
    assert problem.endswith(".") and "  " not in problem and ".." not in problem


@settings(deadline=None)
@given(st.text(max_size=80), st.text(max_size=40))
def test_any_text_is_judged(password: str, username: str) -> None:
    problem = password_problem(password, username)
    if len(password) < 8 or len(password.encode("utf-8", "surrogatepass")) > 72:
        assert problem is not None


def test_hostile_passwords_are_judged_in_no_time() -> None:
    # Substitutions for letters in every place made the judge think for seconds.
    hostile = "4@8({[<369&#!1/|\\0$5+7%2" * 3
    started = time.thread_time()
    password_problem(hostile, "bob")
    assert time.thread_time() - started < 2


async def test_a_password_is_judged_in_the_pool_too(passwords: Passwords) -> None:
    assert await passwords.problem(GOOD, "michael") is None
    assert "easy" in (await passwords.problem("password", "michael") or "")
