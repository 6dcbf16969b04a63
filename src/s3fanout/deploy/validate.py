"""Proves that a deployment works: an object goes into the source, and must come out everywhere.

The walkthrough's "validate the subscription", for every destination at once, and without a trace:
what was written is removed again, with its versions and its ledger records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from s3fanout.adapters.journal.dynamodb_items import key_of
from s3fanout.config.rules import rules_of
from s3fanout.decide.canary import canary_keys
from s3fanout.decide.match import replica_key
from s3fanout.deploy.deployment import Deployment
from s3fanout.deploy.function_logs import FunctionLogs
from s3fanout.deploy.session import asking, error_code
from s3fanout.deploy.triggers import TriggerState, trigger_of
from s3fanout.model.jobs import JobState, ReplicaRecord
from s3fanout.model.rules import Rule
from s3fanout.ports.system import Clock

POLL_S = 0.5
AFTERWARDS_S = 20.0
"""Log lines and ledger records may be a little later than the replica itself."""


@dataclass(slots=True)
class Arrival:
    """What became of the canary in one destination.

    Attributes:
        destination, bucket: Where.
        key: Of the source; ``None`` if no key fits the rule.
        replica_key: Of the replica.
        after_s: From the write to the replica; ``None`` if it did not arrive.
        log_lines: Of the function, those that name the key.
        record: Of the ledger; ``None`` with topology classic, or if there is none.
        reason: Why it did not arrive, as far as is known; ``""`` if it did.
    """

    destination: str
    bucket: str
    key: str | None
    replica_key: str = ""
    after_s: float | None = None
    log_lines: list[str] = field(default_factory=list)
    record: ReplicaRecord | None = None
    reason: str = ""


Tell = Callable[[Arrival], None]


async def validate(
    deployment: Deployment, *, canary: str, timeout_s: float, clock: Clock, tell: Tell
) -> list[Arrival]:
    """Write the canary, wait for it in every destination, remove all of it.

    Args:
        deployment: What is tried.
        canary: Unique part of its key, and its content.
        timeout_s: How long to wait for all.
        clock: Real time.
        tell: Called for each destination when the canary arrived there.

    Raises:
        AccessDenied, StoreError: The source could not be written, or a replica not looked at.
    """
    rules = {rule.destination: rule for rule in rules_of(deployment.settings)}
    keys = canary_keys(list(rules.values()), f".s3fanout-canary-{canary}")
    arrivals = [_arrival(deployment, rule, keys.get(name)) for name, rule in rules.items()]
    buckets = _Buckets(deployment)
    began_ms, began_s = clock.now_ms(), clock.monotonic_s()
    try:
        bodies = {
            key: (canary.encode() * (size // len(canary) + 1))[: max(size, len(canary))]
            for key, size in keys.values()
        }
        for key, body in bodies.items():
            buckets.write(key, body)
        waiting = [arrival for arrival in arrivals if arrival.key is not None]
        while waiting and clock.monotonic_s() - began_s < timeout_s:
            for arrival in list(waiting):
                if buckets.holds(arrival, bodies[arrival.key or ""]):
                    arrival.after_s = clock.monotonic_s() - began_s
                    waiting.remove(arrival)
                    tell(arrival)
            if waiting:
                await clock.sleep(POLL_S)
        await _explain(deployment, arrivals, began_ms=began_ms, clock=clock)
    finally:
        buckets.remove(arrivals)
        _forget(deployment, arrivals)
    return arrivals


def _arrival(deployment: Deployment, rule: Rule, chosen: tuple[str, int] | None) -> Arrival:
    bucket = deployment.settings.destinations[rule.destination].bucket
    if chosen is None:
        return Arrival(
            rule.destination, bucket, None, reason="no small object fits its rule: not tried"
        )
    return Arrival(rule.destination, bucket, chosen[0], replica_key(rule.key_map, chosen[0]))


class _Buckets:
    """The source and the destinations, each in its Region."""

    def __init__(self, deployment: Deployment) -> None:
        settings = deployment.settings
        self._source = settings.source.bucket
        self._session = deployment.session
        self._regions = {self._source: settings.source.region}
        self._regions |= {to.bucket: to.region for to in settings.enabled.values()}
        self._clients: dict[str, Any] = {}
        self._written: list[str] = []

    def write(self, key: str, body: bytes) -> None:
        with asking(f"a test object in {self._source}"):
            self._client(self._source).put_object(Bucket=self._source, Key=key, Body=body)
        self._written.append(key)

    def holds(self, arrival: Arrival, body: bytes) -> bool:
        """Whether the replica is there, byte for byte."""
        with asking(f"the replica in {arrival.bucket}"):
            try:
                answer = self._client(arrival.bucket).get_object(
                    Bucket=arrival.bucket, Key=arrival.replica_key
                )
                return bool(answer["Body"].read() == body)
            except ClientError as error:
                if error_code(error) not in {"NoSuchKey", "404"}:
                    raise
                return False

    def remove(self, arrivals: list[Arrival]) -> None:
        """All versions of the canary, the source's first, so that nothing is copied again."""
        for key in self._written:
            self._purge(self._source, key)
        for arrival in arrivals:
            if arrival.after_s is not None:
                self._purge(arrival.bucket, arrival.replica_key)

    def _purge(self, bucket: str, key: str) -> None:
        client = self._client(bucket)
        with asking(f"the test object in {bucket} to be removed"):
            page = client.list_object_versions(Bucket=bucket, Prefix=key)
            versions = [
                each["VersionId"]
                for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
                if each["Key"] == key
            ]
            for version in versions:
                client.delete_object(Bucket=bucket, Key=key, VersionId=version)
            if not versions:
                client.delete_object(Bucket=bucket, Key=key)

    def _client(self, bucket: str) -> Any:
        region = self._regions[bucket]
        if region not in self._clients:
            self._clients[region] = self._session.client("s3", region=region)
        return self._clients[region]


async def _explain(
    deployment: Deployment, arrivals: list[Arrival], *, began_ms: int, clock: Clock
) -> None:
    """Add log lines, ledger records and reasons; waits a little for what arrived."""
    tried = {arrival.destination: arrival for arrival in arrivals if arrival.key is not None}
    logs = FunctionLogs(deployment.session, [deployment.names.destinations[name] for name in tried])
    give_up_at_s = clock.monotonic_s() + AFTERWARDS_S
    while True:
        lines = logs.since(began_ms)
        for arrival in tried.values():
            arrival.log_lines = [
                line.text
                for line in lines
                if line.destination == arrival.destination and (arrival.key or "") in line.text
            ]
        records = await _records(deployment, {arrival.key or "" for arrival in tried.values()})
        for arrival in tried.values():
            arrival.record = records.get((arrival.destination, arrival.key or ""))
        if all(map(_is_told, tried.values())) or clock.monotonic_s() > give_up_at_s:
            break
        await clock.sleep(POLL_S)
    functions = deployment.session.client("lambda")
    for arrival in tried.values():
        if arrival.after_s is None:
            arrival.reason = _reason(arrival, functions, deployment)


def _is_told(arrival: Arrival) -> bool:
    return arrival.after_s is None or bool(arrival.log_lines)


def _reason(arrival: Arrival, functions: Any, deployment: Deployment) -> str:
    state = trigger_of(functions, deployment.names.destinations[arrival.destination]).state
    if state is not TriggerState.ON:
        return f"its trigger is {state}"
    record = arrival.record
    if record is not None and record.error is not None:
        return f"{record.error.code}: {record.error.message}"
    if record is not None and record.state is JobState.SUPERSEDED:
        return record.reason
    return (
        arrival.log_lines[-1] if arrival.log_lines else "nothing reached its function: see doctor"
    )


async def _records(
    deployment: Deployment, keys: set[str]
) -> Mapping[tuple[str, str], ReplicaRecord]:
    if deployment.names.table is None:
        return {}
    async with deployment.ledger() as ledger:
        return {
            (record.destination, record.key): record
            for key in keys
            for record in await ledger.records_of_key(key)
        }


def _forget(deployment: Deployment, arrivals: list[Arrival]) -> None:
    """Remove the canary's ledger records."""
    if deployment.names.table is None:
        return
    table = deployment.session.client("dynamodb")
    with asking("the ledger records of the test to be removed"):
        for arrival in arrivals:
            if arrival.key is not None:
                table.delete_item(
                    TableName=deployment.names.table, Key=key_of(arrival.destination, arrival.key)
                )
