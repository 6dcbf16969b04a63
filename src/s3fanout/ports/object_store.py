"""One bucket of one object store, as seen with one set of credentials."""

from __future__ import annotations

from typing import Protocol

from s3fanout.model.objects import Body, ListPage, ObjectAttributes, Probe, Written


class ObjectStore(Protocol):
    """The operations that replication needs.

    Every method costs the number of requests that its docstring names, retries nothing, and raises
    only ``StoreError`` subclasses. An error of a write carries ``maybe_applied``. Keys travel
    verbatim: an adapter never normalises them.
    """

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        ...

    async def head(self, key: str) -> Probe:
        """Facts of the current object, or *confirmed* absence. One request.

        Raises:
            StoreError: Not known. Never to be read as absence.
        """
        ...

    async def get(self, key: str, *, if_match: str | None, size_bytes_max: int) -> Body:
        """The whole current object. One request, one more if it has tags.

        Args:
            key: The object.
            if_match: Etag that the object must have, or ``None`` for any.
            size_bytes_max: Larger objects are refused before their bytes are read.

        Raises:
            SourceChanged: The object's etag is another one.
            SourceAbsent: Confirmed absence.
            Refused: ``s3_code == "EntityTooLarge"`` when larger than ``size_bytes_max``.
            Unavailable: Also when the body ended early or has another length than announced.
        """
        ...

    async def put(self, key: str, body: Body, attributes: ObjectAttributes) -> Written:
        """Write ``body`` with exactly ``attributes`` (tags too, where not ``None``). One request.

        The store checks the bytes against a digest sent with them.
        """
        ...

    async def copy(
        self, key: str, *, source_bucket: str, source_key: str, if_match: str | None
    ) -> Written:
        """Server-side copy into ``key`` of this bucket, attributes and tags included. One request.

        A store may ignore ``if_match`` without a word: the caller compares ``Written.etag``.

        Raises:
            SourceChanged: The source's etag is another one.
            SourceAbsent: Confirmed absence of the source.
            Refused: ``s3_code == "EntityTooLarge"`` beyond the store's one-request limit.
        """
        ...

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        """Remove the current object; nothing happens if there is none. One request.

        A versioned bucket gets a delete marker.

        Args:
            key: The object.
            if_match: Etag that the object must have. A store may ignore it without a word.

        Raises:
            SourceChanged: The object's etag is another one.
        """
        ...

    async def list_page(
        self, prefix: str = "", *, token: str | None = None, limit: int = 1000, delimiter: str = ""
    ) -> ListPage:
        """One page of current objects whose key starts with ``prefix``. One request.

        With a ``delimiter`` the keys that have it behind ``prefix`` are not listed: ``prefixes``
        names what they start with, up to and with the first delimiter.
        """
        ...

    async def close(self) -> None:
        """Release connections. Idempotent."""
        ...
