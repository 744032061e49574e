"""`python -m drill`: break a real site in every way we know, and see what people are shown."""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence

from drill import report
from drill.faults import FAULTS
from drill.faults.pairs import pair, triple
from drill.figures import Fault, Figures
from drill.report import Result
from drill.site import DATABASES
from testing.postgresql_server import running


async def run(fault: Fault, slack: float) -> Figures:
    """Print one line, and one more for each promise that was broken."""
    begun = time.monotonic()
    figures = await fault.measure(slack)
    verdict = "BROKEN" if figures.broken else "ok"
    seconds = time.monotonic() - begun
    print(f"{fault.name:<7} {verdict:<6} {fault.done}: {figures} [{seconds:.0f} s]", flush=True)
    for sentence in figures.broken:
        print(f"        ! {sentence}", flush=True)
    return figures


async def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    if not options.postgresql:
        return await _drill(options)
    with running() as server:
        DATABASES.set(lambda folder: server.database())
        return await _drill(options)


async def _drill(options: argparse.Namespace) -> int:
    faults = FAULTS + [pair(options.seed + number) for number in range(options.pairs)]
    faults += [triple(options.seed + number) for number in range(options.triples)]
    chosen = [fault for fault in faults if not options.only or _is_named(fault, options.only)]
    results = [Result(fault, Figures()) for fault in chosen]
    print(", ".join(f"{name} {value}" for name, value in report.about().items()), flush=True)
    for number in range(options.times):
        begun = time.monotonic()
        broken = []
        for fault, all_figures in results:
            figures = await run(fault, options.slack)
            all_figures.add(figures)
            if figures.broken:
                broken.append(fault.name)
        verdict = f"broken under {', '.join(broken)}" if broken else "every promise was kept"
        minutes = (time.monotonic() - begun) / 60
        run_words = f" (run {number + 1} of {options.times})" if options.times > 1 else ""
        print(f"{len(chosen)} faults in {minutes:.1f} minutes{run_words}: {verdict}.", flush=True)
        if options.write:
            report.write(FAULTS, results, number + 1, options.slack)
    return 1 if not chosen or any(figures.broken for _, figures in results) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m drill", description=__doc__)
    parser.add_argument("only", nargs="*", help="names of faults, such as F1 (default: all)")
    parser.add_argument("--pairs", type=int, default=4, help="so many random pairs of faults")
    parser.add_argument("--triples", type=int, default=4, help="so many random triples")
    parser.add_argument("--seed", type=int, default=1, help="that of the first of both")
    parser.add_argument("--times", type=int, default=1, help="so many runs, one after the other")
    parser.add_argument(
        "--slack", type=float, default=1, help="so many times as long, on a busy machine"
    )
    parser.add_argument("--write", action="store_true", help="put the figures into docs/")
    parser.add_argument(
        "--postgresql", action="store_true", help="accounts in PostgreSQL (default: in SQLite)"
    )
    return parser


def _is_named(fault: Fault, names: list[str]) -> bool:
    return fault.name in names or fault.name.partition("/")[0] in names


if __name__ == "__main__":
    # Nothing that was started may outlive it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(asyncio.run(main()))
