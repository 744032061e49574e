"""`python -m drill`: break a real site in every way we know, and see what people are shown."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from drill.faults import FAULTS
from drill.faults.pairs import pair
from drill.figures import Fault


async def run(fault: Fault) -> bool:
    """Print one line, and one more for each promise that was broken."""
    begun = time.monotonic()
    figures = await fault.measure()
    values = ", ".join(f"{name} {value}" for name, value in figures.values.items())
    verdict = "BROKEN" if figures.broken else "ok"
    seconds = time.monotonic() - begun
    print(f"{fault.name:<7} {verdict:<6} {fault.done}: {values} [{seconds:.0f} s]", flush=True)
    for sentence in figures.broken:
        print(f"        ! {sentence}", flush=True)
    return not figures.broken


async def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m drill", description=__doc__)
    parser.add_argument("only", nargs="*", help="names of faults, such as F1 (default: all)")
    parser.add_argument("--pairs", type=int, default=4, help="so many random pairs of faults")
    parser.add_argument("--seed", type=int, default=1, help="the first pair's")
    options = parser.parse_args(argv)
    faults = FAULTS + [pair(options.seed + number) for number in range(options.pairs)]
    chosen = [fault for fault in faults if not options.only or _is_named(fault, options.only)]
    begun = time.monotonic()
    broken = [fault.name for fault in chosen if not await run(fault)]
    verdict = f"broken under {', '.join(broken)}" if broken else "every promise was kept"
    minutes = (time.monotonic() - begun) / 60
    print(f"{len(chosen)} faults in {minutes:.1f} minutes: {verdict}.")
    return 1 if broken or not chosen else 0


def _is_named(fault: Fault, names: list[str]) -> bool:
    return fault.name in names or fault.name.partition("/")[0] in names


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
