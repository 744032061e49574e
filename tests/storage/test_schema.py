import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from presence_server.accounts import users
from presence_server.storage import schema
from presence_server.storage.database import DatabaseUnusable, Row, Transaction, open_database
from presence_server.storage.migrations import read_steps
from presence_server.resources import MIGRATIONS
from tests.storage.programs import lock_of_another_program, run, run_at_once

NOW = 1_795_420_800


async def refusal(path: Path, *, create: bool = True) -> str:
    """What is said when the database is opened; it names its path."""
    with pytest.raises(DatabaseUnusable) as raised:
        async with open_database(path, create=create):
            pass
    sentence = str(raised.value)
    assert sentence.startswith(f"The database {path.absolute()} ")
    assert sentence.endswith(".") and "\n" not in sentence
    return sentence


async def test_t31_the_files_are_the_owners_alone(path: Path) -> None:
    old = os.umask(0)
    try:
        async with open_database(path) as db:
            await users.create(db, "alice", "hash", NOW)
            files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(old)
    assert files == {path.name + end: 0o600 for end in ("", "-wal", "-shm")}


async def test_t31_what_others_could_read_they_no_longer_can(path: Path) -> None:
    async with open_database(path):
        pass
    path.chmod(0o664)
    async with open_database(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_it_is_made_once_and_keeps_its_identity(path: Path, tmp_path: Path) -> None:
    async with open_database(path) as db:
        identity = db.identity
        await users.create(db, "alice", "hash", NOW)
    assert len(identity) == 32
    async with open_database(path, create=False) as db:
        assert db.identity == identity
        assert await users.find(db, "alice")
    async with open_database(tmp_path / "other") as db:
        assert db.identity != identity


async def test_what_is_acknowledged_is_on_the_disk(path: Path) -> None:
    async with open_database(path) as db:
        assert await db.read("PRAGMA journal_mode") == [("wal",)]

        async def synchronous(transaction: Transaction) -> list[Row]:
            return await transaction.execute("PRAGMA synchronous")

        assert await db.write(synchronous) == [(2,)]  # FULL


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory", "a b#c%d?e", "naïve"])
async def test_any_name_is_the_name_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_database(Path(name)) as db:
        await users.create(db, "alice", "hash", NOW)
    assert [file.name for file in tmp_path.iterdir()] == [name]


_OPEN_ON_A_FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from presence_server.storage.database import DatabaseUnusable, open_database

async def main():
    for kilobytes in range(4, 56, 4):
        # No file may grow beyond, which is how a full disk looks to a program.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * kilobytes, resource.RLIM_INFINITY))
        try:
            async with open_database(Path(sys.argv[1], f"{kilobytes}.sqlite3")):
                print("open")
        except DatabaseUnusable as error:
            print(error)

asyncio.run(main())
"""


async def test_f17_wherever_the_room_for_the_schema_ends_there_is_a_sentence(
    tmp_path: Path,
) -> None:
    said = run(_OPEN_ON_A_FULL_DISK, tmp_path).splitlines()
    assert len(said) == 13
    for line in said:
        assert line.endswith(("left on its disk.", "written to its disk.")), said
    for path in tmp_path.glob("*.sqlite3"):
        async with open_database(path) as db:
            assert await users.count(db) == 0


async def test_f18_a_missing_folder(tmp_path: Path) -> None:
    assert f"no folder {tmp_path / 'nowhere'}" in await refusal(tmp_path / "nowhere" / "x.sqlite3")


async def test_f18_a_folder(tmp_path: Path) -> None:
    assert "is a folder" in await refusal(tmp_path)


async def test_f18_what_is_no_file_is_left_as_it_is(path: Path) -> None:
    """As root one could take /dev/null from everybody."""
    os.mkfifo(path)
    path.chmod(0o666)
    assert "is no file" in await refusal(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666


async def test_f18_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    assert "File name too long" in await refusal(tmp_path / ("x" * 300))


async def test_f18_a_missing_database_is_not_made_unasked(path: Path) -> None:
    assert "does not exist" in await refusal(path, create=False)
    assert not path.exists()


async def test_f18_another_file(path: Path) -> None:
    path.write_text("Dear diary, " * 1000)
    before = path.read_bytes()
    assert "is not a database" in await refusal(path)
    assert path.read_bytes() == before


async def test_f18_the_database_of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE users (name TEXT)")
    assert "belongs to another program" in await refusal(path)


async def test_f18_a_damaged_database(path: Path) -> None:
    async with open_database(path) as db:
        for number in range(200):
            await users.create(db, f"user{number:03}", "h" * 60, NOW)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged" in await refusal(path)
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + b"\xff" * 4096 + whole[middle + 4096 :])
    assert "damaged" in await refusal(path)
    path.write_bytes(b"\0" * 100 + whole[100:])
    assert "is not a database" in await refusal(path)


async def test_a_database_that_has_lost_its_identity(path: Path) -> None:
    async with open_database(path):
        pass
    with closing(sqlite3.connect(path)) as other:
        other.execute("DELETE FROM about")
        other.commit()
    assert "it has no identity" in await refusal(path)


async def test_f18_a_database_of_a_newer_version(path: Path) -> None:
    async with open_database(path):
        pass
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 99")
    assert "newer version" in await refusal(path)


async def test_a_locked_database_can_be_opened(path: Path) -> None:
    async with open_database(path):
        pass
    with lock_of_another_program(path):
        async with open_database(path) as db:
            assert await users.count(db) == 0


async def test_a_locked_database_that_lacks_a_step_cannot(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "OPEN_PATIENCE", 0.1)
    path.touch()
    with lock_of_another_program(path):
        assert "locked by another program" in await refusal(path)


_AS_NOBODY = """
import asyncio, os, sys
from pathlib import Path
from presence_server.storage.database import DatabaseUnusable, open_database

async def main():
    try:
        async with open_database(Path(sys.argv[1])):
            print("opened")
    except DatabaseUnusable as error:
        print(error)

if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "said"),
    [
        (0o000, 0o755, "cannot be opened"),
        (0o444, 0o555, "cannot be"),
        (None, 0o555, "cannot be opened: Permission denied"),
        (None, 0o000, "cannot be opened: Permission denied"),
    ],
)
async def test_f18_what_may_not_be_used(
    tmp_path_factory: pytest.TempPathFactory, file_mode: int | None, folder_mode: int, said: str
) -> None:
    """As a user who is not root: root may do everything."""
    top = tmp_path_factory.getbasetemp()
    folder = tmp_path_factory.mktemp("folder")
    path = folder / "presence.sqlite3"
    if file_mode is not None:
        async with open_database(path):
            pass
        path.chmod(file_mode)
    folder.chmod(folder_mode)
    # pytest's own folders are closed to others.
    for above in (top, top.parent):
        above.chmod(above.stat().st_mode | 0o011)
    try:
        sentence = run(_AS_NOBODY, path)
    finally:
        folder.chmod(0o755)
    assert sentence.startswith(f"The database {path} ")
    assert said in sentence


_OPEN = """
import asyncio
from pathlib import Path
from presence_server.storage.database import open_database

async def main():
    go()
    async with open_database(Path(sys.argv[1])) as db:
        print(db.identity)

asyncio.run(main())
"""


def test_of_several_processes_that_start_at_once_one_makes_the_schema(path: Path) -> None:
    said = run_at_once(6, _OPEN, path)
    assert len(set(said)) == 1
    assert len(said[0]) == 33


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The schema, to which a test adds a step."""
    script = tmp_path / "migrations.sql"
    script.write_text(MIGRATIONS.read_text())
    monkeypatch.setattr(schema, "MIGRATIONS", script)
    return script


def append(script: Path, statements: str, *, skip: int = 0) -> None:
    """Add a step, or one with too high a number."""
    number = len(read_steps(script.read_text())) + 1 + skip
    script.write_text(f"{script.read_text()}\n-- step {number}\n\n{statements}")


async def test_an_older_database_takes_the_steps_it_has_not_taken(
    tmp_path: Path, script: Path
) -> None:
    path = tmp_path / "presence.sqlite3"
    async with open_database(path) as db:
        await users.create(db, "alice", "hash", NOW)
    append(script, "CREATE TABLE rooms (name TEXT); -- a room\n")
    for _ in range(2):
        async with open_database(path) as db:
            assert await db.read("SELECT * FROM rooms") == []
            assert await users.find(db, "alice")


async def test_a_step_is_taken_whole_or_not_at_all(tmp_path: Path, script: Path) -> None:
    path = tmp_path / "presence.sqlite3"
    async with open_database(path):
        pass
    taken = len(read_steps(script.read_text()))
    append(script, "CREATE TABLE rooms (name TEXT);\nCREATE TABLE users (x);\n")
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        async with open_database(path):
            pass
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA user_version").fetchall() == [(taken,)]
        assert not other.execute("SELECT 1 FROM sqlite_schema WHERE name = 'rooms'").fetchall()


async def test_steps_out_of_order_are_refused(tmp_path: Path, script: Path) -> None:
    append(script, "CREATE TABLE rooms (name TEXT);\n", skip=1)
    with pytest.raises(ValueError, match="not 1, 2, 3"):
        async with open_database(tmp_path / "presence.sqlite3"):
            pass
