"""Prometheus metrics. Counters count what this process did; gauges are read from the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from s3fanout.engine.lane import LaneView
from s3fanout.model.jobs import DestinationSummary, JobState, Settlement
from s3fanout.service.status import SweepView, lag_s

_LAG_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


class Metrics:
    """Implements the telemetry port, and renders ``/metrics``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        by_destination = ("destination",)
        self._replicated = self._counter(
            "replicated_objects", "Replicas written and settled", by_destination
        )
        self._replicated_bytes = self._counter(
            "replicated_bytes", "Bytes of the replicas written and settled", by_destination
        )
        self._failures = self._counter(
            "failures", "Failed attempts by error code", ("destination", "code")
        )
        self._throttled = self._counter(
            "throttled", "Answers that asked for a lower rate", by_destination
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
        self._replication = Histogram(
            "s3fanout_replication_seconds",
            "From the event's time to the settled replica",
            by_destination,
            registry=self.registry,
            buckets=_LAG_BUCKETS,
        )
        self._replica_metrics: dict[str, tuple[Counter, Counter, Histogram]] = {}
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
        destination = settlement.job.destination
        if settlement.state is JobState.SETTLED and settlement.wrote:
            objects, size_bytes, seconds = self._of_replicas(destination)
            objects.inc()
            size_bytes.inc(settlement.size_bytes or 0)
            seconds.observe(lag_s)
        elif settlement.error is not None:
            self._failures.labels(destination, settlement.error.code).inc()

    def _of_replicas(self, destination: str) -> tuple[Counter, Counter, Histogram]:
        """The three metrics of every replica; looking them up by label costs more than counting."""
        found = self._replica_metrics.get(destination)
        if found is None:
            found = self._replica_metrics[destination] = (
                self._replicated.labels(destination),
                self._replicated_bytes.labels(destination),
                self._replication.labels(destination),
            )
        return found

    def swept(self, destination: str, *, healed: int, drifted: int) -> None:
        self._healed.labels(destination).inc(healed)
        self._drifted.labels(destination).inc(drifted)
        self._sweeps.labels(destination).inc()

    def healed(self, destination: str, count: int) -> None:
        self._healed.labels(destination).inc(count)

    def throttled(self, destination: str, *, concurrency: int) -> None:
        self._throttled.labels(destination).inc()
        self._concurrency.labels(destination).set(concurrency)

    def circuit(self, destination: str, *, is_open: bool, reason: str) -> None:
        del reason
        self._circuit.labels(destination).set(is_open)

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
