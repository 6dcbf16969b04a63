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
