"""Versioned buckets of the memory store: an ordinary mapping of objects that forgets nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from s3fanout.model.objects import Deleted, DeletedPage, Version, VersionPage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UNVERSIONED = "null"
"""Version id of what a bucket holds that keeps no versions."""
Default = TypeVar("Default")

UNVERSIONED = "null"
"""Version id of what was written while the bucket kept no versions."""


class Stored(Protocol):
    """What is known of the objects."""

    @property
    def content(self) -> bytes: ...
    @property
    def etag(self) -> str: ...
    @property
    def last_modified_at_ms(self) -> int: ...


Kept = TypeVar("Kept", bound=Stored)


@dataclass(frozen=True, slots=True)
class Entry(Generic[Kept]):
    """One version; a delete marker has no object."""

    version_id: str
    stored: Kept | None
    at_ms: int


class VersionedObjects(dict[str, Kept]):
    """Current objects by key. What is written over or removed stays below, with its version id.

    So whoever changes the mapping, a test too, changes the bucket as a client would.

    Attributes:
        history: Every key's versions and delete markers, oldest first.
    """

    def __init__(self, now_ms: Callable[[], int], before: Mapping[str, Kept] | None = None) -> None:
        """``before`` is what was in the bucket when it began to keep versions."""
        super().__init__(before or {})
        self.history: dict[str, list[Entry[Kept]]] = {
            key: [Entry(UNVERSIONED, stored, stored.last_modified_at_ms)]
            for key, stored in self.items()
        }
        self._now_ms = now_ms
        self._made = 0

    def __setitem__(self, key: str, stored: Kept) -> None:
        self._add(key, stored)
        super().__setitem__(key, stored)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._add(key, None)

    def pop(self, key: str, *default: Kept | Default) -> Kept | Default:
        """Put a delete marker on top, also of nothing, as S3 does."""
        found = super().pop(key, *default)
        self._add(key, None)
        return found

    def current_id(self, key: str) -> str | None:
        """Version id of what is on top, marker or not."""
        entries = self.history.get(key)
        return entries[-1].version_id if entries else None

    def version(self, key: str, version_id: str) -> Kept | None:
        """The object of a version; ``None`` if there is none, or it is a marker."""
        for entry in self.history.get(key, ()):
            if entry.version_id == version_id:
                return entry.stored
        return None

    def remove_version(self, key: str, version_id: str) -> None:
        """Remove a version or marker for good; what is below becomes current."""
        left = [entry for entry in self.history.get(key, ()) if entry.version_id != version_id]
        self.history[key] = left
        stored = left[-1].stored if left else None
        if stored is None:
            super().pop(key, None)
        else:
            super().__setitem__(key, stored)

    def page(self, key: str, token: str | None, limit: int) -> VersionPage:
        """Versions of ``key``, newest first, after the one that ``token`` names."""
        rows = [_row(entry) for entry in reversed(self.history.get(key, ()))]
        if token is not None:
            # What the token names may be gone by now: it is a place in the order they were made in.
            rows = [row for row in rows if _number(row.version_id) < _number(token)]
        page = tuple(rows[:limit])
        return VersionPage(page, page[-1].version_id if len(rows) > limit else None)

    def deleted(self, prefix: str, after: str, limit: int) -> DeletedPage:
        """The deleted ones of the next ``limit`` keys with a history that come after ``after``."""
        left = sorted(key for key in self.history if key.startswith(prefix) and key > after)
        page = left[:limit]
        rows = tuple(
            Deleted(key, self.history[key][-1].at_ms)
            for key in page
            if self.history[key] and self.history[key][-1].stored is None
        )
        return DeletedPage(rows, page[-1] if len(left) > limit else None)

    def _add(self, key: str, stored: Kept | None) -> None:
        self._made += 1
        entry = Entry(f"version-{self._made}", stored, self._now_ms() // 1000 * 1000)
        self.history.setdefault(key, []).append(entry)


def object_at(objects: dict[str, Kept], key: str, version_id: str | None) -> Kept | None:
    """The current object, or a version of it."""
    if version_id is not None and isinstance(objects, VersionedObjects):
        return objects.version(key, version_id)
    return objects.get(key) if version_id in (None, UNVERSIONED) else None


def current_id(objects: dict[str, Kept], key: str) -> str | None:
    """Version id of what is on top; ``None`` in a bucket that keeps no versions."""
    return objects.current_id(key) if isinstance(objects, VersionedObjects) else None


def only_version(version_id: str, stored: Stored) -> VersionPage:
    """The history of an object in a bucket that keeps no versions."""
    return VersionPage((_row(Entry(version_id, stored, 0)),), None)


def _number(version_id: str) -> int:
    return 0 if version_id == UNVERSIONED else int(version_id.rpartition("-")[2])


def _row(entry: Entry[Kept]) -> Version:
    if entry.stored is None:
        return Version(entry.version_id, is_marker=True, last_modified_at_ms=entry.at_ms)
    return Version(
        entry.version_id,
        is_marker=False,
        size_bytes=len(entry.stored.content),
        etag=entry.stored.etag,
        last_modified_at_ms=entry.stored.last_modified_at_ms,
    )
