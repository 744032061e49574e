"""The scripts of the schema, one for each kind of database, in numbered steps."""

import re


class UnsoundDatabase(Exception):
    """What is wrong with a database, as the rest of a sentence that begins with its name."""


def read_steps(script: str) -> list[str]:
    _, *parts = re.split(r"^-- step (\d+)$", script, flags=re.MULTILINE)
    numbers, steps = [int(number) for number in parts[::2]], parts[1::2]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"the steps of the migrations are not 1, 2, 3 …: {numbers}")
    return steps


def check_known(taken: int, steps: list[str]) -> int:
    """The number of steps that a database has taken. Raises UnsoundDatabase."""
    if taken > len(steps):
        raise UnsoundDatabase(
            f"was made by a newer version of this program "
            f"(its schema is {taken}, this program knows {len(steps)})"
        )
    return taken
