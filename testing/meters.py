"""What a process has used, read from Linux."""

import os
import time
from contextlib import suppress
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """User and system time of all its threads.

    The process's own CPU clock counts nanoseconds, where /proc/PID/stat counts hundredths of a
    second. The number is how Linux names the clock of another process (clock_getcpuclockid).
    """
    return time.clock_gettime(~pid << 3 | 2)


def resident_bytes(pid: int) -> int:
    return _status(pid, "VmRSS")


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise ProcessLookupError(pid)


def open_sockets(pid: int) -> int:
    """How many descriptors of a process are sockets."""
    count = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            count += os.readlink(descriptor).startswith("socket:")
    return count
