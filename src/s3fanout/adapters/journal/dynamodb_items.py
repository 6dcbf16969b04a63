"""Items of the DynamoDB ledger to our values and back; pure. The table: ``docs/data-model.md``."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from s3fanout.adapters.journal.dynamodb_schema import DESTINATION, SUBJECT
from s3fanout.model.errors import LedgerUnavailable
from s3fanout.model.events import ChangeKind, Malformed, OrderPoint
from s3fanout.model.jobs import (
    ErrorRecord,
    JobState,
    MalformedRecord,
    ReplicaRecord,
    Settlement,
)
from s3fanout.model.turns import Recorded
from s3fanout.model.uploads import ReplicaUpload
from s3fanout.ports.checkpoints import Checkpoint

Read = TypeVar("Read")
Item = dict[str, Any]
"""Attribute name to DynamoDB's typed value, ``{"S": "text"}``."""

KEY_PREFIX = "key:"
UPLOAD_PREFIX = "upload:"
PAUSED = "paused"
MALFORMED = "malformed"
CHECKPOINT = "checkpoint"
MALFORMED_COUNT: Item = {SUBJECT: {"S": "malformed-count"}, DESTINATION: {"S": "-"}}

_ERROR = ("error_code", "error_message", "error_hint", "error_at_ms")


def _readable(read: Callable[[Item], Read]) -> Callable[[Item], Read]:
    """``read``, of items that somebody else may have written or changed too.

    Raises:
        LedgerUnavailable: The item is none of ours; the text says which one.
    """

    @wraps(read)
    def reading(item: Any) -> Read:
        try:
            return read(item)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            known = item if isinstance(item, dict) else {}
            raise LedgerUnavailable(
                f"an item of the ledger cannot be read subject={known.get(SUBJECT)!r} "
                f"destination={known.get(DESTINATION)!r} reason={str(error)[:200]!r}",
                hint="was it changed by hand, or by a newer s3fanout? Without the item, the "
                "object's next event or a backfill makes it anew",
            ) from error

    return reading


def typed(value: str | int | bytes | bool) -> dict[str, Any]:  # noqa: FBT001 - one of many types
    """A value as DynamoDB wants it."""
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": base64.b64encode(value).decode("ascii")}
        case str():
            return {"S": value}


def key_of(destination: str, key: str) -> Item:
    """Where the record of a replica is."""
    return {SUBJECT: {"S": KEY_PREFIX + key}, DESTINATION: {"S": destination}}


def update_of(settlement: Settlement) -> tuple[dict[str, Any], set[str]]:
    """Attributes that a settlement sets, and those that it takes away."""
    job, error = settlement.job, settlement.error
    final = settlement.state is not JobState.WAITING
    values: dict[str, Any] = {
        "state": settlement.state.value,
        "kind": job.kind.value,
        "event_at_ms": job.event_at_ms,
        "attempts": settlement.attempts,
        "reason": settlement.reason,
        "etag": job.etag,
        "version_id": job.version_id,
        "size_bytes": job.size_bytes if settlement.size_bytes is None else settlement.size_bytes,
        "settled_at_ms": settlement.at_ms if final else None,
        "due_at_ms": None if final else settlement.due_at_ms,
        "waiting_in": None if final else job.destination,
        "dead_in": job.destination if settlement.state is JobState.DEAD else None,
        "error_code": error.code if error else None,
        "error_message": error.message if error else None,
        "error_hint": error.hint if error else None,
        "error_at_ms": settlement.at_ms if error else None,
    }
    if settlement.state is JobState.SETTLED:
        values |= {
            "source_etag": settlement.source_etag,
            "source_version_id": settlement.source_version_id,
            "replica_etag": settlement.replica_etag,
            "differences": " ".join(settlement.differences) or None,
        }
        if job.order is not None:
            values |= {
                "order_scheme": job.order.scheme,
                "order_token": job.order.token,
                "order_trusted": job.order.trusted,
            }
    return (
        {name: value for name, value in values.items() if value is not None},
        {name for name, value in values.items() if value is None},
    )


@_readable
def recorded_of(item: Item) -> Recorded:
    """What convergence needs to know of a record."""
    return Recorded(
        turn=_int(item, "turn") or 0,
        order=_order(item),
        source_etag=_text(item, "source_etag"),
        replica_etag=_text(item, "replica_etag"),
    )


@_readable
def record_of(item: Item) -> ReplicaRecord:
    """The record of one replica. Its fence is its turn; when it was accepted is not kept."""
    event_at_ms = _int(item, "event_at_ms") or 0
    code = _text(item, "error_code")
    return ReplicaRecord(
        destination=_text_of(item, DESTINATION),
        key=_text_of(item, SUBJECT).removeprefix(KEY_PREFIX),
        fence=_int(item, "turn") or 0,
        state=JobState(_text_of(item, "state")),
        kind=ChangeKind(_text_of(item, "kind")),
        event_at_ms=event_at_ms,
        accepted_at_ms=event_at_ms,
        due_at_ms=_int(item, "due_at_ms") or 0,
        attempts=_int(item, "attempts") or 0,
        order=_order(item),
        etag=_text(item, "etag"),
        size_bytes=_int(item, "size_bytes"),
        version_id=_text(item, "version_id"),
        reason=_text(item, "reason") or "",
        settled_at_ms=_int(item, "settled_at_ms"),
        source_etag=_text(item, "source_etag"),
        source_version_id=_text(item, "source_version_id"),
        replica_etag=_text(item, "replica_etag"),
        error=None if code is None else error_of(item),
        differences=tuple((_text(item, "differences") or "").split()),
    )


def error_of(item: Item) -> ErrorRecord:
    """The error of a record that has one."""
    return ErrorRecord(*(_text(item, name) or "" for name in _ERROR[:3]))


@_readable
def error_at_ms_of(item: Item) -> int:
    """When that error was."""
    return _number_of(item, "error_at_ms")


@_readable
def pause_of(item: Item) -> tuple[int, str]:
    """Since when a destination is paused, and why."""
    return _number_of(item, "paused_at_ms"), _text_of(item, "paused_reason")


def upload_key(destination: str, key: str) -> Item:
    """Where the unfinished upload of a replica is."""
    return {SUBJECT: {"S": UPLOAD_PREFIX + key}, DESTINATION: {"S": destination}}


def upload_item(upload: ReplicaUpload) -> Item:
    """An upload that was begun."""
    return {
        **upload_key(upload.destination, upload.key),
        "replica_key": typed(upload.replica_key),
        "upload_id": typed(upload.upload_id),
        "fingerprint": typed(upload.fingerprint),
        "part_bytes": typed(upload.part_bytes),
    }


@_readable
def upload_of(item: Item) -> ReplicaUpload:
    """The upload again."""
    return ReplicaUpload(
        destination=_text_of(item, DESTINATION),
        key=_text_of(item, SUBJECT).removeprefix(UPLOAD_PREFIX),
        replica_key=_text_of(item, "replica_key"),
        upload_id=_text_of(item, "upload_id"),
        fingerprint=_text_of(item, "fingerprint"),
        part_bytes=_number_of(item, "part_bytes"),
    )


def checkpoint_key(name: str) -> Item:
    """Key of a checkpoint."""
    return {SUBJECT: {"S": CHECKPOINT}, DESTINATION: {"S": name}}


def checkpoint_item(name: str, checkpoint: Checkpoint) -> Item:
    """How far a walk came."""
    return {
        **checkpoint_key(name),
        "fingerprint": typed(checkpoint.fingerprint),
        "kept_at_ms": typed(checkpoint.kept_at_ms),
        "position": typed(checkpoint.position),
    }


@_readable
def checkpoint_of(item: Item) -> Checkpoint:
    """The checkpoint again."""
    return Checkpoint(
        _text(item, "fingerprint") or "",
        _int(item, "kept_at_ms") or 0,
        _text(item, "position") or "",
    )


def malformed_item(letter: Malformed, *, number: int, route: str, now_ms: int) -> Item:
    """A message that is kept; numbers are padded, so that they sort as text."""
    return {
        SUBJECT: {"S": MALFORMED},
        DESTINATION: {"S": f"{number:020d}"},
        "received_at_ms": typed(now_ms),
        "route": typed(route),
        "reason": typed(letter.reason),
        "detail": typed(letter.detail),
        "payload": typed(letter.payload),
    }


@_readable
def malformed_of(item: Item) -> MalformedRecord:
    """The message again."""
    return MalformedRecord(
        id=int(_text_of(item, DESTINATION)),
        received_at_ms=_int(item, "received_at_ms") or 0,
        route=_text(item, "route") or "",
        reason=_text(item, "reason") or "",
        detail=_text(item, "detail") or "",
        payload=base64.b64decode(item["payload"]["B"]),
    )


@_readable
def numbered_of(item: Item) -> int:
    """How many messages were kept until now."""
    return _number_of(item, "numbered")


@_readable
def kept_of(item: Item) -> int:
    """How many messages are kept now."""
    return _int(item, "kept") or 0


def _text_of(item: Item, name: str) -> str:
    text = item[name]["S"]
    if not isinstance(text, str):
        raise TypeError(f"{name} is no text")
    return text


def _number_of(item: Item, name: str) -> int:
    number = item[name]["N"]  # a text in answers of DynamoDB
    if not isinstance(number, str):
        raise TypeError(f"{name} is no number")
    return int(number)


def _text(item: Item, name: str) -> str | None:
    return _text_of(item, name) if name in item else None


def _int(item: Item, name: str) -> int | None:
    return _number_of(item, name) if name in item else None


def _order(item: Item) -> OrderPoint | None:
    token = _text(item, "order_token")
    if token is None:
        return None
    trusted = bool(item.get("order_trusted", {}).get("BOOL"))
    return OrderPoint(_text(item, "order_scheme") or "", token, trusted)
