"""Whatever is sent, the server answers with a 4xx at worst, logs no error, and goes on.

A short run is part of every `make test`; `make fuzz` makes a long one, with another seed each time.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.conftest import ServerProcesses
from tests.fuzz import hostile
from tests.fuzz.target import WITHIN, Target

T = TypeVar("T")

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "500"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
AT_ONCE = 8
CODES = (None, 1000, 1002, 1003, 1007, 1008, 1009)


@pytest.fixture
async def target(server_process: ServerProcesses) -> AsyncIterator[Target]:
    print(f"FUZZ_SEED={SEED} FUZZ_EXAMPLES={EXAMPLES}")
    server = await server_process(
        log_format="json",
        trusted_proxies="127.0.0.1",
        max_sockets_per_user=0,
        heartbeat=60,
        admin_port=0,
    )
    async with Target.on(server) as target:
        yield target
        await target.is_well()


async def sent(inputs: dict[str, bytes], send: Callable[[bytes], Awaitable[T]]) -> dict[str, T]:
    """What came of each input, some at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(data: bytes) -> T:
        async with gate:
            return await send(data)

    results = await asyncio.gather(*(one(data) for data in inputs.values()))
    return dict(zip(inputs, results, strict=True))


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_named_requests(target: Target) -> None:
    inputs = dict(hostile.named_requests(target.headers, target.token))
    assert len(inputs) > 600
    statuses = await sent(inputs, target.answer)
    # A machine that stalls answers late: those are asked again, and waited for.
    again = {name: inputs[name] for name in unanswered(statuses)}
    statuses.update(await sent(again, lambda data: target.answer(data, WITHIN)))
    wrong = {name: status for name, status in statuses.items() if not _is_fine(status)}
    assert wrong == {}
    # It is an administrator whose requests these are.
    assert statuses["GET /admin/visits/ user=script"] == 200
    assert unanswered(statuses) == []


def unanswered(statuses: dict[str, int | None]) -> list[str]:
    """But for what is no whole request."""
    silent = [name for name, status in statuses.items() if status is None]
    return [name for name in silent if not name.startswith(("below HTTP", "POST with"))]


@pytest.mark.timeout(180)
async def test_named_frames(target: Target) -> None:
    codes = await sent(hostile.FRAMES, target.closing)
    assert {name: code for name, code in codes.items() if code not in CODES} == {}


def _is_fine(status: int | None) -> bool:
    return status is None or 100 <= status < 500


generated = settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
# Printable ones are longer in the parser, any bytes find what nobody thought of.
anything = st.binary(max_size=200) | st.text(max_size=100).map(
    lambda text: text.encode("utf-8", "replace")
)
one_line = anything.map(lambda data: data.replace(b"\r", b"").replace(b"\n", b""))
fields = st.lists(
    st.tuples(
        st.sampled_from(sorted({name for names in hostile.FORMS.values() for name in names})),
        anything | st.sampled_from(list(hostile.TEXTS.values())),
    ),
    max_size=6,
).map(dict)


@pytest.mark.slow
@pytest.mark.timeout(0)
@seed(SEED)
@generated
@given(
    method=st.sampled_from(hostile.METHODS),
    path=st.sampled_from(hostile.PATHS).map(str.encode),
    query=one_line,
    header=st.sampled_from(hostile.HEADERS),
    value=one_line,
    body=anything,
)
async def test_generated_requests(
    target: Target, method: str, path: bytes, query: bytes, header: str, value: bytes, body: bytes
) -> None:
    headers = {**target.headers(), "Content-Length": str(len(body)).encode(), header: value}
    target_path = path + (b"?" + query.replace(b" ", b"+") if query else b"")
    data = hostile.request(method, target_path, headers, body)
    assert _is_fine(await target.answer(data)), data


@pytest.mark.slow
@pytest.mark.timeout(0)
@seed(SEED)
@generated
@given(path=st.sampled_from(sorted(hostile.FORMS)), fields=fields, with_token=st.booleans())
async def test_generated_forms(
    target: Target, path: str, fields: dict[str, bytes], with_token: bool
) -> None:
    if with_token and path != "/log_out/":
        fields = {**fields, "csrf_token": target.token}
    data = hostile.form(path, fields, target.headers())
    assert _is_fine(await target.answer(data)), data


@pytest.mark.slow
@pytest.mark.timeout(0)
@seed(SEED)
@generated
@given(
    original=st.sampled_from(
        [
            hostile.form("/log_in/", {"username": b"a", "password": b"b"}, {"Host": b"x"}),
            hostile.request("GET", b"/users/?cursor=1", {"Host": b"x", "Upgrade": b"websocket"}),
            *hostile.BELOW_HTTP.values(),
        ]
    ).map(lambda data: data[:2000]),
    at=st.integers(0, 2000),
    cut=st.integers(0, 20),
    inserted=anything,
)
async def test_generated_bytes_below_http(
    target: Target, original: bytes, at: int, cut: int, inserted: bytes
) -> None:
    at = min(at, len(original))
    data = original[:at] + inserted + original[at + cut :]
    # Most of these never become a whole request, and are not waited for.
    assert _is_fine(await target.answer(data, patience=0.05)), data


frames = st.builds(
    hostile.frame, st.integers(0, 15), anything | st.just(b'{"type":"status"}'), final=st.booleans()
)


@pytest.mark.slow
@pytest.mark.timeout(0)
@seed(SEED)
@generated
@given(stream=st.lists(frames | anything, max_size=12).map(b"".join))
async def test_generated_frames(target: Target, stream: bytes) -> None:
    code = await target.closing(stream)
    # A close frame of the client's own making is answered with its own code.
    assert code in CODES or 3000 <= code < 5000 or 1000 <= code <= 1014, stream
