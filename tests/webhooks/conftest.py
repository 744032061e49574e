"""Backends that receive, beside servers inside the test."""

from collections.abc import AsyncIterator

import pytest

from testing.receiver import Receiver
from tests.api.conftest import add_app, http

__all__ = ["add_app", "http"]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with receiver.serve():
        yield receiver
    assert receiver.wrong == [] and receiver.most_at_once <= 1
    # As long as it has acknowledged all that it heard.
    assert receiver.miscounted == [] or len(receiver.accepted) < len(receiver.delivered)
