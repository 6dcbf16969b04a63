"""A multipart upload that was begun for a replica."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReplicaUpload:
    """What an attempt needs to go on with the upload of an earlier one.

    Attributes:
        destination, key: Whose replica it is; ``key`` is the source key.
        replica_key: What it will be called.
        upload_id: The store's name of it.
        fingerprint: Of the state of the source that it is made of, attributes included. An upload
            of another state is worth nothing.
        part_bytes: Length of all parts but the last.
    """

    destination: str
    key: str
    replica_key: str
    upload_id: str
    fingerprint: str
    part_bytes: int


@dataclass(frozen=True, slots=True)
class AskedUpload:
    """A store was asked for an upload, and may have begun it without our knowing its id.

    Attributes:
        destination, replica_key: What it would be of.
        first_at_ms, last_at_ms: When it was asked, the first and the last time.
    """

    destination: str
    replica_key: str
    first_at_ms: int
    last_at_ms: int


@dataclass(frozen=True, slots=True)
class Continued:
    """A copy in parts that one invocation of a function hands on to another.

    Attributes:
        source_bucket: Of the object.
        upload: What was begun.
        parts_done: So many parts are there.
    """

    source_bucket: str
    upload: ReplicaUpload
    parts_done: int

    def is_ahead_of(self, before: Continued | None) -> bool:
        """Whether anything was copied since: a copy that stands still is not handed on."""
        return (
            before is None
            or before.upload.upload_id != self.upload.upload_id
            or before.parts_done < self.parts_done
        )
