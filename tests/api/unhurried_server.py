"""A server at which one user may ask as often as a test does."""

import sys

from presence_server import cli
from presence_server.apps import limits

limits._OF_APP = limits._OF_USER = 1_000_000, 1_000_000.0

if __name__ == "__main__":
    sys.exit(cli.main())
