"""The operations of Amazon S3 on annotations: texts that an object carries, each by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.adapters.store.classify import Operation
from s3fanout.adapters.store.s3_client import S3Client, of_version
from s3fanout.adapters.store.s3_headers import content_md5, digests
from s3fanout.adapters.store.s3_xml import root_of, text_of, unquoted
from s3fanout.model.errors import Refused, Unavailable
from s3fanout.model.objects import Annotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3fanout.adapters.store.transport import Response

ANNOTATION_BYTES_MAX = 1024 * 1024
"""Amazon S3 user guide, "Annotations", 2026-11."""


class S3Annotations(S3Client):
    """Annotations. A store that has none takes these requests for others: list first, then put."""

    async def list_annotations(
        self, key: str, *, version_id: str | None = None
    ) -> Sequence[Annotation]:
        found: list[Annotation] = []
        token = ""
        while True:
            query = [("annotation", ""), *of_version(version_id)]
            if token:
                query.append(("continuation-token", token))
            answer = await self.send(Operation.LIST_ANNOTATIONS, "GET", key, query=query)
            page, token = self._page(answer, key)
            found += page
            if not token:
                return found

    async def get_annotation(self, key: str, name: str, *, version_id: str | None = None) -> bytes:
        operation = Operation.GET_ANNOTATION
        query = [("annotation", ""), ("annotationName", name), *of_version(version_id)]
        answer = await self.send(
            operation, "GET", key, query=query, response_bytes_max=ANNOTATION_BYTES_MAX
        )
        length = answer.headers.get("content-length", "")
        if answer.oversized or (length.isdecimal() and int(length) != len(answer.body)):
            raise self._broken(operation, key, "body ended early", s3_code="TruncatedBody")
        return answer.body

    async def put_annotation(self, key: str, name: str, content: bytes, *, if_match: str) -> None:
        md5_hex, sha256_hex = digests(content)
        await self.send(
            Operation.PUT_ANNOTATION,
            "PUT",
            key,
            query=[("annotation", ""), ("annotationName", name)],
            headers={**content_md5(md5_hex), "x-amz-object-if-match": self._pin(if_match)},
            body=content,
            body_sha256_hex=sha256_hex,
        )

    def _page(self, answer: Response, key: str) -> tuple[list[Annotation], str]:
        """What a page lists, and the token of the next one.

        Raises:
            Refused: It is the object that was answered: the store knows no annotations.
        """
        if "last-modified" not in answer.headers and not answer.oversized:
            try:
                root = root_of(answer.body)
            except Unavailable:
                root = None
            if root is not None and root.find("Annotations") is not None:
                page = [
                    Annotation(text_of(entry, "AnnotationName"), unquoted(text_of(entry, "ETag")))
                    for entry in root.iter("AnnotationEntry")
                ]
                return page, text_of(root, "NextContinuationToken")
        raise Refused(
            f"the store knows no annotations bucket={self._bucket} key={key!r}",
            operation=Operation.LIST_ANNOTATIONS,
            s3_code="NotImplemented",
        )
