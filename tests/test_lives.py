"""What is known for sure of nodes of the same machine: by locks that end with their processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from presence_server.nodes.lives import Lives

_NODE = """\
import sys, pathlib, time
from presence_server.nodes.lives import Lives
with Lives(pathlib.Path(sys.argv[1]), sys.argv[2], [pathlib.Path(sys.argv[3])]):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "presence.sqlite3"


@pytest.fixture
def machine(tmp_path: Path) -> list[Path]:
    """Where it says which it is, on any system; of the first a service may see nothing."""
    file = tmp_path / "machine-id"
    file.write_text("1111111122222222\n")
    return [tmp_path / "boot_id", file]


@contextmanager
def process_of(
    node: str, database: Path, machine: list[Path]
) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-c", _NODE, str(database), node, str(machine[-1])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_node_has_ended_when_its_process_was_killed_and_not_while_it_stands_still(
    database: Path, machine: list[Path]
) -> None:
    with (
        Lives(database, "aa", machine) as lives,
        process_of("bb", database, machine) as one,
        process_of("cc", database, machine) as two,
    ):
        assert lives.find_ended() == {}
        os.kill(one.pid, signal.SIGSTOP)
        two.kill()
        two.wait()
        ended = lives.find_ended()
        assert list(ended) == ["cc"], "aa and bb live"
        assert list(lives.find_ended()) == ["cc"], "until others have been told"
        lives.forget(ended)
        lives.forget(ended)
        assert lives.find_ended() == {}
        one.kill()
        one.wait()
        assert list(lives.find_ended()) == ["bb"]


def test_a_node_that_ends_by_itself_leaves_nothing(database: Path, machine: list[Path]) -> None:
    with Lives(database, "aa", machine), process_of("bb", database, machine) as process:
        process.communicate("")
        assert process.returncode == 0
        assert len(list(database.parent.iterdir())) == 2
    assert list(database.parent.iterdir()) == machine[1:]


def test_nothing_is_concluded_from_other_machines_and_from_copies(
    database: Path, machine: list[Path]
) -> None:
    with Lives(database, "aa", machine), process_of("bb", database, machine):
        for path in list(database.parent.glob("presence.sqlite3.*")):
            elsewhere = database.parent / "copy"
            elsewhere.mkdir(exist_ok=True)
            (elsewhere / path.name).write_bytes(path.read_bytes())
        assert Lives(elsewhere / database.name, "dd", machine).find_ended() == {}
        machine[0].write_text("33333333-4444\n")
        assert Lives(database, "dd", machine).find_ended() == {}
        assert Lives(database.with_name("presence.sqlite"), "dd", machine).find_ended() == {}


@pytest.mark.parametrize("missing", ["the machine", "the folder"])
def test_where_no_lock_can_be_had_nothing_is_known(
    database: Path, machine: list[Path], missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    if missing == "the machine":
        machine[-1].unlink()
    else:
        database = database.parent / "none" / "presence.sqlite3"
    caplog.set_level("INFO")
    with Lives(database, "aa", machine) as lives:
        assert "the next one waits for its lease" in caplog.text
        assert lives.find_ended() == {}


def test_a_crowd_is_one_of_a_node_that_lives(database: Path, machine: list[Path]) -> None:
    lives = Lives(database, "aa", machine)
    with Lives(database, "bb", machine) as other:
        assert not lives.is_any_crowded()
        other.say_crowded(True)
        assert lives.is_any_crowded() and not other.is_any_crowded()
        other.say_crowded(False)
        assert not lives.is_any_crowded()
    with process_of("cc", database, machine) as process:
        (file,) = database.parent.glob("*.cc")
        os.truncate(file, 1)
        assert lives.is_any_crowded()
        process.kill()
        process.wait()
        assert list(lives.find_ended()) == ["cc"] and not lives.is_any_crowded()
