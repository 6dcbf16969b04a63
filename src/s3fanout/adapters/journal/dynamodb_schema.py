"""The shape of the DynamoDB table that is the ledger of the functions, as plain data.

One item per (source key, destination), and a few that describe a destination: see
``docs/data-model.md``. Nothing expires: a record is what proves that s3fanout wrote a replica. The
attributes are written and read in ``adapters/journal/dynamodb.py``.
"""

from __future__ import annotations

from typing import Any

SCHEMA_VERSION = 1
"""Part of no key: an item without ``v`` is of version 1; a newer shape must name its number."""

SUBJECT = "subject"
"""Partition key: ``key:<source key>``, or ``destination:<name>``, or ``malformed:<n>``."""

DESTINATION = "destination"
"""Sort key: name of the destination, so that one query finds a source key's records everywhere."""

DEAD_INDEX = "dead"
"""Sparse: only dead letters have ``dead_in``. Newest last by ``settled_at_ms``."""

WAITING_INDEX = "waiting"
"""Sparse: only records whose last attempt failed have ``waiting_in``. Oldest event first."""

ATTRIBUTES: dict[str, str] = {
    SUBJECT: "S",
    DESTINATION: "S",
    "dead_in": "S",
    "settled_at_ms": "N",
    "waiting_in": "S",
    "event_at_ms": "N",
}
"""Attributes that keys and indexes need, with their types."""

KEY: tuple[tuple[str, str], ...] = ((SUBJECT, "HASH"), (DESTINATION, "RANGE"))

INDEXES: dict[str, tuple[tuple[str, str], ...]] = {
    DEAD_INDEX: (("dead_in", "HASH"), ("settled_at_ms", "RANGE")),
    WAITING_INDEX: (("waiting_in", "HASH"), ("event_at_ms", "RANGE")),
}
"""All attributes are projected: both hold troubled records only, so a settled replica costs one
write of one item and nothing in any index."""


def table_properties() -> dict[str, Any]:
    """``AWS::DynamoDB::Table`` properties (and ``CreateTable`` arguments), the name excepted."""
    return {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind} for name, kind in ATTRIBUTES.items()
        ],
        "KeySchema": _key_schema(KEY),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": name,
                "KeySchema": _key_schema(keys),
                "Projection": {"ProjectionType": "ALL"},
            }
            for name, keys in INDEXES.items()
        ],
    }


def _key_schema(keys: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in keys]
