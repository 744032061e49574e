"""The secret keys of the server: a file, one key a line. The first encrypts, all decrypt."""

import hashlib
import hmac
import logging
import os
import tempfile
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from presence_server.config import ConfigError

log = logging.getLogger(__name__)


class KeyringError(ConfigError):
    """The key file cannot be used; the text is a sentence that names it."""


class Unreadable(ValueError):
    """What was sealed cannot be read with any of the keys."""


class Keyring:
    """`fernet` encrypts and decrypts; tokens prove that this server gave them out."""

    def __init__(self, keys: list[bytes]) -> None:
        self._first = Fernet(keys[0])
        self.fernet = MultiFernet([Fernet(key) for key in keys])
        self._token_keys = [_derive(key, "tokens") for key in keys]
        # For what nodes say to each other; in the same order.
        self.letter_keys = [_derive(key, "letters") for key in keys]
        self.cursor_keys = [_derive(key, "cursors") for key in keys]

    def seal(self, text: str) -> str:
        """Encrypt what is kept in the database."""
        return self._first.encrypt(text.encode()).decode()

    def unseal(self, sealed: str) -> str:
        """Raises Unreadable."""
        try:
            return self.fernet.decrypt(sealed).decode()
        except InvalidToken as error:
            raise Unreadable from error

    def resealed(self, sealed: str) -> str | None:
        """The same under the first key; None if it is so already. Raises Unreadable."""
        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            return self.seal(self.unseal(sealed))
        return None

    def token(self, purpose: str, value: str) -> str:
        return _sign(self._token_keys[0], purpose, value)

    def check(self, purpose: str, value: str, token: str) -> bool:
        """Whether `token` was made for this purpose and value, with any of the keys."""
        given = token.encode("utf-8", "surrogatepass")
        return any(
            hmac.compare_digest(_sign(key, purpose, value).encode(), given)
            for key in self._token_keys
        )


def open_keyring(path: Path, *, create: bool = True) -> Keyring:
    """The keyring in `path`; the file is made if there is none. Raises KeyringError."""
    try:
        if not path.exists():
            if not create:
                raise KeyringError(
                    f"There is no key file {path}. --secret-key-file (PRESENCE_SECRET_KEY_FILE)"
                    " names that of the server, which makes a new one when it starts without."
                )
            _create(path)
        if path.stat().st_mode & 0o077:
            log.warning("Others on this machine can read the keys in %s: chmod 600 it.", path)
        lines = path.read_text("ascii").splitlines()
    except OSError as error:
        raise KeyringError(f"The key file {path} cannot be used: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise KeyringError(f"The key file {path} holds something other than keys.") from error
    return Keyring(_keys(path, lines))


def _create(path: Path) -> None:
    """Write a new key; of several processes that do so at once, one wins and all use its key."""
    # The link appears with the whole key in it, and never in place of another.
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as file:
        file.write(Fernet.generate_key() + b"\n")
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)
        except FileExistsError:
            return
    # A file that was left behind when the database was moved is not noticed by anything else.
    log.info("made new keys, %s: what other keys have sealed cannot be read with them", path)


def _keys(path: Path, lines: list[str]) -> list[bytes]:
    keys = []
    for number, line in enumerate(lines, 1):
        key = line.strip().encode()
        if not key or key.startswith(b"#"):
            continue
        if not _is_key(key):
            # The line itself is not shown: it may be a key with a slip in it.
            raise KeyringError(
                f"Line {number} of the key file {path} is no key: "
                "a key is 32 random bytes in url-safe base64."
            )
        keys.append(key)
    if not keys:
        raise KeyringError(f"The key file {path} holds no key; delete it to have one made.")
    return keys


def _is_key(key: bytes) -> bool:
    try:
        return len(b64decode(key, b"-_", validate=True)) == 32
    except ValueError:
        return False


def _derive(key: bytes, purpose: str) -> bytes:
    # Not the key itself, so that what tokens may give away says nothing about cookies.
    info = f"presence_server {purpose}".encode()
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=info)
    return derive.derive(urlsafe_b64decode(key))


def _sign(key: bytes, purpose: str, value: str) -> str:
    message = f"{purpose}\0{value}".encode("utf-8", "surrogatepass")
    return urlsafe_b64encode(hmac.digest(key, message, hashlib.sha256)).decode()
