"""How long an answer takes tells nobody which names exist."""

import statistics
import time

import pytest

from tests.conftest import ServerProcesses, Visit
from testing.visitor import Visitor

SAMPLES = 60
# An unlucky run of a busy machine is not yet a difference.
ATTEMPTS = 3
# A name for which nothing is hashed takes a third of the time.
DIFFERENT = 0.25


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_t13_an_unknown_name_takes_as_long_as_a_wrong_password(
    server_process: ServerProcesses, visit: Visit
) -> None:
    server = await server_process(bcrypt_cost=8, trusted_proxies="127.0.0.1")
    visitor = await visit(server)
    await visitor.sign_up("alice")
    token = (await visitor.get("/log_in/")).csrf_token
    differences = []
    for attempt in range(ATTEMPTS):
        wrong, unknown = await _medians(visitor, token, attempt)
        differences.append(abs(wrong - unknown) / wrong)
        if differences[-1] <= DIFFERENT:
            return
    raise AssertionError(f"the medians differ by {differences}")


async def _medians(visitor: Visitor, token: str, attempt: int) -> list[float]:
    """In turns, so that whatever else goes on meets both alike."""
    spent: dict[str, list[float]] = {"alice": [], "nobody": []}
    for number in range(SAMPLES):
        # Each from another network, or the throttle would answer.
        headers = {"X-Forwarded-For": f"10.{attempt}.{number}.1"}
        order = list(spent) if number % 2 else list(reversed(spent))
        for username in order:
            fields = {"csrf_token": token, "username": username, "password": "a wrong one"}
            started = time.perf_counter()
            answer = await visitor.post("/log_in/", fields, headers=headers)
            spent[username].append(time.perf_counter() - started)
            assert answer.status == 401
    return [statistics.median(times) for times in spent.values()]
