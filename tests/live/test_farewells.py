"""Why lines are closed, as docs/protocol.md tells clients: no code that they cannot know."""

import re
from pathlib import Path

from presence_server.live import farewells
from presence_server.live.farewells import REFUSALS, Farewell

PROTOCOL = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
# What is no frame, and a message that is too long, end in aiohttp.
OF_AIOHTTP = {1002, 1009}


def section(heading: str) -> str:
    found = re.search(rf"^### {heading}\n(.*?)^##", PROTOCOL, re.M | re.S)
    assert found is not None
    return found[1]


def test_every_close_code_stands_in_the_table_and_no_other() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", section("Close codes"), re.M)}
    ours = {one.code for one in vars(farewells).values() if isinstance(one, Farewell)}
    assert told == ours | OF_AIOHTTP


def test_lines_are_refused_as_it_is_written() -> None:
    told: dict[str, int] = {}
    refused = section("How lines are refused and ended")
    for _, codes, close_code in re.findall(r"^\| (\d.*?) \| (.*?) \| (\d+) \|$", refused, re.M):
        told |= dict.fromkeys(re.findall(r"`(\w+)`", codes), int(close_code))
    assert told == {reason: farewell.code for reason, farewell in REFUSALS.items()}
    assert all(farewell.reason == reason for reason, farewell in REFUSALS.items())
