import asyncio

import pytest

from presence_server.background import Background


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_work_that_is_cancelled_by_what_it_waits_for_is_an_error() -> None:
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await waiting

    async with asyncio.timeout(5):
        with pytest.raises(ExceptionGroup) as caught:
            async with Background() as work:
                work.start("others", for_ever())
                work.start("reading", wait())
                asyncio.get_running_loop().call_soon(waiting.cancel)
    assert "'reading' was cancelled" in str(caught.value.exceptions[0])


async def test_work_that_just_ends_is_an_error() -> None:
    async with asyncio.timeout(5):
        with pytest.raises(ExceptionGroup) as caught:
            async with Background() as work:
                work.start("others", for_ever())
                work.start("nothing to do", asyncio.sleep(0))
    assert "'nothing to do' has ended" in str(caught.value.exceptions[0])


async def test_work_may_be_stopped() -> None:
    async with asyncio.timeout(5):
        async with Background() as work:
            task = work.start("others", for_ever())
            await asyncio.sleep(0)
            task.cancel()
    assert task.cancelled()
