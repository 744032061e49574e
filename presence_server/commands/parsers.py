"""What a command adds its parser to."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    # It takes no parameter when a program runs.
    Subparsers = argparse._SubParsersAction
