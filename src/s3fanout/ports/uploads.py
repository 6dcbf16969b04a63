"""What is remembered of multipart uploads, so that a crash or a deadline loses no part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from s3fanout.model.uploads import ReplicaUpload


class KnownUploads(Protocol):
    """All uploads that are remembered, for whoever looks for those that nobody will finish."""

    async def uploads_of(self, destination: str) -> Sequence[ReplicaUpload]:
        """Those into one destination.

        Raises:
            LedgerUnavailable: They are not known.
        """
        ...


class Uploads(Protocol):
    """At most one upload per (destination, key). Asked only about objects copied in parts.

    Raises:
        LedgerUnavailable: By every method; nothing is known or was kept.
    """

    async def upload_of(self, destination: str, key: str) -> ReplicaUpload | None:
        """The upload that was begun and neither completed nor given up."""
        ...

    async def keep_upload(self, upload: ReplicaUpload) -> None:
        """Remember an upload, in place of another one of the same replica; durable on return."""
        ...

    async def forget_upload(self, destination: str, key: str) -> None:
        """Forget it. Idempotent."""
        ...
