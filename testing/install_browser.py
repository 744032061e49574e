"""Gets a Chromium for the browser tests: `python -m testing.install_browser`."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

from playwright.async_api import Error, async_playwright

from testing.browsers import MISSING, chromium

WITHIN = 600


def main() -> int:
    if asyncio.run(_starts()):
        return 0
    for commands in _ways():
        if all(map(succeeds, commands)) and asyncio.run(_starts()):
            return 0
    print(MISSING, file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


async def _starts() -> bool:
    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(executable_path=chromium())
        except Error:
            return False
        await browser.close()
        return True


def _ways() -> Iterator[list[list[str]]]:
    if shutil.which("apt-get") and (sudo := as_root()) is not None:
        install = [*sudo, "apt-get", "install", "-y", "--no-install-recommends"]
        yield [[*sudo, "apt-get", "update"], [*install, "chromium-headless-shell"]]
        yield [[*install, "chromium"]]
    yield [[sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]]


def as_root() -> list[str] | None:
    """What to put before a command for root; None where there is no way without a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    probe = subprocess.run(["sudo", "-n", "true"], capture_output=True)
    return ["sudo", "-n"] if probe.returncode == 0 else None


def succeeds(command: list[str], folder: str | None = None) -> bool:
    print("+", *command, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, env=environment, cwd=folder, timeout=WITHIN)
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False


if __name__ == "__main__":
    sys.exit(main())
