"""Annotations of objects in memory."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from s3fanout.model.objects import Annotation

if TYPE_CHECKING:
    from collections.abc import Sequence


class MemoryAnnotations(ABC):
    """The operations on annotations, over what a store has in memory."""

    @abstractmethod
    def _annotations(
        self, operation: str, key: str, if_match: str | None, version_id: str | None
    ) -> dict[str, bytes]:
        """Those of an object, to be looked into and changed; counts a request."""

    async def list_annotations(
        self, key: str, *, version_id: str | None = None
    ) -> Sequence[Annotation]:
        found = self._annotations("ListObjectAnnotations", key, None, version_id)
        return [
            Annotation(name, hashlib.md5(content, usedforsecurity=False).hexdigest())
            for name, content in sorted(found.items())
        ]

    async def get_annotation(self, key: str, name: str, *, version_id: str | None = None) -> bytes:
        return self._annotations("GetObjectAnnotation", key, None, version_id)[name]

    async def put_annotation(self, key: str, name: str, content: bytes, *, if_match: str) -> None:
        self._annotations("PutObjectAnnotation", key, if_match, None)[name] = content
