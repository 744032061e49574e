import logging
import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken
from hypothesis import given, settings
from hypothesis import strategies as st

from presence_server.accounts.keyring import Keyring, KeyringError, open_keyring
from presence_server.config import ConfigError
from tests.storage.programs import run_at_once


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "presence.sqlite3.key"


def keys(count: int) -> list[bytes]:
    return [Fernet.generate_key() for _ in range(count)]


def write(path: Path, *lines: bytes) -> None:
    path.write_bytes(b"\n".join(lines))
    path.chmod(0o600)


def test_the_file_is_made_for_the_owner_alone_and_kept(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        first = open_keyring(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    again = open_keyring(path)
    assert again.fernet.decrypt(first.fernet.encrypt(b"cookie")) == b"cookie"
    assert again.check("form", "value", first.token("form", "value"))
    # Where the old ones were forgotten, everybody is logged out, and the log has to say why.
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"made new keys, {path}")


_OPEN = """
from pathlib import Path
from presence_server.accounts.keyring import open_keyring

go()
print(open_keyring(Path(sys.argv[1])).token("same", ""))
"""


def test_of_several_processes_that_start_at_once_all_have_one_key(path: Path) -> None:
    said = run_at_once(6, _OPEN, path)
    assert len(set(said)) == 1
    assert len(said[0]) == 45


def test_t30_the_first_key_encrypts_and_all_decrypt(path: Path) -> None:
    old, new = keys(2)
    write(path, old)
    before = open_keyring(path)
    cookie, token = before.fernet.encrypt(b"cookie"), before.token("form", "value")
    write(path, b"# made in November", new, b"", b"  " + old + b"\r")
    rotated = open_keyring(path)
    assert rotated.fernet.decrypt(cookie) == b"cookie"
    assert rotated.check("form", "value", token)
    assert Fernet(new).decrypt(rotated.fernet.encrypt(b"cookie")) == b"cookie"
    assert not before.check("form", "value", rotated.token("form", "value"))
    write(path, new)
    after = open_keyring(path)
    with pytest.raises(InvalidToken):
        after.fernet.decrypt(cookie)
    assert not after.check("form", "value", token)


def test_a_token_is_for_one_purpose_and_value() -> None:
    keyring = Keyring(keys(1))
    token = keyring.token("form", "alice")
    assert keyring.check("form", "alice", token)
    assert not keyring.check("form", "bob", token)
    assert not keyring.check("device", "alice", token)
    assert keyring.token("a", "b\0c") != keyring.token("a\0b", "d")
    assert not Keyring(keys(1)).check("form", "alice", token)


@settings(deadline=None)
@given(st.text(st.characters(), max_size=60))
def test_made_up_tokens_are_refused(token: str) -> None:
    assert not Keyring([b"A" * 43 + b"="]).check("form", "alice", token)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "holds no key"),
        ([b"", b"# nothing but a comment"], "holds no key"),
        ([b"secret"], "Line 1"),
        ([Fernet.generate_key(), b"A" * 43], "Line 2"),
        ([Fernet.generate_key()[:-4]], "Line 1"),
        ([b"A" * 44], "Line 1"),
        ([b"A B" + b"A" * 40 + b"="], "Line 1"),
        ([b"\xff" * 44], "something other than keys"),
    ],
)
def test_an_unusable_file_is_one_sentence_without_the_key(
    path: Path, lines: list[bytes], said: str
) -> None:
    write(path, *lines)
    with pytest.raises(KeyringError) as raised:
        open_keyring(path)
    assert isinstance(raised.value, ConfigError)
    assert said in str(raised.value) and str(path) in str(raised.value)
    assert not any(len(line) > 1 and line.decode("latin1") in str(raised.value) for line in lines)


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match="No such file or directory"):
        open_keyring(tmp_path / "nowhere" / "key")
    with pytest.raises(KeyringError, match="Is a directory"):
        open_keyring(tmp_path)


def test_t31_keys_that_others_can_read_are_warned_about(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, *keys(1))
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        open_keyring(path)
    assert "chmod 600" in caplog.text
    assert path.read_text() not in caplog.text
