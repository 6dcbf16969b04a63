"""The metrics of replicas say what the library's own would."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import ErrorRecord, Job, JobState, Settlement
from s3fanout.service.metrics import _LAG_BUCKETS, Metrics

LAGS_S = (0.0, 0.01, 0.0101, 0.3, 59.9, 3600.0, 3600.1, 1e6)
SIZE_BYTES = 1024


def settlement(destination: str, state: JobState, **more: object) -> Settlement:
    job = Job(destination, "a", 1, ChangeKind.CREATED, 0)
    return Settlement(job, state, 5_000, "", 0, size_bytes=SIZE_BYTES, **more)  # type: ignore[arg-type]


def lines_of_replicas(text: bytes) -> Iterator[str]:
    """Without those that say when it began."""
    for line in text.decode().splitlines():
        if "s3fanout_replicat" in line and "_created" not in line:
            yield line


def test_replicas_are_counted_as_the_library_counts() -> None:
    metrics, registry = Metrics(), CollectorRegistry()
    label = ("destination",)
    objects = Counter("s3fanout_replicated_objects", "Replicas written and settled", label)
    size_bytes = Counter(
        "s3fanout_replicated_bytes", "Bytes of the replicas written and settled", label
    )
    lag = Histogram(
        "s3fanout_replication_seconds",
        "From the event's time to the settled replica",
        label,
        buckets=_LAG_BUCKETS,
    )
    for each in (objects, size_bytes, lag):
        registry.register(each)
    for name in ("paris", "tokyo"):
        for lag_s in LAGS_S:
            metrics.settled(settlement(name, JobState.SETTLED), lag_s=lag_s)
            objects.labels(name).inc()
            size_bytes.labels(name).inc(SIZE_BYTES)
            lag.labels(name).observe(lag_s)
    seen = sorted(lines_of_replicas(metrics.render([], [], now_ms=0)))
    assert seen == sorted(lines_of_replicas(generate_latest(registry)))


def test_their_counts_began_with_the_first_one() -> None:
    metrics = Metrics()
    metrics.settled(settlement("paris", JobState.SETTLED), lag_s=1.0)
    for name in ("replicated_objects", "replicated_bytes", "replication_seconds"):
        began_s = metrics.registry.get_sample_value(
            f"s3fanout_{name}_created", {"destination": "paris"}
        )
        assert began_s == 5.0


def test_what_was_not_written_is_no_replica() -> None:
    metrics = Metrics()
    error = ErrorRecord("unavailable", "", "")
    metrics.settled(settlement("paris", JobState.SETTLED, wrote=False), lag_s=1.0)
    metrics.settled(settlement("paris", JobState.WAITING, error=error), lag_s=1.0)
    labels = {"destination": "paris"}
    value = metrics.registry.get_sample_value
    assert value("s3fanout_replicated_objects_total", labels) is None
    assert value("s3fanout_failures_total", {**labels, "code": "unavailable"}) == 1
