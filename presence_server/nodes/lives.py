"""Which nodes have surely ended: on one machine each holds a lock on a file of its own for as long
as its process lives.

The kernel lets the lock go with the process, whatever ended it, and never before: one that stands
still keeps it. A file says of what machine it is, and which file it was made as: nothing is
concluded from those of other machines, or from copies. One with a byte in it is of a node at which
a crowd comes in.
"""

import errno
import fcntl
import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

# What tells machines apart: of each start, the same in all of its containers; and where a service
# may not see that, of the installation.
_MACHINE = (Path("/proc/sys/kernel/random/boot_id"), Path("/etc/machine-id"))

log = logging.getLogger(__name__)


class Lives:
    """The locks of the nodes whose files lie beside one that they share; entered, one's own."""

    def __init__(self, beside: Path, node: str, machine: Sequence[Path] = _MACHINE) -> None:
        self._beside = beside
        self._node = node
        self._machine = machine
        self._own: tuple[int, Path] | None = None

    def __enter__(self) -> Self:
        try:
            self._own = self._lock()
        except OSError as error:
            log.info(
                "No lock can be had beside %s (%s): should this process be killed, the next one "
                "waits for its lease.",
                self._beside,
                error.strerror,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            descriptor, path = self._own
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def find_ended(self) -> Mapping[str, Path]:
        """The nodes of this machine that are no more, with their files."""
        try:
            return {name: path for name, inode, path in self._files() if _is_free(path, inode)}
        except OSError:
            # Nothing is known for sure.
            return {}

    def forget(self, ended: Mapping[str, Path]) -> None:
        """All who have to know it do."""
        for path in ended.values():
            with suppress(OSError):
                path.unlink()

    def say_crowded(self, crowded: bool) -> None:
        """Tell the nodes of this machine whether a crowd comes in at this one."""
        # It only spares work: a full disk is no reason to end.
        with suppress(OSError):
            if self._own is not None:
                os.ftruncate(self._own[0], int(crowded))

    def is_any_crowded(self) -> bool:
        """Whether a crowd comes in at another node of this machine that lives."""
        try:
            return any(
                name != self._node and _has_a_byte(path) and not _is_free(path, inode)
                for name, inode, path in self._files()
            )
        except OSError:
            # Nothing is known.
            return False

    def _lock(self) -> tuple[int, Path]:
        machine = _name_in(self._machine)
        descriptor, made = tempfile.mkstemp(
            dir=self._beside.parent, prefix=f".{self._beside.name}."
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            inode = os.fstat(descriptor).st_ino
            path = self._beside.with_name(f"{self._beside.name}.{machine}.{inode}.{self._node}")
            # It appears with its lock.
            os.rename(made, path)
        except BaseException:
            os.unlink(made)
            os.close(descriptor)
            raise
        return descriptor, path

    def _files(self) -> Iterator[tuple[str, int, Path]]:
        """Of the nodes of this machine, with what each was made as."""
        machine = _name_in(self._machine)
        ours = re.escape(f"{self._beside.name}.{machine}")
        form = re.compile(rf"{ours}\.(\d+)\.([0-9a-f]+)")
        for path in self._beside.parent.iterdir():
            found = form.fullmatch(path.name)
            if found is not None:
                yield found[2], int(found[1]), path


def _name_in(files: Sequence[Path]) -> str:
    """Of the machine, as the first of them that can be read says."""
    for file in files:
        with suppress(OSError):
            if text := file.read_bytes().strip():
                return hashlib.sha256(text).hexdigest()[:16]
    raise OSError(errno.ENOENT, "it is not known which machine this is")


def _has_a_byte(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        # Its node has just ended.
        return False


def _is_free(path: Path, inode: int) -> bool:
    """Whether nobody holds the lock of a file that was made as it is."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        # Another process has seen to it, or it is not for us to read.
        return False
    try:
        # Several may look at once.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return os.fstat(descriptor).st_ino == inode
    except OSError:
        return False
    finally:
        os.close(descriptor)
