"""What operators watch: measured as it happens, or read from the running node when asked."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from presence_server import logs
from presence_server.live.flushing import Flush
from presence_server.live.seats import capacity
from presence_server.live.service import PresenceService
from presence_server.nodes.pulse import Measured
from presence_server.presence.states import PRECEDENCE
from presence_server.storage.database import Database

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_WRITES = (1, 10, 100, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000)


class Metrics:
    """The instruments of one server process. Each is described in docs/operations.md."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(namespace="presence", registry=self._registry)
        self.log_ins = self._counter("log_ins", "Log-ins by result", "result")
        self.throttled = self._counter("throttled", "Tries that were told to wait", "what")
        self.refused_sockets = self._counter(
            "refused_sockets", "Sockets refused by a limit", "limit"
        )
        self.api_requests = self._counter(
            "api_requests", "Requests to the API by app and class of answer", "app", "answer"
        )
        # The longest of late, for those who look at a page and not at these.
        self.measured = Measured()
        self._loop_lag = self._histogram("event_loop_lag_seconds", "How late the event loop is")
        self._database = self._histogram("database_seconds", "Time in the database", "kind")
        self._flush_seconds = self._histogram("flush_seconds", "Time that a flush takes")
        self._delay = self._histogram(
            "change_to_write_seconds", "From a change to the last write of the flush that tells it"
        )
        self._flush_writes = self._histogram(
            "flush_writes", "Sockets written to in a flush", buckets=_WRITES
        )
        self._flush_bytes = self._counter("flush_bytes", "Bytes written by flushes")

    def watch(self, presence: PresenceService, database: Database) -> None:
        """Measure this node's flushes, and read its numbers each time somebody asks."""
        presence.hub.flushing.tell(self._flushed)
        self._registry.register(_Node(presence, database))

    def watch_apps(
        self, people: Callable[[], Mapping[str, int]], lines: Callable[[], Mapping[str, int]]
    ) -> None:
        """Read, each time somebody asks, how many people and lines each app has."""
        self._registry.register(_Apps(people, lines))

    def watch_telling(
        self, behind: Callable[[], Mapping[str, tuple[int, int]]], is_on_duty: Callable[[], bool]
    ) -> None:
        """Read, each time, how many changes each app has yet to be told and for how many seconds
        they wait, as far as this node tells, and whether it does."""
        self._registry.register(_Telling(behind, is_on_duty))

    def note_lag(self, seconds: float) -> None:
        """How late the event loop was."""
        self._loop_lag.observe(seconds)
        self.measured.note_lag(seconds)

    def time_database(self, kind: str, seconds: float) -> None:
        self.measured.note_database(seconds)
        self._database.labels(kind).observe(seconds)

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)

    def _flushed(self, flush: Flush) -> None:
        self._delay.observe(flush.delay)
        self.measured.note_delay(flush.delay)
        self._flush_seconds.observe(flush.seconds)
        self._flush_writes.observe(flush.writes)
        self._flush_bytes.inc(flush.size)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"presence_{name}", text, labels, registry=self._registry)

    def _histogram(
        self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = _SECONDS
    ) -> Histogram:
        return Histogram(
            f"presence_{name}", text, labels, registry=self._registry, buckets=buckets
        )


class _Node(Collector):
    """The numbers that a running node knows anyway."""

    def __init__(self, presence: PresenceService, database: Database) -> None:
        self._presence = presence
        self._database = database

    def collect(self) -> Iterator[Metric]:
        presence, node = self._presence, self._presence.node
        people = GaugeMetricFamily("presence_people", "Users by status", labels=["status"])
        for status in PRECEDENCE:
            people.add_metric([status], presence.room.roster.counts.get(status, 0))
        yield people
        yield _gauge("sockets", "Open sockets", len(presence.hub))
        yield _gauge("lagging_sockets", "Sockets passed over until they read", presence.hub.lagging)
        yield _gauge("nodes", "Other nodes that are known", len(presence.peers))
        yield _gauge("relay_in_touch", "1 while other nodes can be heard", not presence.degraded)
        yield _gauge("sockets_most", "Sockets that this process can hold", capacity())
        yield _gauge("tasks", "Tasks of the event loop", len(asyncio.all_tasks()))
        yield _gauge("timers", "Timers of the event loop", _timers())
        yield _count("changes", "Changes of status", node.versions.newest)
        yield _count("resyncs", "Snapshots asked of other nodes", node.peers.resyncs)
        yield _count("deaf", "Times that this node did not hear itself", node.hearing.silences)
        yield _count("stalls", "Times that this process stood still", presence.stalls)
        yield _count("refused_letters", "Letters that were none", presence.refused_letters)
        relay = presence.relay
        yield _count("relay_sent", "Letters given to the relay", relay.sent)
        yield _count("relay_received", "Letters that the relay brought", relay.received)
        yield _count("relay_dropped", "Letters dropped because too many waited", relay.dropped)
        yield _count("relay_forged", "Letters without our seal, dropped", relay.forged)
        yield _count("relay_repeated", "Letters sent again by others, dropped", relay.repeated)
        yield _count("relay_resubscribed", "New subscriptions", relay.resubscribed)
        yield _count("log_lines_dropped", "Lines of the log that were not written", logs.dropped())
        yield _counts("dismissed", "Sockets closed by the server", "code", presence.hub.dismissed)
        yield _counts(
            "database_failures", "Times that it could not serve", "kind", self._database.failures
        )


class _Apps(Collector):
    """By app: apps are few, and rooms and users are not."""

    def __init__(
        self, people: Callable[[], Mapping[str, int]], lines: Callable[[], Mapping[str, int]]
    ) -> None:
        self._people = people
        self._lines = lines

    def collect(self) -> Iterator[Metric]:
        for name, text, read in (
            ("app_people", "People in any room of an app", self._people),
            ("app_lines", "Open lines of an app's users", self._lines),
        ):
            metric = GaugeMetricFamily(f"presence_{name}", text, labels=["app"])
            for app, number in read().items():
                metric.add_metric([app], number)
            yield metric


class _Telling(Collector):
    def __init__(
        self, behind: Callable[[], Mapping[str, tuple[int, int]]], is_on_duty: Callable[[], bool]
    ) -> None:
        self._behind = behind
        self._is_on_duty = is_on_duty

    def collect(self) -> Iterator[Metric]:
        due = GaugeMetricFamily("presence_webhook_due", "Changes yet to be told", labels=["app"])
        seconds = GaugeMetricFamily(
            "presence_webhook_behind_seconds", "How long the first of them waits", labels=["app"]
        )
        for app, (number, waiting) in self._behind().items():
            due.add_metric([app], number)
            seconds.add_metric([app], waiting)
        yield due
        yield seconds
        yield _gauge("duty", "1 while it tells webhooks and writes visits", self._is_on_duty())


def _timers() -> int:
    # asyncio has no public way to count them. Those that were cancelled stay for a while.
    scheduled: list[asyncio.TimerHandle] = getattr(asyncio.get_running_loop(), "_scheduled", [])
    return sum(not timer.cancelled() for timer in scheduled)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"presence_{name}", text, value)


def _count(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"presence_{name}", text, value)


def _counts(name: str, text: str, label: str, counts: Mapping[Any, float]) -> Metric:
    metric = CounterMetricFamily(f"presence_{name}", text, labels=[label])
    for value, count in counts.items():
        metric.add_metric([str(value)], count)
    return metric
