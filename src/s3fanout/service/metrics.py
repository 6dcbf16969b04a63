"""Prometheus metrics. Counters count what this process did; gauges are read from the ledger."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from s3fanout.engine.lane import LaneView
from s3fanout.model.jobs import DestinationSummary, JobState, Settlement
from s3fanout.service.status import SweepView, lag_s

_LAG_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_BUCKET_NAMES = (*map(floatToGoString, _LAG_BUCKETS), "+Inf")


class _Tally:
    """What was replicated to one destination, since ``began_s`` (Unix time)."""

    __slots__ = ("began_s", "by_lag", "lag_s", "size_bytes")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.by_lag = [0] * len(_BUCKET_NAMES)
        """Replicas whose lag lies between a bucket's bound and the one before."""
        self.lag_s = 0.0
        self.size_bytes = 0


class _Replicas(Collector):
    """The metrics of every replica, made only when somebody asks for them.

    The library's own counters take a lock for each number: for one replica that cost as much as
    signing its request.
    """

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}

    def count(self, settlement: Settlement, lag_s: float) -> None:
        """Take one replica in."""
        destination = settlement.job.destination
        tally = self._tallies.get(destination)
        if tally is None:
            tally = self._tallies[destination] = _Tally(settlement.at_ms / 1000)
        tally.by_lag[bisect_left(_LAG_BUCKETS, lag_s)] += 1
        tally.lag_s += lag_s
        tally.size_bytes += settlement.size_bytes or 0

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """See ``prometheus_client.registry.Collector``."""
        labels = ("destination",)
        objects = CounterMetricFamily(
            "s3fanout_replicated_objects", "Replicas written and settled", labels=labels
        )
        size_bytes = CounterMetricFamily(
            "s3fanout_replicated_bytes", "Bytes of the replicas written and settled", labels=labels
        )
        lag = HistogramMetricFamily(
            "s3fanout_replication_seconds",
            "From the event's time to the settled replica",
            labels=labels,
        )
        for destination, tally in self._tallies.items():
            counts = list(accumulate(tally.by_lag))
            objects.add_metric([destination], counts[-1], created=tally.began_s)
            size_bytes.add_metric([destination], tally.size_bytes, created=tally.began_s)
            buckets = list(zip(_BUCKET_NAMES, counts, strict=True))
            lag.add_metric([destination], buckets, sum_value=tally.lag_s)
            lag.add_sample(f"{lag.name}_created", {"destination": destination}, tally.began_s)
        yield from (objects, size_bytes, lag)


class Metrics:
    """Implements the telemetry port, and renders ``/metrics``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        by_destination = ("destination",)
        self._replicas = _Replicas()
        self.registry.register(self._replicas)
        self._failures = self._counter(
            "failures", "Failed attempts by error code", ("destination", "code")
        )
        self._throttled = self._counter(
            "throttled", "Answers that asked for a lower rate", by_destination
        )
        self._asked_again = self._counter(
            "asked_again", "Reads that failed and were asked for once more", ("operation",)
        )
        self._events = self._counter("events", "Change events taken in", ("route",))
        self._ignored = self._counter("ignored_events", "Records that need no replica", ("route",))
        self._malformed = self._counter(
            "malformed_events",
            "Records that were kept because they cannot be understood",
            ("route",),
        )
        self._unwanted = self._counter(
            "unwanted_events", "Events that a destination does not want", ("reason",)
        )
        self._healed = self._counter(
            "healed", "Jobs that the sweep queued, because no event told of them", by_destination
        )
        self._drifted = self._counter(
            "drifted", "Replicas that somebody else changed, by pass of the sweep", by_destination
        )
        self._sweeps = self._counter("sweeps", "Complete passes of the sweep", by_destination)
        self._sweep_age = self._gauge("sweep_age_seconds", "Since the last complete pass ended")
        self._sweep_share = self._gauge("sweep_share", "How much of the pass under way is done")
        self._sweep_foreign = self._gauge(
            "sweep_foreign", "Objects of somebody else, seen by the last complete pass"
        )
        self._sweep_worst_lag = Gauge(
            "s3fanout_sweep_worst_lag_seconds",
            "How late a change without an event is noticed at most",
            registry=self.registry,
        )
        self._lag = self._gauge("lag_seconds", "Age of the oldest unsettled change")
        self._backlog = self._gauge("backlog_jobs", "Jobs accepted and not yet final")
        self._backlog_bytes = self._gauge("backlog_bytes", "Known bytes of the backlog")
        self._dead = self._gauge("dead_letters", "Jobs that stopped with a reason")
        self._different = self._gauge(
            "different_replicas", "Replicas that lack something that the destination does not hold"
        )
        self._paused = self._gauge("paused", "1 while a person paused the destination")
        self._in_flight = self._gauge("in_flight", "Attempts running now")
        self._concurrency = self._gauge("concurrency", "Attempts that the pace allows now")
        self._circuit = self._gauge("circuit_open", "1 while attempts are suspended")
        self._source_circuit = self._gauge(
            "source_circuit_open", "1 while attempts are suspended because of the source"
        )

    def received(self, route: str, *, events: int, ignored: int, malformed: int) -> None:
        if events:
            self._events.labels(route).inc(events)
        if ignored:
            self._ignored.labels(route).inc(ignored)
        if malformed:
            self._malformed.labels(route).inc(malformed)

    def unwanted(self, reason: str, count: int) -> None:
        self._unwanted.labels(reason).inc(count)

    def settled(self, settlement: Settlement, *, lag_s: float) -> None:
        if settlement.state is JobState.SETTLED and settlement.wrote:
            self._replicas.count(settlement, lag_s)
        elif settlement.error is not None:
            self._failures.labels(settlement.job.destination, settlement.error.code).inc()

    def swept(self, destination: str, *, healed: int, drifted: int) -> None:
        self._healed.labels(destination).inc(healed)
        self._drifted.labels(destination).inc(drifted)
        self._sweeps.labels(destination).inc()

    def healed(self, destination: str, count: int) -> None:
        self._healed.labels(destination).inc(count)

    def throttled(self, destination: str, *, concurrency: int) -> None:
        self._throttled.labels(destination).inc()
        self._concurrency.labels(destination).set(concurrency)

    def asked_again(self, operation: str) -> None:
        self._asked_again.labels(operation).inc()

    def circuit(self, destination: str, *, is_open: bool, of_source: bool) -> None:
        (self._source_circuit if of_source else self._circuit).labels(destination).set(is_open)

    def render(
        self,
        summaries: Sequence[DestinationSummary],
        views: Sequence[LaneView],
        *,
        now_ms: int,
        sweep: SweepView | None = None,
    ) -> bytes:
        """The exposition text, gauges as of now."""
        for summary in summaries:
            name = summary.destination
            self._lag.labels(name).set(lag_s(summary, now_ms))
            self._backlog.labels(name).set(summary.backlog)
            self._backlog_bytes.labels(name).set(summary.backlog_bytes)
            self._dead.labels(name).set(summary.dead)
            self._different.labels(name).set(summary.different)
            self._paused.labels(name).set(summary.paused_at_ms is not None)
        for view in views:
            self._in_flight.labels(view.destination).set(view.in_flight)
            self._concurrency.labels(view.destination).set(view.concurrency)
            self._circuit.labels(view.destination).set(view.circuit_open)
            self._source_circuit.labels(view.destination).set(view.source_circuit_open)
        self._sweep_gauges(sweep, now_ms)
        return generate_latest(self.registry)

    def _sweep_gauges(self, sweep: SweepView | None, now_ms: int) -> None:
        if sweep is None:
            return
        if sweep.worst_lag_s is not None:
            self._sweep_worst_lag.set(sweep.worst_lag_s)
        for name, record in sweep.records.items():
            if record is None:
                continue
            self._sweep_foreign.labels(name).set(record.foreign)
            self._sweep_share.labels(name).set(record.share or 0.0)
            if record.ended_at_ms is not None:
                self._sweep_age.labels(name).set((now_ms - record.ended_at_ms) / 1000)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"s3fanout_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"s3fanout_{name}", text, ("destination",), registry=self.registry)
