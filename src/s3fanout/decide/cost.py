"""What does replicating a described workload cost per month, item by item, and by which design?

Pure: a workload and a price list in, estimates out. Four designs are priced: both our topologies,
and S3 Replication with and without Replication Time Control (RTC). What all four pay alike is left
out: the storage of the source and of the replicas, and the PUT that made the source object.

| item | durable | classic | S3 Replication | with RTC |
|---|---|---|---|---|
| one PUT or COPY per replica (parts above ``COPY_MAX_BYTES``) | yes | yes | yes | yes |
| one look at the source per replica, where asked for | yes | yes | – | – |
| transfer between Regions, per byte and destination | yes | yes | yes | yes |
| RTC transfer fee, per byte and destination | – | – | – | yes |
| replication metrics, per rule | – | – | – | yes |
| event: SNS publish or EventBridge event, per object | yes | yes | – | – |
| SQS: send, receive, delete, and empty receives | yes | – | – | – |
| function: invocations and GB-seconds | yes | yes | – | – |
| ledger: one DynamoDB write per replica, and its storage | yes | – | – | – |
| log lines, and the metrics in them | yes | yes | – | – |
| alarms and dashboard | yes | – | – | – |

The free tiers are not taken off: they are the account's, and somebody else may use them up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

HOURS_PER_MONTH = 730
"""As AWS's own calculator counts."""

COPY_MAX_BYTES = 5 * 2**30
"""Largest object that one request copies (aws S3 documentation, read November 2026)."""

PART_BYTES = 256 * 2**20
"""Part of a larger copy."""

_MILLION = 1_000_000
_GIB = 2**30
_POLLERS = 5
_LONG_POLL_S = 20
_ALARMS_PER_DESTINATION = 5
_REPLICATION_METRICS_PER_RULE = 3
_FUNCTION_METRICS = 7
"""Names in ``awslambda.report`` but ``Healed`` and ``Drifted``; what never counts costs nothing."""


class Design(StrEnum):
    """How objects get from one bucket into the others."""

    DURABLE = "durable"
    CLASSIC = "classic"
    REPLICATION = "s3-replication"
    REPLICATION_RTC = "s3-replication-rtc"


@dataclass(frozen=True, slots=True)
class Load:
    """So many objects of one size, each day."""

    objects_per_day: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be replicated.

    Attributes:
        loads: At least one.
        source: Region of the source.
        destinations: Region of each destination; the same one may come more than once.
        event_route: ``sns`` or ``eventbridge``, for the durable design; classic is SNS by nature.
        architecture: ``arm64`` or ``x86_64``.
        memory_mib: Of a function.
        copy_s: Seconds that one copy of one object takes; one invocation copies its messages
            side by side, so this is also the time of an invocation.
        messages_per_invocation: Events that an invocation of the durable design gets; classic
            always gets one.
        log_bytes: Log text per replica, with the lines that Lambda adds.
        looks: Share of the replicas for which the source is looked at first.
        ledger_item_bytes: One item, as DynamoDB counts (with its 100 bytes of overhead).
    """

    loads: Sequence[Load]
    source: str
    destinations: Sequence[str]
    event_route: str = "sns"
    architecture: str = "arm64"
    memory_mib: int = 512
    copy_s: float = 0.15
    messages_per_invocation: float = 1.0
    log_bytes: int = 1100
    looks: float = 1.0
    ledger_item_bytes: int = 600

    @property
    def objects_per_month(self) -> float:
        """Objects that the source gets."""
        return sum(load.objects_per_day for load in self.loads) * HOURS_PER_MONTH / 24

    @property
    def gib_per_month(self) -> float:
        """Their bytes."""
        day = sum(load.objects_per_day * load.size_bytes for load in self.loads)
        return day * HOURS_PER_MONTH / 24 / _GIB

    @property
    def replicas_per_month(self) -> float:
        """Objects times destinations."""
        return self.objects_per_month * len(self.destinations)


@dataclass(frozen=True, slots=True)
class Prices:
    """A price list, in US dollars. GB means 2**30 bytes, as AWS bills it.

    Attributes:
        read_on: Date of the list.
        put_per_thousand: S3 PUT, COPY and POST by Region of the destination bucket.
        transfer_out_per_gb: To another Region, by Region of the source.
        transfer_exceptions: Pairs of Regions, ``from>to``, that cost something else.
        flat: Every other price by name; see ``prices.json``.
        unconfirmed: Names of prices for which no source was read: compare them with AWS's page.
        fallback: Region whose prices stand for a Region that is not listed.
    """

    read_on: str
    put_per_thousand: Mapping[str, float]
    transfer_out_per_gb: Mapping[str, float]
    transfer_exceptions: Mapping[str, float]
    flat: Mapping[str, float]
    unconfirmed: Sequence[str]
    fallback: str

    def put(self, region: str) -> float:
        """One PUT or COPY request."""
        return self.put_per_thousand.get(region, self.put_per_thousand[self.fallback]) / 1000

    def get(self) -> float:
        """One GET or HEAD request, whatever the Region."""
        return self.flat["s3_get_per_thousand"] / 1000

    def transfer(self, source: str, destination: str) -> float:
        """One GB; nothing within a Region."""
        if source == destination:
            return 0.0
        usual = self.transfer_out_per_gb.get(source, self.transfer_out_per_gb[self.fallback])
        return self.transfer_exceptions.get(f"{source}>{destination}", usual)


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an estimate: ``quantity`` of ``unit`` for ``dollars``."""

    name: str
    quantity: float
    unit: str
    dollars: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one design costs per month."""

    design: Design
    items: tuple[Item, ...]
    objects: float

    @property
    def dollars_per_month(self) -> float:
        """The sum of the items."""
        return sum(item.dollars for item in self.items)

    @property
    def dollars_per_million_objects(self) -> float:
        """Per million objects of the source, to all destinations."""
        return self.dollars_per_month * _MILLION / self.objects if self.objects else 0.0

    @property
    def overhead_per_month(self) -> float:
        """Without what every design pays: the writes of the replicas, and moving their bytes."""
        return sum(i.dollars for i in self.items if i.name not in {REPLICA_WRITES, TRANSFER})


REPLICA_WRITES = "replica writes"
TRANSFER = "transfer between Regions"


def estimates(workload: Workload, prices: Prices) -> tuple[Estimate, ...]:
    """Every design, in the order of ``Design``."""
    every = (_writes(workload, prices), _transfer(workload, prices))
    looks = workload.replicas_per_month * workload.looks
    look_price = 1000 * prices.flat["s3_get_per_thousand"]
    looked = _per_million("source looks", looks, "requests", look_price)
    by_design = {
        Design.DURABLE: (
            *every,
            looked,
            _event(workload, prices, workload.event_route),
            *_queues(workload, prices),
            *_functions(workload, prices, workload.messages_per_invocation),
            *_ledger(workload, prices),
            *_logs(workload, prices),
            *_watching(workload, prices),
        ),
        Design.CLASSIC: (
            *every,
            looked,
            _event(workload, prices, "sns"),
            *_functions(workload, prices, 1.0),
            *_logs(workload, prices),
        ),
        Design.REPLICATION: every,
        Design.REPLICATION_RTC: (*every, *_time_control(workload, prices)),
    }
    return tuple(
        Estimate(design, items, workload.objects_per_month) for design, items in by_design.items()
    )


def copies_dollars(
    prices: Prices, *, source: str, destination: str, requests: int, looks: int, size_bytes: int
) -> float:
    """What copies by S3 itself cost once: their requests, and transfer between Regions.

    Args:
        prices: The list.
        source: Region of the source.
        destination: Region of the destination.
        requests: Those that write; each is billed as a PUT or COPY in the destination's Region.
        looks: Those that look at source objects; each is billed as a GET.
        size_bytes: Of all objects.
    """
    moved = size_bytes / _GIB * prices.transfer(source, destination)
    return requests * prices.put(destination) + looks * prices.get() + moved


def unlisted(workload: Workload, prices: Prices) -> list[str]:
    """Regions that are priced as ``prices.fallback``, because the list does not have them."""
    named = {workload.source, *workload.destinations}
    return sorted(region for region in named if region not in prices.put_per_thousand)


def copy_requests(size_bytes: int) -> int:
    """Billed requests of one replica: one, or create, parts and complete."""
    return 1 if size_bytes <= COPY_MAX_BYTES else 2 + math.ceil(size_bytes / PART_BYTES)


def _writes(workload: Workload, prices: Prices) -> Item:
    per_destination = (
        sum(load.objects_per_day * copy_requests(load.size_bytes) for load in workload.loads)
        * HOURS_PER_MONTH
        / 24
    )
    dollars = sum(per_destination * prices.put(region) for region in workload.destinations)
    return Item(REPLICA_WRITES, per_destination * len(workload.destinations), "requests", dollars)


def _transfer(workload: Workload, prices: Prices) -> Item:
    away = [region for region in workload.destinations if region != workload.source]
    dollars = sum(
        workload.gib_per_month * prices.transfer(workload.source, region) for region in away
    )
    return Item(TRANSFER, workload.gib_per_month * len(away), "GB", dollars)


def _event(workload: Workload, prices: Prices, route: str) -> Item:
    name = "SNS publishes" if route == "sns" else "EventBridge events"
    price = prices.flat["sns_publish_per_million" if route == "sns" else "events_per_million"]
    return _per_million(name, workload.objects_per_month, "events", price)


def _queues(workload: Workload, prices: Prices) -> tuple[Item, ...]:
    price = prices.flat["sqs_request_per_million"]
    batches = workload.replicas_per_month / workload.messages_per_invocation
    # Pollers that find something do not wait: the busier a queue, the fewer empty receives.
    polls = _POLLERS * HOURS_PER_MONTH * 3600 / _LONG_POLL_S
    per_queue = batches / max(1, len(workload.destinations))
    empty = max(0.0, polls - per_queue) * len(workload.destinations)
    return (
        _per_million("SQS sends", workload.replicas_per_month, "requests", price),
        _per_million("SQS receives and deletes", 2 * batches, "requests", price),
        _per_million("SQS empty receives", empty, "requests", price),
    )


def _functions(workload: Workload, prices: Prices, messages: float) -> tuple[Item, ...]:
    invocations = workload.replicas_per_month / messages
    gb_seconds = invocations * workload.copy_s * workload.memory_mib / 1024
    price = prices.flat[f"lambda_gb_second_{workload.architecture}"]
    return (
        _per_million(
            "Lambda requests", invocations, "requests", prices.flat["lambda_request_per_million"]
        ),
        Item("Lambda time", gb_seconds, "GB-s", gb_seconds * price),
    )


def _ledger(workload: Workload, prices: Prices) -> tuple[Item, ...]:
    writes = workload.replicas_per_month * math.ceil(workload.ledger_item_bytes / 1024)
    gib = workload.replicas_per_month * workload.ledger_item_bytes / _GIB
    return (
        _per_million("DynamoDB writes", writes, "units", prices.flat["dynamodb_write_per_million"]),
        Item(
            "ledger storage, for each month of new keys",
            gib,
            "GB-month",
            gib * prices.flat["dynamodb_gb_month"],
        ),
    )


def _logs(workload: Workload, prices: Prices) -> tuple[Item, ...]:
    gib = workload.replicas_per_month * workload.log_bytes / _GIB
    metrics = _FUNCTION_METRICS * len(workload.destinations)
    return (
        Item("CloudWatch Logs", gib, "GB", gib * prices.flat["logs_per_gb"]),
        Item("function metrics", metrics, "metrics", metrics * prices.flat["metric_month"]),
    )


def _watching(workload: Workload, prices: Prices) -> tuple[Item, ...]:
    alarms = _ALARMS_PER_DESTINATION * len(workload.destinations)
    return (
        Item("alarms", alarms, "alarms", alarms * prices.flat["alarm_month"]),
        Item("dashboard", 1, "dashboards", prices.flat["dashboard_month"]),
    )


def _time_control(workload: Workload, prices: Prices) -> tuple[Item, ...]:
    gib = workload.gib_per_month * len(workload.destinations)
    metrics = _REPLICATION_METRICS_PER_RULE * len(workload.destinations)
    return (
        Item("RTC transfer fee", gib, "GB", gib * prices.flat["rtc_per_gb"]),
        Item("replication metrics", metrics, "metrics", metrics * prices.flat["metric_month"]),
    )


def _per_million(name: str, quantity: float, unit: str, price: float) -> Item:
    return Item(name, quantity, unit, quantity * price / _MILLION)
