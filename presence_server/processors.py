"""How many processors this process may use: containers see all of the machine's."""

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_OURS = Path("/proc/self/cgroup")
_VERSION_2 = ("cpu.max",)
_VERSION_1 = ("cpu.cfs_quota_us", "cpu.cfs_period_us")


def usable_processors(cgroups: Path = _CGROUPS, ours: Path = _OURS) -> int:
    """At least 1: those it may run on, or as many as the quotas of its control groups are worth."""
    return max(1, math.floor(min([_runs_on(), *_quotas(cgroups, ours)])))


def _runs_on() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        # Not every system can tell.
        return os.cpu_count() or 1


def _quotas(cgroups: Path, ours: Path) -> Iterator[float]:
    """In processors, of each group that this process is in and of all above it."""
    for line in _text(ours).splitlines():
        _, controllers, group = line.split(":", 2)
        # Version 2 has one tree, version 1 one for each kind of thing that is shared out.
        if controllers and "cpu" not in controllers.split(","):
            continue
        for folder in _upwards(cgroups / controllers, group):
            for names in _VERSION_2, _VERSION_1:
                if quota := _quota(" ".join(_text(folder / name) for name in names).split()):
                    yield quota


def _upwards(tree: Path, group: str) -> Iterable[Path]:
    inside = PurePosixPath(group.lstrip("/"))
    return (tree / folder for folder in (inside, *inside.parents))


def _quota(values: list[str]) -> float | None:
    """Time in each period over the period; "max" and -1 are no quota."""
    match values:
        case [time, period] if time.isdecimal() and period.isdecimal() and int(period):
            return int(time) / int(period)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, ValueError):
        # No such file, as on most machines, or one that we may not read.
        return ""
