"""Where is one object, in every destination, and why: the ledger's word beside the stores' word."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from s3fanout.config.rules import rules_of
from s3fanout.config.settings import Settings
from s3fanout.decide.match import refusal, replica_key
from s3fanout.model.errors import StoreError
from s3fanout.model.histories import VersionRecord
from s3fanout.model.jobs import JobState, ReplicaRecord
from s3fanout.model.objects import Absent, Present
from s3fanout.model.rules import Rule, Versions
from s3fanout.ports.histories import Histories
from s3fanout.ports.object_store import ObjectStore
from s3fanout.service.status import SCHEMA_VERSION, Json, key_fields, record_document, rfc3339
from s3fanout.wiring import Stores

VERSIONS_SHOWN = 20
"""Newest versions of each replica."""

Seen = Present | Absent | StoreError
"""What a look at a store brought; an error is neither presence nor absence."""


async def look(store: ObjectStore, key: str) -> Seen:
    """One look, errors as values."""
    try:
        return await store.head(key)
    except StoreError as error:
        return error


async def explain_key(
    settings: Settings,
    stores: Stores,
    records: Sequence[ReplicaRecord],
    key: str,
    *,
    histories: Histories | None,
) -> Json:
    """The document of ``s3fanout explain``: one look at the source and at each replica, now.

    ``histories`` is ``None`` where no destination can have all versions.
    """
    by_destination = {record.destination: record for record in records}
    rules = rules_of(settings)
    versions = {
        rule.destination: await histories.versions_kept(rule.destination, key, limit=VERSIONS_SHOWN)
        for rule in rules
        if histories is not None and rule.versions is Versions.ALL
    }
    source, *replicas = await asyncio.gather(
        look(stores.open(settings.source), key),
        *(
            look(
                stores.open(settings.destinations[rule.destination]),
                replica_key(rule.key_map, key) or key,
            )
            for rule in rules
        ),
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "explain",
        **key_fields(key),
        "source": {"bucket": settings.source.bucket, **_seen(source)},
        "destinations": [
            {
                "name": rule.destination,
                "bucket": settings.destinations[rule.destination].bucket,
                "replica_key": replica_key(rule.key_map, key),
                "verdict": verdict(rule, key, source, seen, by_destination.get(rule.destination)),
                "replica": _seen(seen),
                "record": _record(by_destination.get(rule.destination)),
                "versions": _versions(versions.get(rule.destination)),
            }
            for rule, seen in zip(rules, replicas, strict=True)
        ],
    }


def verdict(rule: Rule, key: str, source: Seen, replica: Seen, record: ReplicaRecord | None) -> str:
    """One sentence: what is the case and why."""
    size_bytes = source.size_bytes if isinstance(source, Present) else None
    unwanted = refusal(rule, key, size_bytes)
    if unwanted is not None:
        return f"not wanted by the rule ({unwanted})"
    if record is None:
        if isinstance(source, Absent):
            return "the source has no such object, and no event of it arrived"
        return "no event of this key arrived; s3fanout backfill copies what was there before"
    if record.state is JobState.DEAD:
        return f"stopped: {record.reason}; put it back with: s3fanout redrive"
    if record.state is JobState.WAITING:
        return (
            f"attempt {record.attempts} failed: {record.reason}; "
            f"next at {rfc3339(record.due_at_ms)}"
        )
    if record.state in {JobState.READY, JobState.LEASED}:
        return "accepted, about to be copied (or its destination is paused or failing)"
    if record.state is JobState.SUPERSEDED:
        return record.reason
    return _settled_verdict(source, replica, record)


def _settled_verdict(source: Seen, replica: Seen, record: ReplicaRecord) -> str:
    when = rfc3339(record.settled_at_ms)
    if isinstance(replica, Absent):
        return f"was copied at {when} ({record.reason}), and is gone from the destination since"
    if not isinstance(replica, Present) or not isinstance(source, Present):
        return f"copied at {when} ({record.reason})"
    if source.etag != record.source_etag:
        return f"copied at {when}, but the source changed since and no event of that arrived yet"
    if replica.size_bytes != source.size_bytes:
        return f"copied at {when}, but the replica was changed by somebody else since"
    if record.differences:
        lacks = ", ".join(record.differences)
        return f"copied at {when} ({record.reason}); the destination does not hold: {lacks}"
    return f"equal: copied at {when} ({record.reason})"


def _record(record: ReplicaRecord | None) -> Json | None:
    return None if record is None else record_document(record)


def _versions(records: Sequence[VersionRecord] | None) -> list[Json] | None:
    if records is None:
        return None
    return [
        {
            "source_version_id": record.source_version_id,
            "replica_version_id": record.replica_version_id or None,
            "delete_marker": record.is_marker,
        }
        for record in records
        if not record.is_below
    ]


def _seen(seen: Seen) -> Json:
    if isinstance(seen, Present):
        return {
            "state": "present",
            "size_bytes": seen.size_bytes,
            "etag": seen.etag,
            "version_id": seen.version_id,
            "last_modified_at": rfc3339(seen.last_modified_at_ms),
        }
    if isinstance(seen, Absent):
        return {"state": "absent"}
    return {"state": "unknown", "error": seen.message, "hint": seen.hint}
