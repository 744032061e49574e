"""The machine that figures were measured on, and the version that was measured."""

import os
import platform
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def processors(known: Mapping[str, Any]) -> str:
    """As people call them: without marks, clock rate and the word that it is a processor."""
    name = re.sub(r"\((R|TM)\)|\b(CPU|Processor)\b|@.*", "", known["processor"])
    return f"{known['cores']} cores ({' '.join(name.split())})"


def in_words(known: Mapping[str, Any]) -> str:
    """What `machine` said of it, as a line of a page."""
    system = ".".join(known["system"].split(".")[:2])
    words = [processors(known), system, f"Python {known['python']}"]
    words += [known["redis"]] if "redis" in known else []
    words += [f"version {known['version']}"] if "version" in known else []
    words += [known["when"]] if "when" in known else []
    return ", ".join(words)
