"""The machine that figures were measured on, and the version that was measured."""

import os
import platform
import time
from pathlib import Path

from presence_server import __version__


def machine() -> dict[str, str | int | None]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "version": __version__,
        "when": time.strftime("%Y-%m-%d"),
    }
