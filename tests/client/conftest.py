import os
import shutil

import pytest

from testing.install_node_packages import MISSING, are_installed


@pytest.fixture
def node() -> str:
    """Where Node is; without it these tests are left out, but not in CI."""
    found = shutil.which("node")
    if found is None or not are_installed():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    return str(found)
