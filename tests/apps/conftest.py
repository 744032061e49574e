import pytest
from cryptography.fernet import Fernet

from presence_server.accounts.keyring import Keyring


@pytest.fixture
def keyring() -> Keyring:
    return Keyring([Fernet.generate_key()])
