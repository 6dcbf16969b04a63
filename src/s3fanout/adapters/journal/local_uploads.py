"""Multipart uploads remembered for as long as the process lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3fanout.model.uploads import ReplicaUpload


class LocalUploads:
    """``Uploads`` where nothing durable is at hand: another process begins another upload."""

    def __init__(self) -> None:
        self._uploads: dict[tuple[str, str], ReplicaUpload] = {}

    async def upload_of(self, destination: str, key: str) -> ReplicaUpload | None:
        return self._uploads.get((destination, key))

    async def keep_upload(self, upload: ReplicaUpload) -> None:
        self._uploads[upload.destination, upload.key] = upload

    async def forget_upload(self, destination: str, key: str) -> None:
        self._uploads.pop((destination, key), None)
