import asyncio
import tracemalloc

import pytest

from presence_server.accounts import throttle as throttle_module
from presence_server.accounts.queues import PasswordsBusy, Waiter
from presence_server.accounts.throttle import (
    GUESSES,
    LOG_INS,
    MOST_KEYS,
    MOST_WAITING,
    SIGN_UPS,
    TROUBLES,
    Throttle,
)

HOME, OTHER = "192.0.2.1", "203.0.113.9"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(clock)


async def log_in(
    throttle: Throttle,
    address: str = HOME,
    username: str = "alice",
    device: str | None = None,
    right: bool = False,
) -> float:
    """Try once; the seconds for which that is refused."""
    async with throttle.log_in(address, username, device) as attempt:
        if right:
            attempt.succeed()
        return attempt.wait


async def guesses(throttle: Throttle, tries: int, username: str = "alice") -> int:
    """How many of so many wrong passwords are checked at all."""
    waits = [await log_in(throttle, username=username) for _ in range(tries)]
    return waits.count(0)


async def test_t8_ten_guesses_at_one_account(throttle: Throttle, clock: Clock) -> None:
    assert await guesses(throttle, 1000) == 10
    assert await log_in(throttle) == pytest.approx(90)
    clock.now += 89
    assert await log_in(throttle) == pytest.approx(1)
    clock.now += 1
    assert await guesses(throttle, 5) == 1
    clock.now += 15 * 60
    assert await guesses(throttle, 50) == 10


async def test_t8_the_case_of_the_name_does_not_matter(throttle: Throttle) -> None:
    assert await guesses(throttle, 10, "Alice") == 10
    assert await guesses(throttle, 10, "aLICE") == 0


async def test_t8_guesses_at_once_are_no_more(throttle: Throttle) -> None:
    checked = 0

    async def guess() -> None:
        nonlocal checked
        async with throttle.log_in(HOME, "alice") as attempt:
            if not attempt.wait:
                checked += 1
                await asyncio.sleep(0)

    await asyncio.gather(*(guess() for _ in range(200)))
    assert checked == 10


async def test_right_passwords_at_once_all_pass(throttle: Throttle) -> None:
    async def enter() -> float:
        async with throttle.log_in(HOME, "alice") as attempt:
            await asyncio.sleep(0)
            attempt.succeed()
            return attempt.wait

    assert set(await asyncio.gather(*(enter() for _ in range(50)))) == {0}


async def test_right_passwords_are_no_guesses(throttle: Throttle) -> None:
    for _ in range(100):
        assert await log_in(throttle, right=True) == 0
    assert await guesses(throttle, 100) == 10
    # Nor do they win back the guesses of before.
    assert await log_in(throttle, right=True) > 0


async def test_what_could_not_be_checked_is_no_guess(throttle: Throttle, clock: Clock) -> None:
    for _ in range(100):
        clock.now += TROUBLES.seconds
        with pytest.raises(RuntimeError):
            async with throttle.log_in(HOME, "alice") as attempt:
                assert attempt.wait == 0
                raise RuntimeError("busy")
    assert await guesses(throttle, 100) == 10


async def test_those_who_do_not_wait_while_all_are_busy_wait_longer(
    throttle: Throttle, clock: Clock
) -> None:
    for _ in range(TROUBLES.burst):
        with pytest.raises(RuntimeError):
            async with throttle.log_in(HOME, "alice") as attempt:
                assert attempt.wait == 0
                raise RuntimeError("busy")
    assert await log_in(throttle) == pytest.approx(TROUBLES.seconds)
    assert await log_in(throttle, OTHER) == 0
    assert await log_in(throttle, device="phone") == 0
    clock.now += TROUBLES.seconds
    assert await log_in(throttle, right=True) == 0


async def test_one_who_gives_up_while_waiting_leaves_nothing_behind(throttle: Throttle) -> None:
    async with asyncio.timeout(15):
        checked, checking = asyncio.Event(), []

        async def slow() -> None:
            async with throttle.log_in(HOME, "alice"):
                await checked.wait()

        checking = [asyncio.ensure_future(slow()) for _ in range(10)]
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(slow())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        for task in checking[:5]:
            task.cancel()
        await asyncio.wait(checking[:5])
        checked.set()
        await asyncio.gather(*checking[5:])
    assert await guesses(throttle, 100) == 5


async def test_those_who_wait_for_others_are_not_without_number(throttle: Throttle) -> None:
    checked = asyncio.Event()

    async def slow(gone: asyncio.Future[None] | None = None) -> None:
        async with throttle.log_in(HOME, "alice", who=Waiter(gone=gone)) as attempt:
            await checked.wait()
            attempt.succeed()

    async with asyncio.timeout(15):
        gone = asyncio.get_running_loop().create_future()
        checking = [asyncio.ensure_future(slow()) for _ in range(GUESSES.burst)]
        await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(slow(gone)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(PasswordsBusy):
            await slow()
        # Nor does anybody wait who has hung up.
        gone.set_result(None)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(result) for result in results} == {ConnectionResetError}
        last = asyncio.ensure_future(slow())
        checked.set()
        await asyncio.gather(*checking, last)
    assert not throttle._waiting and not throttle._undecided


async def test_t9_one_password_at_many_names(throttle: Throttle, clock: Clock) -> None:
    async def spray(names: range) -> int:
        waits = [await log_in(throttle, username=f"user{number}") for number in names]
        return waits.count(0)

    assert await spray(range(5000)) == 30
    clock.now += 60
    assert await spray(range(5000)) == 30
    assert await log_in(throttle, OTHER, "user1") == 0


async def test_t10_a_stranger_locks_nobody_out(throttle: Throttle) -> None:
    for last in range(50):
        for _ in range(20):
            await log_in(throttle, f"203.0.113.{last}")
    # Not the owner at home, nor the owner's device in the stranger's own network.
    assert await log_in(throttle, HOME, right=True) == 0
    assert await log_in(throttle, "203.0.113.1", device="phone", right=True) == 0


async def test_t10_guesses_on_a_known_device_are_counted_too(throttle: Throttle) -> None:
    waits = [await log_in(throttle, device="phone") for _ in range(50)]
    assert waits.count(0) == 10
    assert await log_in(throttle, device="laptop") == 0
    assert await log_in(throttle) == 0


@pytest.mark.parametrize(
    ("one", "another", "same"),
    [
        ("192.0.2.1", "192.0.2.200", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "::ffff:192.0.2.7", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
        ("unix", "unix", True),
    ],
)
async def test_guesses_are_counted_per_network(
    throttle: Throttle, one: str, another: str, same: bool
) -> None:
    for _ in range(10):
        assert await log_in(throttle, one) == 0
    assert (await log_in(throttle, another) > 0) == same


async def test_tries_are_counted_together_in_the_end(throttle: Throttle, clock: Clock) -> None:
    waits = [
        await log_in(throttle, username=f"user{n}", right=True) for n in range(LOG_INS.burst + 9)
    ]
    assert waits.count(0) == LOG_INS.burst
    clock.now += LOG_INS.seconds
    assert await log_in(throttle, right=True) == 0


async def test_sign_ups_per_address(throttle: Throttle, clock: Clock) -> None:
    waits = [throttle.sign_up(HOME) for _ in range(500)]
    assert waits.count(0) == SIGN_UPS.burst
    assert 0 < waits[-1] <= SIGN_UPS.seconds
    assert throttle.sign_up("192.0.2.2") == 0
    assert throttle.sign_up("2001:db8::1") == 0
    clock.now += SIGN_UPS.seconds
    assert throttle.sign_up(HOME) == 0
    assert throttle.sign_up(HOME) > 0


async def test_t11_made_up_names_do_not_fill_the_memory(
    throttle: Throttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle_module, "MOST_KEYS", 2000)
    tracemalloc.start()
    for number in range(6000):
        await log_in(throttle, f"2001:db8:{number:x}::1", f"{number}" + "x" * 1000)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / 2000 * MOST_KEYS < 30_000_000


async def test_t11_the_counts_used_last_are_kept(
    throttle: Throttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle_module, "MOST_KEYS", 100)
    await guesses(throttle, GUESSES.burst)
    for number in range(97):
        throttle.sign_up(f"192.0.2.{number}")
    assert await log_in(throttle) > 0
    for number in range(97, 200):
        throttle.sign_up(f"192.0.2.{number}")
    assert await log_in(throttle) == 0
