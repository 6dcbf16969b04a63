"""The object stores that the conformance suite judges, and in what the servers behind them differ.

A deviation is a fact about a *server*, written down with its reason. The suite asserts it: a server
that learns to behave makes a test fail, and its line here is then removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from s3fanout.adapters.store.credentials import StaticCredentials
from s3fanout.adapters.store.endpoint import Endpoint
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.transport import TransportSettings
from s3fanout.adapters.store.transport_aiohttp import AiohttpTransport
from s3fanout.adapters.store.transport_routed import RoutedTransport
from s3fanout.adapters.system import SystemClock
from s3fanout.model.errors import Refused, StoreError, Unavailable
from s3fanout.model.objects import Body, ObjectAttributes, Present

if TYPE_CHECKING:
    from s3fanout.adapters.store.transport import Transport
    from s3fanout.ports.object_store import ObjectStore
    from tests.servers.server import Server


class Quirk(StrEnum):
    """What a server does otherwise than AWS. Each is asserted by the test that it is about."""

    BUCKETS_APPEAR = "buckets-appear"
    """A write to a bucket that does not exist makes it (SeaweedFS, for an identity that may)."""
    CREDENTIALS_UNCHECKED = "credentials-unchecked"
    """Any access key and secret are welcome (an emulator)."""
    COPIED_PARTS_TELL_NO_CHECKSUMS = "copied-parts-tell-no-checksums"
    """A part that was copied has no checksum, whatever the upload was begun with (emulators)."""
    COPIED_PARTS_HAVE_OTHER_ETAGS = "copied-parts-have-other-etags"
    """The etag of a part that was copied is not the digest of its bytes."""
    COPIES_LOSE_CHECKSUMS = "copies-lose-checksums"
    """A copy has no checksum although its source has one."""
    LAYOUT_UNTOLD = "layout-untold"
    """Nothing says what the parts of an object were."""
    NO_CHECKSUMS = "no-checksums"
    """Checksums that are sent are neither compared nor kept."""
    ONE_STORAGE_CLASS = "one-storage-class"
    """A storage class other than the default is refused."""
    UPLOADS_LOSE_TAGS = "uploads-lose-tags"
    """Tags that a multipart upload was begun with are not on the object."""
    PART_CHECKSUMS_UNTOLD = "part-checksums-untold"
    """A list of parts does not have the checksums that they were sent with."""
    COPY_INTO_NO_BUCKET_BREAKS = "copy-into-no-bucket-breaks"
    """A copy into a bucket that does not exist is answered with 500."""
    DELETE_CONDITIONS_IGNORED = "delete-conditions-ignored"
    """A delete pinned to another etag deletes, without a word."""
    KEYS_UNLIMITED = "keys-unlimited"
    """Keys of more than 1,024 bytes are taken."""
    LISTS_REPLACED_PARTS = "lists-replaced-parts"
    """A part that was uploaded twice with other bytes is listed twice."""
    LISTS_BY_DIRECTORY = "lists-by-directory"
    """Keys are sorted segment by segment: ``o/a/x`` before ``o/a-b`` (directories below)."""
    METADATA_IN_LATIN_1 = "metadata-in-latin-1"
    """Metadata beyond ASCII come back in another encoding than they were sent in (an emulator)."""
    SELF_COPY_ALLOWED = "self-copy-allowed"
    """A copy onto itself that changes nothing is accepted."""
    TAGS_SURVIVE = "tags-survive"
    """An overwrite without tags keeps those of the object that it replaces (an emulator)."""


@dataclass(frozen=True, slots=True)
class Refuses:
    """A key that the server does not take."""

    reason: str
    error: type[StoreError] = Refused


@dataclass(frozen=True, slots=True)
class Renames:
    """A key that the server stores under another one, without a word."""

    reason: str
    to: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Empties:
    """A key whose bytes the server drops, without a word."""

    reason: str


KeyOutcome = Refuses | Renames | Empties


@dataclass(frozen=True, slots=True)
class Profile:
    """A server's deviations.

    Attributes:
        quirks: See ``Quirk``.
        lost_headers: Content headers that it does not keep.
        keys: By name of a case of ``KEYS`` in the suite.
    """

    quirks: frozenset[Quirk] = frozenset()
    lost_headers: frozenset[str] = frozenset()
    keys: Mapping[str, KeyOutcome] = field(default_factory=dict)


_PATHS = "a key is a path of a file system"
PROFILES: Mapping[str, Profile] = {
    "memory": Profile(),
    "seaweedfs": Profile(
        quirks=frozenset(
            {
                Quirk.BUCKETS_APPEAR,
                Quirk.COPIED_PARTS_HAVE_OTHER_ETAGS,
                Quirk.COPY_INTO_NO_BUCKET_BREAKS,
                Quirk.LISTS_BY_DIRECTORY,
                Quirk.PART_CHECKSUMS_UNTOLD,
                Quirk.LISTS_REPLACED_PARTS,
            }
        ),
        keys={
            "backslash": Renames(_PATHS, lambda key: key.replace("\\", "/")),
            "double-slash": Renames(_PATHS, lambda key: key.replace("//", "/")),
            "leading-slash": Renames(_PATHS, lambda key: key.removeprefix("/")),
            "trailing-slash": Empties("a directory has no bytes"),
            "dot": Refuses(_PATHS),
            "dot-dot": Refuses(_PATHS),
            "segment-of-300-bytes": Refuses("a segment has at most 255 bytes"),
        },
    ),
    "minio": Profile(
        quirks=frozenset(
            {
                Quirk.DELETE_CONDITIONS_IGNORED,
                Quirk.KEYS_UNLIMITED,
                Quirk.LAYOUT_UNTOLD,
                Quirk.NO_CHECKSUMS,
                Quirk.ONE_STORAGE_CLASS,
            }
        ),
        lost_headers=frozenset({"content-encoding", "content-language", "expires"}),
        keys={
            "double-slash": Renames(_PATHS, lambda key: key.replace("//", "/")),
            "leading-slash": Renames(_PATHS, lambda key: key.removeprefix("/")),
            "trailing-slash": Refuses("a directory has no bytes"),
            "dot": Refuses(_PATHS),
            "dot-dot": Refuses(_PATHS),
            "beside-a-folder": Refuses("a file cannot be a directory: 500", Unavailable),
        },
    ),
    "ministack": Profile(
        quirks=frozenset(
            {
                Quirk.COPIED_PARTS_TELL_NO_CHECKSUMS,
                Quirk.CREDENTIALS_UNCHECKED,
                Quirk.KEYS_UNLIMITED,
                Quirk.LAYOUT_UNTOLD,
                Quirk.METADATA_IN_LATIN_1,
                Quirk.SELF_COPY_ALLOWED,
                Quirk.TAGS_SURVIVE,
                Quirk.UPLOADS_LOSE_TAGS,
            }
        )
    ),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a store is opened with."""

    access_key: str
    secret_key: str


Open = Callable[..., "ObjectStore"]


@dataclass(frozen=True, slots=True)
class Subject:
    """One adapter on one server, with two buckets of its own.

    Attributes:
        name: As in the test's id.
        profile: Deviations of the server.
        source, bucket: Names of two buckets that exist.
        missing: Name of a bucket that does not.
        open: ``open(bucket)`` is a store; the fixture closes it. Of a networked subject, also
            ``open(bucket, credentials=…, endpoint=…)``.
        server: ``None`` for the memory store.
    """

    name: str
    profile: Profile
    source: str
    bucket: str
    missing: str
    open: Open
    server: Server | None = None

    def has(self, quirk: Quirk) -> bool:
        """Whether the server deviates so."""
        return quirk in self.profile.quirks


def body_of(content: bytes, *, key: str = "any") -> Body:
    """What reading an object of ``content`` gives, for writing it."""
    md5_hex = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return Body(
        facts=Present(key=key, size_bytes=len(content), etag=md5_hex),
        content=content,
        md5_hex=md5_hex,
        sha256_hex=hashlib.sha256(content).hexdigest(),
    )


PLAIN = ObjectAttributes(headers={"content-type": "text/plain"})
"""Attributes of objects that a test wants no particular ones of."""


_SERVERS = ("seaweedfs", "minio_frontend", "ministack")
"""Fixtures of servers."""
_MADE: Mapping[str, Callable[[TransportSettings], Transport]] = {
    "routed": RoutedTransport,
    "aiohttp": AiohttpTransport,
}
"""Transports; ``routed`` is the default one: direct, and aiohttp through proxies."""
NETWORKED = tuple(f"{server}/{transport}" for server in _SERVERS for transport in _MADE)
"""Every pair, as the fixtures ``subject`` and ``networked`` take it."""


def open_s3(
    server: Server,
    bucket: str,
    transport: str,
    *,
    credentials: Credentials | None = None,
    endpoint: str | None = None,
) -> ObjectStore:
    """``S3Store`` on a bucket of a server; its ``close`` closes the transport too.

    Args:
        server: Gives what is not given otherwise.
        bucket: Need not exist.
        transport: Key of ``_MADE``.
        credentials, endpoint: Instead of the server's.
    """
    keys = credentials or Credentials(server.access_key, server.secret_key)
    return S3Store(
        bucket=bucket,
        endpoint=Endpoint.parse(endpoint or server.endpoint, region=server.region),
        credentials=StaticCredentials(keys.access_key, keys.secret_key),
        transport=_MADE[transport](TransportSettings()),
        clock=SystemClock(),
    )


async def listed(store: ObjectStore, prefix: str, *, limit: int = 1000) -> list[str]:
    """Keys of all pages, in the order in which they came."""
    keys: list[str] = []
    token = None
    while True:
        page = await store.list_page(prefix, token=token, limit=limit)
        assert len(page.objects) <= limit
        keys += [row.key for row in page.objects]
        if page.next_token is None:
            return keys
        token = page.next_token
