"""Carries an object's annotations to its replica, which no request that writes an object can do.

A write drops those of the object that it replaces, so there are none too many; and a store copies
them along, if it copies in one request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3fanout.model.errors import AccessDenied, StoreError

if TYPE_CHECKING:
    from s3fanout.ports.object_store import ObjectStore

_NOT_HELD = frozenset({"NotImplemented", "MethodNotAllowed", "InvalidRequest"})
"""The last of an object that is encrypted with a customer's key (user guide, 2026-11)."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """Whose annotations go where.

    Attributes:
        source, destination: The buckets.
        key, version_id: The source object.
        target, etag: The replica, and what it must be.
        is_locked: It was written with a lock, which forbids to put any.
    """

    source: ObjectStore
    destination: ObjectStore
    key: str
    version_id: str | None
    target: str
    etag: str
    is_locked: bool


async def carry(of: Annotated) -> bool:
    """Put what the replica lacks; whether it has all of them.

    One request for an object that has none; else one more, and two for each that is missing.

    Raises:
        StoreError: It is about something else; ``SourceChanged`` if the replica is another one.
    """
    try:
        wanted = await of.source.list_annotations(of.key, version_id=of.version_id)
    except StoreError as error:
        if error.s3_code not in _NOT_HELD:
            raise
        return True  # Then the object has none.
    if not wanted:
        return True
    try:
        # Also in doubt: a store that knows none would take the first for the object itself.
        there = {*await of.destination.list_annotations(of.target)}
        for each in wanted:
            if each not in there:
                content = await of.source.get_annotation(
                    of.key, each.name, version_id=of.version_id
                )
                if not await _put(of, each.name, content):
                    return False
    except StoreError as error:
        if error.s3_code not in _NOT_HELD:
            raise
        return False
    return True


async def _put(of: Annotated, name: str, content: bytes) -> bool:
    """Whether the replica's lock allows it."""
    try:
        await of.destination.put_annotation(of.target, name, content, if_match=of.etag)
    except AccessDenied:
        if not of.is_locked:
            raise
        return False
    return True
