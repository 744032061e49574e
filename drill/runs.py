"""Several faults in a run, one after the other or some beside each other, and several runs."""

import asyncio
import time
from collections.abc import Iterable, Sequence

from drill import report
from drill.figures import Fault, Figures
from drill.report import Result


async def several(
    named: Sequence[Fault],
    drawn: Sequence[Fault],
    *,
    times: int = 1,
    beside: int = 1,
    slack: float = 1,
    into: Sequence[Fault] = (),
) -> int:
    """The exit status. All `named` ones in each run; those that were `drawn` in the first only.

    After each run what was measured is written down among the faults of `into`, if there are any.
    """
    results = [Result(fault, Figures()) for fault in named]
    random_ones = [Result(fault, Figures()) for fault in drawn]
    for number in range(times):
        chosen = results + (random_ones if number == 0 else [])
        run_words = f" (run {number + 1} of {times})" if times > 1 else ""
        await _once(chosen, beside, slack, run_words)
        if into:
            report.write(into, chosen, number + 1, slack)
    everything = results + random_ones
    return 1 if not everything or any(figures.broken for _, figures in everything) else 0


async def _once(results: Sequence[Result], beside: int, slack: float, run_words: str) -> None:
    begun = time.monotonic()
    broken: list[str] = []
    together = [result for result in results if beside > 1 and not result.fault.alone]
    alone = [result for result in results if result not in together]
    waiting = iter(together)
    async with asyncio.TaskGroup() as working:
        for _ in range(beside):
            working.create_task(_one_by_one(waiting, slack, broken))
    await _one_by_one(alone, slack, broken)
    verdict = f"broken under {', '.join(broken)}" if broken else "every promise was kept"
    minutes = (time.monotonic() - begun) / 60
    print(f"{len(results)} faults in {minutes:.1f} minutes{run_words}: {verdict}.", flush=True)


async def _one_by_one(results: Iterable[Result], slack: float, broken: list[str]) -> None:
    for fault, all_figures in results:
        figures = await _measure(fault, slack)
        all_figures.add(figures)
        if figures.broken:
            broken.append(fault.name)


async def _measure(fault: Fault, slack: float) -> Figures:
    """Print one line, and one more for each promise that was broken."""
    begun = time.monotonic()
    figures = await fault.measure(slack)
    verdict = "BROKEN" if figures.broken else "ok"
    seconds = time.monotonic() - begun
    lines = [f"{fault.name:<7} {verdict:<6} {fault.done}: {figures} [{seconds:.0f} s]"]
    lines += [f"        ! {sentence}" for sentence in figures.broken]
    print("\n".join(lines), flush=True)
    return figures
