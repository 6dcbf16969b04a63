"""Multipart uploads remembered for as long as the process lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.model.uploads import AskedUpload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3fanout.model.uploads import ReplicaUpload


class LocalUploads:
    """``Uploads`` where nothing durable is at hand: another process begins another upload."""

    def __init__(self) -> None:
        self._uploads: dict[tuple[str, str], ReplicaUpload] = {}
        self._asked: dict[tuple[str, str], AskedUpload] = {}

    async def upload_of(self, destination: str, key: str) -> ReplicaUpload | None:
        return self._uploads.get((destination, key))

    async def uploads_of(self, destination: str) -> Sequence[ReplicaUpload]:
        return [of for of in self._uploads.values() if of.destination == destination]

    async def asked_of(self, destination: str) -> Sequence[AskedUpload]:
        return [asked for asked in self._asked.values() if asked.destination == destination]

    async def ask_upload(self, destination: str, replica_key: str, *, at_ms: int) -> None:
        name = destination, replica_key
        before = self._asked.get(name)
        first_at_ms = at_ms if before is None else before.first_at_ms
        self._asked[name] = AskedUpload(destination, replica_key, first_at_ms, at_ms)

    async def answer_upload(self, destination: str, replica_key: str, *, asked_at_ms: int) -> None:
        asked = self._asked.get((destination, replica_key))
        if asked is not None and asked.first_at_ms == asked_at_ms:
            del self._asked[destination, replica_key]

    async def forget_asked(self, asked: AskedUpload) -> None:
        if self._asked.get((asked.destination, asked.replica_key)) == asked:
            del self._asked[asked.destination, asked.replica_key]

    async def keep_upload(self, upload: ReplicaUpload) -> None:
        self._uploads[upload.destination, upload.key] = upload

    async def forget_upload(self, destination: str, key: str) -> None:
        self._uploads.pop((destination, key), None)
