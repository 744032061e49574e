"""How this process and the others are: measured here every few seconds, and written down for the
others while there are any.

A row lives as long as its node says something; one that is old is that of a node that stopped, or
that cannot write.
"""

import asyncio
import json
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from presence_server.storage.database import Database, Transaction

EVERY = 5  # seconds
# Five minutes.
KEPT = 60
# A node that has said nothing for so long is not shown.
_SILENT_FOR = 20
_FORGOTTEN_AFTER = 3600

# From where on somebody has to do something: seconds, and shares.
_LATE, _SLOW_DATABASE, _FULL, _LITTLE_DISK = 0.5, 0.5, 0.9, 0.1
# The samples of a minute.
_RECENT = 60 // EVERY


class Sample(NamedTuple):
    """`changes` are so many a second; the others but `sockets` the longest seconds of the time
    since the last sample: from a change to its last write, how late the event loop was, and for
    the database."""

    sockets: int
    changes: float
    delay: float
    lag: float
    database: float


@dataclass(frozen=True, slots=True)
class Vitals:
    """One process: `room` is how many sockets it can hold, `disk` free and all bytes of the disk
    with the database, `trouble` what the database says."""

    node: str
    process: int
    degraded: bool
    room: int
    disk: tuple[int, int] | None
    trouble: str | None
    samples: tuple[Sample, ...]

    @property
    def last(self) -> Sample:
        return self.samples[-1] if self.samples else Sample(0, 0, 0, 0, 0)

    def worst(self, what: str) -> float:
        """Of the last minute."""
        return max((getattr(sample, what) for sample in self.samples[-_RECENT:]), default=0)


@dataclass(slots=True)
class Measured:
    """The longest of each since it was last taken."""

    delay: float = 0.0
    lag: float = 0.0
    database: float = 0.0

    def note_delay(self, seconds: float) -> None:
        self.delay = max(self.delay, seconds)

    def note_lag(self, seconds: float) -> None:
        self.lag = max(self.lag, seconds)

    def note_database(self, seconds: float) -> None:
        self.database = max(self.database, seconds)

    def take(self) -> tuple[float, float, float]:
        taken = self.delay, self.lag, self.database
        self.delay = self.lag = self.database = 0.0
        return taken


class Counts(NamedTuple):
    """What a node knows of itself at any time; `changes` counts from its start."""

    sockets: int
    changes: int
    degraded: bool


@dataclass(slots=True)
class Pulse:
    """`alone`: there is nobody to write for."""

    database: Database
    node: str
    counts: Callable[[], Counts]
    measured: Measured
    room: int
    place: Path | None
    alone: bool
    _samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=KEPT))
    _changes: int = 0
    _measured_at: float = field(default_factory=time.monotonic)

    async def run(self) -> None:
        """Measure for ever."""
        self._changes, self._measured_at = self.counts().changes, time.monotonic()
        while True:
            await asyncio.sleep(EVERY)
            self.measure()
            if not self.alone:
                await self.database.attempt(self._write())

    def measure(self) -> None:
        counts, now = self.counts(), time.monotonic()
        # A database in trouble makes the time between two samples longer.
        changes = (counts.changes - self._changes) / (now - self._measured_at)
        self._changes, self._measured_at = counts.changes, now
        self._samples.append(Sample(counts.sockets, changes, *self.measured.take()))

    async def all(self) -> list[Vitals]:
        """This process first; the others as they last said."""
        others = [] if self.alone else await self._others()
        return [await self._own(), *others]

    async def _own(self) -> Vitals:
        counts = self.counts()
        disk = None if self.place is None else await asyncio.to_thread(_disk, self.place)
        trouble = await self.database.why_not_writable()
        samples = tuple(self._samples)
        return Vitals(
            self.node, os.getpid(), counts.degraded, self.room, disk, trouble, samples
        )

    async def _others(self) -> list[Vitals]:
        clock, silent_for = self.database.clock, 1000 * _SILENT_FOR
        # What is ahead by more was said before the clock was set back: who lives has spoken since.
        rows = await self.database.read(
            f"SELECT node, said FROM pulses WHERE node <> $1 AND said_at > {clock} - {silent_for}"
            f" AND said_at < {clock} + {silent_for} ORDER BY node",
            self.node,
        )
        return [_vitals(node, json.loads(said)) for node, said in rows]

    async def _write(self) -> None:
        said, clock = json.dumps(_said(await self._own())), self.database.clock

        async def work(transaction: Transaction) -> None:
            await transaction.execute(
                f"INSERT INTO pulses (node, said_at, said) VALUES ($1, {clock}, $2)"
                " ON CONFLICT (node) DO UPDATE SET said_at = excluded.said_at,"
                " said = excluded.said",
                self.node,
                said,
            )
            await transaction.execute(
                f"DELETE FROM pulses WHERE said_at < {clock} - {1000 * _FORGOTTEN_AFTER}"
            )

        await self.database.write(work)


def advice(processes: Iterable[Vitals]) -> list[str]:
    """What somebody has to do, a sentence or two each; empty when all is well."""
    return list(dict.fromkeys(sentence for each in processes for sentence in _advice(each)))


def _advice(vitals: Vitals) -> Iterator[str]:
    which = f"Process {vitals.process}"
    if vitals.trouble:
        yield f"{vitals.trouble} Until this is fixed nobody can log in or sign up."
    if vitals.degraded:
        yield (
            "The servers are out of touch: check that Redis is running and can be reached. "
            "Until then people on other servers are shown as last known."
        )
    if vitals.disk is not None and vitals.disk[0] < _LITTLE_DISK * vitals.disk[1]:
        free = f"{vitals.disk[0] / 1e9:.1f} GB"
        yield f"The disk with the database is nearly full, with {free} left. Make room on it."
    if vitals.last.sockets > _FULL * vitals.room:
        yield (
            f"{which} has {vitals.last.sockets:,} open pages and can hold {vitals.room:,}: let it "
            "open more files, or add processes (--processes)."
        )
    if vitals.worst("lag") > _LATE or vitals.worst("delay") > _LATE:
        late = max(vitals.worst("lag"), vitals.worst("delay"))
        yield (
            f"{which} is running late by up to {late:.1f} s: it has more to do than its processor "
            "can manage. Add processes (--processes), or see what else keeps the machine busy."
        )
    if vitals.worst("database") > _SLOW_DATABASE:
        yield (
            f"The database took up to {vitals.worst('database'):.1f} s to answer {which.lower()}: "
            "check whether its disk is slow or busy."
        )


def _said(vitals: Vitals) -> dict[str, Any]:
    samples = [[round(value, 4) for value in sample] for sample in vitals.samples]
    return {
        "process": vitals.process,
        "degraded": vitals.degraded,
        "room": vitals.room,
        "disk": vitals.disk,
        "trouble": vitals.trouble,
        "samples": samples,
    }


def _vitals(node: str, said: Mapping[str, Any]) -> Vitals:
    return Vitals(
        node,
        said["process"],
        said["degraded"],
        said["room"],
        None if said["disk"] is None else (said["disk"][0], said["disk"][1]),
        said["trouble"],
        tuple(Sample(*sample) for sample in said["samples"]),
    )


def _disk(place: Path) -> tuple[int, int]:
    usage = shutil.disk_usage(place)
    return usage.free, usage.total
