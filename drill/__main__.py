"""`python -m drill`: break a real site in every way we know, and see what people are shown."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

import psutil  # type: ignore[import-untyped]  # it has no types

from drill import report, runs
from drill.faults import FAULTS
from drill.faults.pairs import pair, triple
from drill.figures import Fault
from drill.site import DATABASES
from testing.postgresql_server import running


async def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    if not options.postgresql:
        return await _unless_interrupted(options)
    if options.beside > 1:
        parser.error("with --postgresql all share one database: one at a time, without --beside")
    with running() as server:
        DATABASES.set(lambda folder: server.database())
        return await _unless_interrupted(options)


async def _unless_interrupted(options: argparse.Namespace) -> int:
    """A signal ends all sites in good order, and no second one disturbs that."""
    drilling = asyncio.create_task(_drill(options))
    received: list[signal.Signals] = []

    def interrupt(number: signal.Signals) -> None:
        if not received:
            drilling.cancel()
        received.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt, number)
    try:
        return await drilling
    except asyncio.CancelledError:
        print(f"Ended by {received[0].name}; nothing was written.", flush=True)
        return 128 + received[0]


async def _drill(options: argparse.Namespace) -> int:
    drawn = [pair(options.seed + number) for number in range(options.pairs)]
    drawn += [triple(options.seed + number) for number in range(options.triples)]
    print(", ".join(f"{name} {value}" for name, value in report.about().items()), flush=True)
    if options.only:
        named = [fault for fault in FAULTS + drawn if _is_named(fault, options.only)]
        drawn = []
    else:
        named = FAULTS
    return await runs.several(
        named,
        drawn,
        times=options.times,
        beside=options.beside,
        slack=options.slack,
        into=FAULTS if options.write else (),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m drill", description=__doc__)
    parser.add_argument("only", nargs="*", help="such as F1, or T for all of T (default: all)")
    parser.add_argument("--pairs", type=int, default=4, help="so many random pairs of faults")
    parser.add_argument("--triples", type=int, default=4, help="so many random triples")
    parser.add_argument("--seed", type=int, default=1, help="that of the first of both")
    parser.add_argument(
        "--times",
        type=int,
        default=1,
        help="so many runs, one after the other; random pairs and triples are in the first only, "
        "unless they are named (F27, F28/3)",
    )
    parser.add_argument(
        "--beside",
        type=int,
        default=1,
        help="so many faults at a time, each at a site of its own (default: 1, so that figures "
        "are quiet); those that load the machine follow alone",
    )
    parser.add_argument(
        "--slack", type=float, default=1, help="so many times as long, on a busy machine"
    )
    parser.add_argument("--write", action="store_true", help="put the figures into docs/")
    parser.add_argument(
        "--postgresql", action="store_true", help="accounts in PostgreSQL (default: in SQLite)"
    )
    return parser


def _is_named(fault: Fault, names: Sequence[str]) -> bool:
    return not {fault.name, fault.name.partition("/")[0], fault.name[0]}.isdisjoint(names)


def _end_what_is_left() -> None:
    # What was interrupted at its start, for one, is not known to its site yet.
    for process in psutil.Process().children(recursive=True):
        process.kill()


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    finally:
        _end_what_is_left()
