"""Objects that are said to exist: by a listing, an inventory, or a list of keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """An object that exists, or did, as far as its listing says.

    Attributes:
        key: Source key.
        size_bytes, etag, last_modified_at_ms: ``None`` where only the key is known.
        is_deleted: Its newest version is a delete marker: only who gets all versions wants it.
    """

    key: str
    size_bytes: int | None = None
    etag: str | None = None
    last_modified_at_ms: int | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Items, and where to go on behind them.

    Attributes:
        items: Any number.
        position: Of the input, in its own words; ``None`` at its end.
        share: Of the input, about how much is behind it; ``None`` if nobody knows.
        requests: What it cost to list.
    """

    items: Sequence[Item]
    position: str | None
    share: float | None = None
    requests: int = 0
