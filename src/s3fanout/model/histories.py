"""What is remembered of the versions of a replica."""

from __future__ import annotations

from dataclasses import dataclass

MARKER_ETAG = ""
"""``source_etag`` of a delete marker."""

BELOW = ""
"""``source_version_id`` of what a destination held before anything of ours came on top of it."""


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """That a version of a replica was made of a version of its source object.

    Attributes:
        source_version_id: Of the version or delete marker in the source; ``BELOW`` if there is
            none: then the version of the replica is somebody else's, and the first of ours came
            on top of it.
        source_etag: Its etag, ``MARKER_ETAG`` of a marker: the version ``null`` may come to be
            another one.
        size_bytes: Its size; 0 of a marker.
        replica_version_id: Of what we wrote; ``""`` while it is being written.
    """

    source_version_id: str
    source_etag: str
    size_bytes: int
    replica_version_id: str

    @property
    def is_below(self) -> bool:
        """Whether it is about what was there before."""
        return self.source_version_id == BELOW

    @property
    def is_marker(self) -> bool:
        """Whether it is about a delete marker."""
        return self.source_etag == MARKER_ETAG
