"""Bytes that are not those of their etag are read once more before they are believed.

The etag of an object that was written in one piece is the MD5 of its bytes on S3, unless KMS or the
customer encrypts it (Amazon S3 API reference, "Object", 2026-11). Other stores make etags as they
like, so one that is another digest proves nothing: a second read decides, and tells for the rest of
the process what the store's etags are. A plain network may alter what no checksum covers.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from s3fanout.decide.compare_attributes import etag_is_hash
from s3fanout.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from s3fanout.model.objects import Body, Present

_MD5 = re.compile(r"[0-9a-f]{32}")


class Etags:
    """What the etags of one store are, as far as it was seen."""

    def __init__(self) -> None:
        self._are_digests = True

    def doubt(self, facts: Present, etag: str, md5_hex: str) -> bool:
        """Whether bytes with this digest may not be those of an object with this etag."""
        return (
            self._are_digests
            and etag != md5_hex
            and _MD5.fullmatch(etag) is not None
            and etag_is_hash(facts)
        )

    async def read(self, get: Callable[[], Awaitable[Body]]) -> Body:
        """What ``get`` reads of the source. One more read where in doubt, and only once for all.

        Raises:
            StoreError: As ``get``.
            Unavailable: Two reads of one object are not equal, and no etag says which is right.
        """
        body = await get()
        if not self.doubt(body.facts, body.facts.etag, body.md5_hex):
            return body
        again = await get()
        if again.md5_hex == again.facts.etag:
            return again
        if again.md5_hex != body.md5_hex:
            raise Unavailable(
                f"two reads of one object differ key={body.facts.key!r}",
                operation="GetObject",
                status=HTTPStatus.OK,  # It does answer: one object says nothing of the others.
                s3_code="WrongDigest",
                of_source=True,
            )
        self._are_digests = False
        return again

    async def is_as_sent(self, sent: Body, read_back: Callable[[], Awaitable[Body]]) -> bool:
        """Whether the store holds what was sent, by reading it back.

        Raises:
            StoreError: As ``read_back``.
        """
        if (await read_back()).md5_hex != sent.md5_hex:
            return False
        self._are_digests = False
        return True
