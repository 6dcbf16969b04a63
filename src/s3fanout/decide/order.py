"""Is a change newer than what is on record, the same, or older?

| recorded order | offered order | hints (kind, etag, version id) | answer |
|---|---|---|---|
| any | none | any | NEWER |
| none | some | any | NEWER |
| other scheme | some | any | NEWER |
| equal token | equal token | equal | DUPLICATE |
| equal token | equal token | different | NEWER |
| smaller token | greater token | any | NEWER |
| greater token | smaller token, trusted | any | STALE |
| greater token | smaller token, not trusted | any | NEWER |

A change of kind EXISTS was only seen in a listing. It makes no job where one is not settled yet:
that attempt reads the source as it is now, and a live change must not fall behind
(``is_served_already``).

``NEWER`` is the safe answer: it costs requests, never correctness, because an attempt reads the
source as it is *now*. ``STALE`` drops work, so it needs a token whose order the vendor documents.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from s3fanout.model.events import ChangeKind, OrderPoint
from s3fanout.model.jobs import JobState


class Order(StrEnum):
    """The answer."""

    NEWER = "newer"
    DUPLICATE = "duplicate"
    STALE = "stale"


class Change(Protocol):
    """The part of a job or a record that order is decided on."""

    @property
    def order(self) -> OrderPoint | None: ...
    @property
    def kind(self) -> ChangeKind: ...
    @property
    def etag(self) -> str | None: ...
    @property
    def version_id(self) -> str | None: ...


def compare(offered: Change, recorded: Change) -> Order:
    """Where ``offered`` stands relative to ``recorded``; both are of one (destination, key)."""
    new, old = offered.order, recorded.order
    if new is None or old is None or new.scheme != old.scheme:
        return Order.NEWER
    if new.token == old.token:
        same = (offered.kind, offered.etag, offered.version_id) == (
            recorded.kind,
            recorded.etag,
            recorded.version_id,
        )
        return Order.DUPLICATE if same else Order.NEWER
    if new.token < old.token and new.trusted:
        return Order.STALE
    return Order.NEWER


def is_served_already(offered: Change, recorded: JobState) -> bool:
    """Whether what was only seen in a listing has a job that will look at it anyway."""
    return offered.kind is ChangeKind.EXISTS and recorded in {
        JobState.READY,
        JobState.LEASED,
        JobState.WAITING,
    }
