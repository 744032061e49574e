"""Changes the code in small ways, one at a time, and runs the tests that reach them.

mutmut makes the changes, and `mutmut results`, `show` and `browse` tell what came of them. Here the
tests are collected once, and each change is tried in a fork of that process: the tests that
noticed another change of the same function first, then the quickest. A change that no test
noticed is tried anew each time, one that was noticed when its function is another.
"""

import argparse
import gc
import json
import os
import resource
import selectors
import shutil
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache
from hashlib import sha256
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import hypothesis
import pytest
from mutmut.__main__ import create_mutants_for_file
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.format_utils import mangled_name_from_mutant_name

from presence_server import resources
from presence_server.resources import ROOT

CHANGED = ROOT / "mutants"
# What the code reads at the top of a checkout.
_BESIDE = (
    resources.TEMPLATES,
    resources.STATIC,
    resources.CLIENT.parents[1],
    resources.MIGRATIONS,
    resources.POSTGRESQL_MIGRATIONS,
    resources.OPENAPI,
)
# As mutmut calls them.
_SURVIVED, _NOTICED, _UNREACHED, _TIMEOUT = 0, 1, 33, 36
_MORE_MEMORY = 1 << 30
# What measures time has no place here. Nearly all of the tests need no fixtures of others, and no
# plugin but one.
_SETTINGS = "[pytest]\nasyncio_mode = auto\n"
_FLAGS = ["-c", "pytest.ini", "--noconftest", "-q", "--assert=plain", "--tb=short", "-W", "ignore"]
_FLAGS += ["-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin", "-m", "not alone and not slow"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["*"], metavar="NAME")
    parser.add_argument("--seconds", type=float, default=10, help="of tests for each change")
    asked = parser.parse_args()
    # What is made of the code is compiled once, for it is many times as long.
    sys.dont_write_bytecode = False
    os.chdir(ROOT)
    files = list(_make_changes(asked.names))
    os.chdir(CHANGED)
    _let_nobody_wait()
    sys.path[:] = [str(CHANGED), *(path for path in sys.path if Path(path).resolve() != ROOT)]
    for name in [name for name in sys.modules if name.startswith("presence_server")]:
        del sys.modules[name]
    Path("pytest.ini").write_text(_SETTINGS)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    # How long something takes says nothing here.
    unhurried = list(hypothesis.HealthCheck)
    hypothesis.settings.register_profile(
        "unhurried", suppress_health_check=unhurried, deadline=None, derandomize=True, database=None
    )
    hypothesis.settings.load_profile("unhurried")
    set_mutant_under_test("")
    trial = _Trial(files, asked.names, asked.seconds)
    return pytest.main([*_FLAGS, *config().pytest_add_cli_args_test_selection], [trial])


def _make_changes(names: list[str]) -> Iterator[SourceFileMutationData]:
    for source in Path("presence_server").rglob("*.py"):
        target = CHANGED / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (config().should_mutate(source) and _is_asked_for(source, names)):
            if not target.exists() or source.stat().st_mtime > target.stat().st_mtime:
                shutil.copy2(source, target)
            continue
        try:
            made = create_mutants_for_file(source, target)
        except BaseException:
            # Half a file would be taken for a whole one.
            target.unlink(missing_ok=True)
            raise
        if made.error:
            raise made.error
        file = SourceFileMutationData(path=source)
        file.meta_path = file.meta_path.absolute()
        file.load()
        yield file
    for path in _BESIDE:
        if not (CHANGED / path.name).exists():
            (CHANGED / path.name).symlink_to(path)
    for name in ("testing", "drill", "tests"):
        shutil.copytree(name, CHANGED / name, dirs_exist_ok=True)


def _is_asked_for(source: Path, names: list[str]) -> bool:
    module = ".".join(source.with_suffix("").parts) + "."
    return any(fnmatch(module, name) or name.startswith(module) for name in names)


def _let_nobody_wait() -> None:
    """What waits for time alone has it at once, and time in which others compute does not count:
    else a test that waits a second would take one, and could fail for their sake."""
    waited, epoch, select = 0.0, time.time(), selectors.DefaultSelector.select

    def monotonic() -> float:
        return process_time() + waited

    def at_once(selector: Any, timeout: float | None = None) -> list[Any]:
        nonlocal waited
        if threading.active_count() > 1:
            return select(selector, timeout)
        events = select(selector, 0)
        if not events:
            assert timeout is not None, "nothing will ever happen"
            waited += max(0, timeout)
        return events

    # It takes the place of the real one, whose type it does not have.
    selectors.DefaultSelector.select = at_once  # type: ignore[assignment, method-assign]
    time.monotonic = monotonic
    time.time = lambda: epoch + monotonic()


class _Trial:
    def __init__(
        self, files: list[SourceFileMutationData], names: list[str], seconds: float
    ) -> None:
        self._files = files
        self._names = names
        self._seconds = seconds
        self._items: dict[str, pytest.Item] = {}
        self._taken: dict[str, float] = {}
        self._reaching: defaultdict[str, list[str]] = defaultdict(list)
        self._noticed_by: defaultdict[str, list[str]] = defaultdict(list)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted("tests that cannot be collected")
        self._items = {item.nodeid: item for item in session.items}
        self._find_what_tests_reach()
        todo = list(self._todo())
        # What is there is not moved by each child.
        gc.freeze()
        began, noticed = perf_counter(), 0
        for number, (file, name) in enumerate(todo, 1):
            file.exit_code_by_key[name], file.durations_by_key[name] = self._try(name)
            noticed += file.exit_code_by_key[name] not in (_SURVIVED, _UNREACHED)
            if number % 20 == 0 or number == len(todo) or file is not todo[number][0]:
                file.save()
                took = perf_counter() - began
                print(f"{number}/{len(todo)} tried, {noticed} noticed, {took:.0f} s", flush=True)
        return True

    def _todo(self) -> Iterator[tuple[SourceFileMutationData, str]]:
        for file in self._files:
            for name, code in file.exit_code_by_key.items():
                noticed = code not in (None, _SURVIVED, _UNREACHED)
                if not noticed and any(fnmatch(name, pattern) for pattern in self._names):
                    yield file, name

    def _find_what_tests_reach(self) -> None:
        """Also how long each takes. A test that fails without any change is not used."""
        told = Path("reached.json")
        before = json.loads(told.read_text()) if told.exists() else {}
        known = {}
        for name, item in self._items.items():
            key = f"{name} {_as_it_is(item.path)}"
            if key not in before:
                before[key] = _reached_by(item)
                told.write_text(json.dumps(before))
            known[key] = before[key]
            passed, self._taken[name], functions = known[key]
            if not passed:
                print(f"\nfails without any change: {name}")
                continue
            for function in functions:
                self._reaching[function].append(name)
        told.write_text(json.dumps(known))
        for tests in self._reaching.values():
            tests.sort(key=self._taken.__getitem__)
        print(f"\n{len(self._taken)} tests, {sum(self._taken.values()):.0f} s", flush=True)

    def _try(self, name: str) -> tuple[int, float]:
        function = mangled_name_from_mutant_name(name)
        tests = list(self._within(self._reaching[function]))
        tests.sort(key=self._noticed_by[function].__contains__, reverse=True)
        if not tests:
            return _UNREACHED, 0.0
        began = perf_counter()
        code, noticed_by = _in_child(lambda tell: self._run(name, tests, tell))
        if noticed_by and noticed_by not in self._noticed_by[function]:
            self._noticed_by[function].append(noticed_by)
        return code, perf_counter() - began

    def _within(self, tests: list[str]) -> Iterator[str]:
        left = self._seconds
        for test in tests:
            left -= self._taken[test]
            if left < 0:
                return
            yield test

    def _run(self, name: str, tests: list[str], tell: Callable[[str], object]) -> int:
        set_mutant_under_test(name)
        for test in tests:
            signal.setitimer(signal.ITIMER_PROF, 1 + 10 * self._taken[test])
            if _fails(self._items[test]):
                tell(test)
                return _NOTICED
        return _SURVIVED


def _in_child(act: Callable[[Callable[[str], object]], int]) -> tuple[int, str]:
    """What it returns and what it tells."""
    mine, theirs = os.pipe()
    child = os.fork()
    if not child:
        code = _NOTICED
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            has = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (has + _MORE_MEMORY, has + _MORE_MEMORY))
            with open(theirs, "w") as told:
                code = act(told.write)
        finally:
            os._exit(code)
    os.close(theirs)
    with open(mine) as telling:
        told_text = telling.read()
    _, status = os.waitpid(child, 0)
    return (_TIMEOUT if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), told_text


def _reached_by(item: pytest.Item) -> tuple[bool, float, list[str]]:
    """Whether it passes in a child without any change, how long it takes, what it reaches."""

    def run(tell: Callable[[str], object]) -> int:
        set_mutant_under_test("stats")
        state()._stats.clear()
        began = process_time()
        fails = _fails(item)
        tell(json.dumps([process_time() - began, sorted(state()._stats)]))
        return _NOTICED if fails else _SURVIVED

    code, told = _in_child(run)
    taken, functions = json.loads(told or "[0, []]")
    return code == _SURVIVED, taken, functions


def _fails(item: pytest.Item) -> bool:
    """Without a report, which would cost more than the test."""
    if isinstance(item, pytest.Function):
        item._initrequest()
    try:
        item.ihook.pytest_runtest_setup(item=item)
        item.ihook.pytest_runtest_call(item=item)
        item.ihook.pytest_runtest_teardown(item=item, nextitem=None)
    except pytest.skip.Exception:
        pass
    except BaseException:
        return True
    return False


def _as_it_is(path: Path) -> str:
    """Of a module of tests and what it leans on, and of the code."""
    beside = [one for one in path.parent.glob("*.py") if not one.name.startswith("test_")]
    code = [one for one in Path("presence_server").rglob("*.py") if config().should_mutate(one)]
    return _hash_of(tuple(sorted({path, *beside}))) + _hash_of(tuple(sorted(code)))


@cache
def _hash_of(paths: tuple[Path, ...]) -> str:
    return sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
