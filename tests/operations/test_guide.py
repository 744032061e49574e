"""Every command of docs/operations.md, run in its order on one machine."""

import os
import re
from collections.abc import AsyncIterator

import pytest

from presence_server.resources import ROOT
from testing.install_nginx import MISSING, nginx_binary
from tests.operations.machine import Machine
from tests.operations.people import WITHIN, Page, Place, staying
from testing.visitor import PASSWORD, Visitor
from testing.waiting import until

GUIDE = (ROOT / "docs" / "operations.md").read_text()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(500),
    pytest.mark.skipif(nginx_binary() is None and "CI" not in os.environ, reason=MISSING),
]


class Guide:
    """The blocks of commands, by the heading above them; `left` are those not yet run."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.left = {
            section.partition("\n")[0]: re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
            for section in re.split(r"^## ", GUIDE, flags=re.MULTILINE)
        }

    async def follow(self, heading: str, stdin: str = "") -> str:
        """Run the next block under a heading."""
        return await self.machine.run(self.left[heading].pop(0), stdin)


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    async with Machine() as machine:
        yield machine


async def is_logged_in(visitor: Visitor) -> bool:
    return (await visitor.get("/")).status == 200


async def test_the_guide_from_its_first_command_to_its_last(machine: Machine) -> None:
    guide = Guide(machine)
    for _ in range(3):
        await guide.follow("From nothing to two processes")
    looked = await guide.follow("From nothing to two processes")
    assert "ready" in looked and 'presence_sockets{process="2"} 0.0' in looked
    place = Place(machine.nginx.url, machine.certificate)
    async with place.visitor("127.0.0.2") as bob, place.visitor("127.0.0.3") as carol:
        await bob.enter("bob")
        await carol.enter("carol")
        async with staying(Page(bob)) as of_bob, staying(Page(carol)) as of_carol:
            both = {"bob", "carol"}
            pages = (of_bob, of_carol)

            async def all_is_well() -> None:
                await until(
                    lambda: all(page.shows(both) for page in pages), WITHIN, lambda: machine.log
                )

            await all_is_well()
            assert "alice" in await guide.follow("Accounts", stdin=f"{PASSWORD}\n")
            assert "Copied" in await guide.follow("Backup and restore")
            for restarts in ("New keys", "New keys", "Upgrade"):
                await guide.follow(restarts)
                await all_is_well()
            # Each of the three rounds cost either of them a socket, or two.
            assert of_bob.sockets >= 4 and of_carol.sockets >= 4
            assert of_bob.shown_offline == of_carol.shown_offline == []
            assert await is_logged_in(bob)
        async with place.visitor("127.0.0.4") as dave:
            # With a new key from the start, and unknown to the copy.
            await dave.enter("dave")
            await guide.follow("New keys")
            assert await is_logged_in(dave) and not await is_logged_in(bob)
            await guide.follow("Backup and restore")
            assert await is_logged_in(bob) and not await is_logged_in(dave)
            assert (await dave.log_in("dave")).status == 401
            assert (await dave.log_in("alice")).status == 303
    assert not any(guide.left.values()), "commands that nothing runs"
