"""One bucket of one object store, as seen with one set of credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from s3fanout.model.acls import Acl
from s3fanout.model.objects import (
    NO_EXTRAS,
    Annotation,
    Body,
    Checksum,
    ChecksumAlgorithm,
    DeletedPage,
    Extras,
    FirstPart,
    ListedUpload,
    ListPage,
    ObjectAttributes,
    PartBody,
    Probe,
    UploadedPart,
    VersionPage,
    Written,
)


class ObjectStore(Protocol):
    """The operations that replication needs.

    Every method costs the number of requests that its docstring names, retries nothing, and raises
    only ``StoreError`` subclasses. An error of a write carries ``maybe_applied``. Keys travel
    verbatim: an adapter never normalises them.

    What reads an object takes a ``version_id``: then it is that version in place of the current
    object, and a version that is gone (or a delete marker) is absent.
    """

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        ...

    @property
    def computes(self) -> frozenset[ChecksumAlgorithm]:
        """Algorithms of which ``get_range`` gives a checksum."""
        ...

    async def head(self, key: str, *, version_id: str | None = None) -> Probe:
        """Facts of the current object, or *confirmed* absence. One request.

        Raises:
            StoreError: Not known. Never to be read as absence.
        """
        ...

    async def get(
        self,
        key: str,
        *,
        if_match: str | None,
        size_bytes_max: int,
        version_id: str | None = None,
    ) -> Body:
        """The whole current object. One request, one more if it has tags.

        Args:
            key: The object.
            if_match: Etag that the object must have, or ``None`` for any.
            size_bytes_max: Larger objects are refused before their bytes are read.
            version_id: Not the current object but this version of it.

        Raises:
            SourceChanged: The object's etag is another one.
            SourceAbsent: Confirmed absence.
            Refused: ``s3_code == "EntityTooLarge"`` when larger than ``size_bytes_max``.
            Unavailable: Also when the body ended early (``s3_code == "TruncatedBody"``), or is not
                the one of a checksum of the whole that the store sent with it
                (``"WrongChecksum"``; those are compared that can be computed here).
        """
        ...

    async def get_range(
        self,
        key: str,
        *,
        first: int,
        last: int,
        if_match: str,
        version_id: str | None = None,
        checksum: ChecksumAlgorithm | None = None,
    ) -> PartBody:
        """Bytes ``first`` to ``last``, inclusive, of the object at ``if_match``. One request.

        ``checksum`` asks for one of these bytes; it is computed here, where that can be done.

        Raises:
            SourceChanged: The object's etag is another one, also if the store ignored the pin.
            SourceAbsent: Confirmed absence.
            Unavailable: The answer is not exactly the range.
        """
        ...

    async def get_tags(self, key: str, *, version_id: str | None = None) -> Mapping[str, str]:
        """The current object's tag set. One request.

        Raises:
            SourceAbsent: Confirmed absence.
        """
        ...

    async def get_acl(self, key: str, *, version_id: str | None = None) -> Acl:
        """Who may do what with the current object. One request.

        Raises:
            SourceAbsent: Confirmed absence.
        """
        ...

    async def list_annotations(
        self, key: str, *, version_id: str | None = None
    ) -> Sequence[Annotation]:
        """All annotations of the current object. One request per 1,000.

        Raises:
            Refused: ``s3_code == "NotImplemented"``: the store knows none.
            SourceAbsent: There is no such object (not confirmed).
        """
        ...

    async def get_annotation(self, key: str, name: str, *, version_id: str | None = None) -> bytes:
        """The text of an annotation. One request.

        Raises:
            SourceAbsent: There is no such object or annotation (not confirmed).
        """
        ...

    async def put_annotation(self, key: str, name: str, content: bytes, *, if_match: str) -> None:
        """Put an annotation on the current object, in place of one of this name. One request.

        A store that knows no annotations may take it for the object: ``list_annotations`` tells.

        Raises:
            SourceChanged: The object's etag is another one than ``if_match``.
        """
        ...

    async def bucket_owner(self) -> str:
        """Canonical id of the account that owns the bucket. One request."""
        ...

    async def first_part(
        self, key: str, *, if_match: str, version_id: str | None = None
    ) -> FirstPart | None:
        """How the object was uploaded; ``None`` if the store does not tell. One request.

        Raises:
            SourceChanged: The object's etag is another one.
            SourceAbsent: There is none (not confirmed).
        """
        ...

    async def put(self, key: str, body: Body, attributes: ObjectAttributes) -> Written:
        """Write ``body`` with exactly ``attributes`` (tags too, where not ``None``). One request.

        The store checks the bytes against a digest sent with them, and keeps the first full-object
        checksum of ``body.facts``, if it keeps any.
        """
        ...

    async def copy(
        self,
        key: str,
        *,
        source_bucket: str,
        source_key: str,
        if_match: str | None,
        extras: Extras = NO_EXTRAS,
        source_version_id: str | None = None,
    ) -> Written:
        """Server-side copy into ``key`` of this bucket, attributes and tags included. One request.

        ``extras`` are not copied but set. ``source_version_id`` copies that version.

        A store may ignore ``if_match`` without a word: the caller compares ``Written.etag``.

        Raises:
            SourceChanged: The source's etag is another one.
            SourceAbsent: Confirmed absence of the source.
            Refused: ``s3_code == "EntityTooLarge"`` beyond the store's one-request limit.
        """
        ...

    async def create_upload(
        self, key: str, attributes: ObjectAttributes, *, checksum: Checksum | None = None
    ) -> str:
        """Begin a multipart upload; its id. The object will have exactly ``attributes``.

        ``checksum`` asks the store to keep one of its algorithm and kind; of the whole object only
        the CRCs can be. One request. Nothing of it is visible before ``complete_upload``.
        """
        ...

    async def upload_part(
        self,
        key: str,
        upload_id: str,
        number: int,
        body: PartBody,
        *,
        checksum: ChecksumAlgorithm | None = None,
    ) -> UploadedPart:
        """Upload part ``number``, in place of an earlier one of the same number. One request.

        The store checks the bytes against a digest sent with them. ``checksum`` is the algorithm of
        ``body.checksum``, which is sent too: an upload that was begun with a composite one needs
        it.

        Raises:
            UploadGone: There is no such upload any more.
        """
        ...

    async def upload_part_copy(
        self,
        key: str,
        upload_id: str,
        number: int,
        *,
        source_bucket: str,
        source_key: str,
        if_match: str,
        first: int,
        last: int,
        source_version_id: str | None = None,
    ) -> UploadedPart:
        """Make part ``number`` of bytes ``first`` to ``last``, inclusive, of another object.

        One request. A store may ignore ``if_match`` without a word: the caller reads the source
        again before it completes the upload. The part has a checksum of the algorithm that the
        upload was begun with, if the store tells it.

        Raises:
            SourceChanged: The source's etag is another one.
            SourceAbsent: Confirmed absence of the source.
            UploadGone: There is no such upload any more.
        """
        ...

    async def list_parts(self, key: str, upload_id: str) -> Sequence[UploadedPart]:
        """All parts that the store has, by number. One request per 1,000 parts.

        Of a part that was uploaded twice with other bytes, some stores tell an older try.

        Raises:
            UploadGone: There is no such upload any more.
        """
        ...

    async def complete_upload(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[UploadedPart],
        *,
        checksum: Checksum | None = None,
    ) -> Written:
        """Make the object of ``parts``, by number and without gaps. One request.

        Args:
            key: As begun.
            upload_id: As begun.
            parts: They are compared by number and etag; stores that can do so compare the sum of
                their sizes too.
            checksum: Of the algorithm and kind that the upload was begun with. The store compares
                one of the whole object; of a composite one the checksums of ``parts`` are sent.

        Raises:
            UploadGone: There is no such upload any more. A try before this one may have completed
                it: only the object tells.
            ReplicaMismatch: A part is not there, or the checksum is another one.
            Refused: A part is too small.
            Unavailable: Also when a 200 carries an error.
        """
        ...

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """Forget an upload and its parts; nothing happens if there is none. One request."""
        ...

    async def list_uploads(
        self, prefix: str = "", *, after: ListedUpload | None = None
    ) -> Sequence[ListedUpload]:
        """Unfinished uploads of keys that start with ``prefix``; one page, at most 1,000.

        One request. Some stores list only uploads of exactly ``prefix`` (MinIO, 2026-11).

        Args:
            prefix: What the keys start with.
            after: The last one of the page before. A store may ignore it without a word.
        """
        ...

    async def delete(self, key: str, *, if_match: str | None = None) -> str | None:
        """Remove the current object; nothing happens if there is none. One request.

        A versioned bucket gets a delete marker, also where there is no object; its version id is
        returned. Some stores make no second one on top of another (Ceph RGW): then ``None``.

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

    async def delete_version(self, key: str, version_id: str) -> None:
        """Remove one version or delete marker for good; nothing happens if it is gone. One request.

        What is below the newest one becomes the current object.
        """
        ...

    async def list_versions(
        self, key: str, *, token: str | None = None, limit: int = 1000
    ) -> VersionPage:
        """One page of the versions and delete markers of exactly ``key``, newest first.

        One request, one more if the page is full of other keys that begin with ``key``.

        Raises:
            Refused: ``s3_code == "VersionsNotListed"``: the store does not list the versions of an
                object that it has.
        """
        ...

    async def list_deleted(
        self, prefix: str = "", *, token: str | None = None, limit: int = 1000
    ) -> DeletedPage:
        """Of one page of all versions below ``prefix`` the keys that are deleted now. One request.

        ``limit`` bounds the versions that are looked through, so a page may well be empty.
        """
        ...

    async def keeps_versions(self) -> bool:
        """Whether every write to the bucket makes a version (not if that is suspended).

        One request.
        """
        ...

    async def close(self) -> None:
        """Release connections. Idempotent."""
        ...
