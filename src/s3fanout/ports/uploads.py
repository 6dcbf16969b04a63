"""What is remembered of multipart uploads, so that a crash or a deadline loses no part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from s3fanout.model.uploads import AskedUpload, ReplicaUpload


class KnownUploads(Protocol):
    """All uploads that are remembered, for whoever looks for those that nobody will finish."""

    async def uploads_of(self, destination: str) -> Sequence[ReplicaUpload]:
        """Those into one destination.

        Raises:
            LedgerUnavailable: They are not known.
        """
        ...

    async def asked_of(self, destination: str) -> Sequence[AskedUpload]:
        """Those that one destination was asked for, and of which no answer is known.

        Raises:
            LedgerUnavailable: They are not known.
        """
        ...

    async def forget_asked(self, asked: AskedUpload) -> None:
        """Forget them, unless more were asked for since.

        Raises:
            LedgerUnavailable: They may be forgotten or not.
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

    async def ask_upload(self, destination: str, replica_key: str, *, at_ms: int) -> None:
        """A store will be asked for an upload; durable on return.

        Where nobody looks for such uploads (functions on AWS) nothing is kept.
        """
        ...

    async def answer_upload(self, destination: str, replica_key: str, *, asked_at_ms: int) -> None:
        """It answered what it was asked then. What it was asked before stays in doubt."""
        ...

    async def keep_upload(self, upload: ReplicaUpload) -> None:
        """Remember an upload, in place of another one of the same replica; durable on return."""
        ...

    async def forget_upload(self, destination: str, key: str) -> None:
        """Forget it. Idempotent."""
        ...
