"""Copies in parts between real stores, of which single answers and bodies go wrong on their way.

The engine's copier runs in this process, on the client that the daemon has; what is tampered with
is exactly one request, by number, so that each case says what it costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from s3fanout.adapters.checksums import checksum_of
from s3fanout.adapters.journal.local_uploads import LocalUploads
from s3fanout.adapters.store.credentials import StaticCredentials
from s3fanout.adapters.store.endpoint import Endpoint
from s3fanout.adapters.store.memory_uploads import part_of
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.s3_probe import StoreVendor
from s3fanout.adapters.store.transport import Header, Response, TransportSettings
from s3fanout.adapters.store.transport_direct import DirectTransport
from s3fanout.adapters.system import SystemClock
from s3fanout.decide.plan import Way
from s3fanout.engine.copier import Copier, Replicated
from s3fanout.engine.keeper import Keeper
from s3fanout.engine.reads import SharedReads
from s3fanout.model.errors import ReplicaMismatch, StoreError, Unavailable
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import Job
from s3fanout.model.keeping import Keeping
from s3fanout.model.limits import MIB, Limits
from s3fanout.model.objects import Absent, Checksum, ChecksumAlgorithm, ObjectAttributes
from s3fanout.model.rules import KeyFilter, KeyMap, Rule
from tests.servers.server import Server, create_bucket

pytestmark = pytest.mark.stores

PART = 5 * MIB
LIMITS = Limits(part_bytes=PART, copy_bytes_max=PART, copy_part_bytes=PART, parts_in_flight=1)
ATTRIBUTES = ObjectAttributes({"content-type": "text/x-parts"}, {"owner": "me"})
CONTENT = b"".join(bytes([number]) * PART for number in (1, 2)) + b"the end"
OTHER = CONTENT[::-1]
PARTS = 3
WAYS = pytest.mark.parametrize("way", Way)


@dataclass(slots=True)
class Tampering:
    """A transport on which the ``nth`` request of one operation meets something."""

    inner: DirectTransport
    operation: str = ""
    nth: int = 1
    answer: Callable[[Response], Response] | None = None
    instead: Response | None = None
    body: Callable[[bytes], bytes] | None = None
    before: Callable[[], Awaitable[object]] | None = None
    counts: Counter[str] = field(default_factory=Counter)

    async def request(  # noqa: PLR0917 -- the transport's signature
        self,
        method: str,
        base: str,
        raw_path: str,
        query: str,
        headers: Sequence[Header],
        body: bytes = b"",
        *,
        response_bytes_max: int,
        total_s: float | None = None,
    ) -> Response:
        operation = _operation(method, query, dict(headers))
        self.counts[operation] += 1
        now = operation == self.operation and self.counts[operation] == self.nth
        if now and self.before is not None:
            await self.before()
        if now and self.instead is not None:
            return self.instead
        if now and self.body is not None:
            body = self.body(body)
        answer = await self.inner.request(
            method,
            base,
            raw_path,
            query,
            headers,
            body,
            response_bytes_max=response_bytes_max,
            total_s=total_s,
        )
        return self.answer(answer) if now and self.answer is not None else answer

    async def close(self) -> None:
        await self.inner.close()


def _operation(method: str, query: str, headers: dict[str, str]) -> str:
    if method == "PUT" and "partNumber" in query:
        return "UploadPartCopy" if "x-amz-copy-source" in headers else "UploadPart"
    if method == "POST":
        return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
    return "GetRange" if "range" in headers else f"{method} {query}"


@dataclass(frozen=True, slots=True)
class World:
    """One object in a source, and a copier to a destination."""

    source: S3Store
    destination: S3Store
    from_source: Tampering
    to_destination: Tampering
    copier: Copier
    job: Job

    async def settle(self) -> list[StoreError]:
        """Attempt until it is done, as a lane does; returns what went wrong on the way."""
        failed: list[StoreError] = []
        while True:
            try:
                outcome = await self.copier.attempt(self.job)
            except StoreError as error:
                failed.append(error)
                assert len(failed) <= 3, failed
                continue
            assert isinstance(outcome, Replicated), outcome
            return failed

    async def assert_exact(self, content: bytes = CONTENT) -> None:
        body = await self.destination.get("key", if_match=None, size_bytes_max=4 * PART)
        assert body.content == content
        assert body.facts.attributes.headers == dict(ATTRIBUTES.headers)
        assert body.facts.attributes.metadata == dict(ATTRIBUTES.metadata)
        assert not await self.destination.list_uploads("key")


async def write(store: S3Store, content: bytes, algorithm: ChecksumAlgorithm | None = None) -> str:
    whole = None
    if algorithm is not None:
        whole = Checksum(algorithm, checksum_of(algorithm, content), full_object=True)
    upload_id = await store.create_upload("key", ATTRIBUTES, checksum=whole)
    parts = [
        await store.upload_part(
            "key", upload_id, number, part_of(content[(number - 1) * PART : number * PART])
        )
        for number in range(1, PARTS + 1)
    ]
    return (await store.complete_upload("key", upload_id, parts, checksum=whole)).etag


@pytest.fixture
async def world(
    way: Way,
    seaweedfs: Server,
    minio_frontend: Server,
    bucket_name: Callable[[str], str],
) -> AsyncIterator[World]:
    """SeaweedFS to itself, or to MinIO's front end."""
    clock = SystemClock()
    transports: list[Tampering] = []

    def store(server: Server, bucket: str) -> S3Store:
        transports.append(Tampering(DirectTransport(TransportSettings())))
        return S3Store(
            bucket=bucket,
            endpoint=Endpoint.parse(server.endpoint, region=server.region),
            credentials=StaticCredentials(server.access_key, server.secret_key),
            transport=transports[-1],
            clock=clock,
        )

    to = seaweedfs if way is Way.SERVER else minio_frontend
    source = store(seaweedfs, create_bucket(seaweedfs, bucket_name("source")))
    destination = store(to, create_bucket(to, bucket_name("parts")))
    etag = await write(source, CONTENT)
    reads = SharedReads(
        source,
        budget_bytes=LIMITS.stream_bytes,
        part_bytes=LIMITS.part_bytes,
        destinations=1,
        vendor=StoreVendor(source, clock=clock),
        clock=clock,
    )
    copier = Copier(
        rule=Rule("to", KeyFilter(), KeyMap()),
        way=way,
        source=source,
        destination=destination,
        reads=reads,
        keeper=Keeper(
            Keeping(),
            destination=destination,
            vendor=StoreVendor(destination, clock=clock),
            clock=clock,
        ),
        remover=None,
        uploads=LocalUploads(),
        takers_of=lambda _key: ["to"],
        conditions_honoured=lambda: False,
        clock=clock,
        limits=LIMITS,
    )
    job = Job("to", "key", 1, ChangeKind.CREATED, 0, etag=etag, size_bytes=len(CONTENT))
    yield World(source, destination, transports[0], transports[1], copier, job)
    await reads.close()
    for transport in transports:
        await transport.close()


def error_in_a_200(code: str) -> Response:
    return Response(200, {}, f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode())


def copies_a_part(way: Way) -> str:
    return "UploadPartCopy" if way is Way.SERVER else "UploadPart"


@WAYS
async def test_an_error_inside_a_200_of_completing_is_an_error(world: World, way: Way) -> None:
    world.to_destination.operation = "CompleteMultipartUpload"
    world.to_destination.instead = error_in_a_200("InternalError")
    (error,) = await world.settle()
    assert (type(error), error.s3_code, error.maybe_applied) == (Unavailable, "InternalError", True)
    await world.assert_exact()
    assert world.to_destination.counts[copies_a_part(way)] == PARTS, "no part was sent twice"


@pytest.mark.parametrize("way", [Way.SERVER])
async def test_an_error_inside_a_200_of_a_copied_part_is_an_error(world: World) -> None:
    world.to_destination.operation, world.to_destination.nth = "UploadPartCopy", 2
    world.to_destination.instead = error_in_a_200("InternalError")
    (error,) = await world.settle()
    assert (type(error), error.s3_code) == (Unavailable, "InternalError")
    await world.assert_exact()
    assert world.to_destination.counts["UploadPartCopy"] == PARTS + 1


@pytest.mark.parametrize("way", [Way.STREAM])
async def test_a_part_that_was_read_short_is_read_again(world: World) -> None:
    world.from_source.operation, world.from_source.nth = "GetRange", 2
    world.from_source.answer = lambda answer: answer._replace(body=answer.body[:-1])
    (error,) = await world.settle()
    assert (type(error), error.s3_code) == (Unavailable, "TruncatedBody")
    await world.assert_exact()
    assert world.from_source.counts["GetRange"] == PARTS + 1


@pytest.mark.parametrize("way", [Way.STREAM])
async def test_a_part_that_arrives_altered_is_refused_and_sent_again(world: World) -> None:
    world.to_destination.operation, world.to_destination.nth = "UploadPart", 2
    world.to_destination.body = lambda body: b"!" + body[1:]
    (error,) = await world.settle()
    assert isinstance(error, Unavailable)
    assert error.s3_code in {"BadDigest", "XAmzContentSHA256Mismatch"}
    await world.assert_exact()
    assert world.to_destination.counts["UploadPart"] == PARTS + 1


@pytest.mark.parametrize("way", [Way.STREAM])
async def test_a_part_that_was_altered_on_its_way_here_is_told_by_the_sources_checksum(
    world: World,
) -> None:
    """SeaweedFS keeps a CRC64NVME of the object, MinIO's front end keeps none."""
    await write(world.source, CONTENT, ChecksumAlgorithm.CRC64NVME)
    world.from_source.operation, world.from_source.nth = "GetRange", 2
    world.from_source.answer = lambda answer: answer._replace(body=b"!" + answer.body[1:])
    (error,) = await world.settle()
    assert (type(error).code, error.s3_code) == (Unavailable.code, "WrongChecksum")
    await world.assert_exact()
    assert world.from_source.counts["GetRange"] == 2 * PARTS


@WAYS
async def test_an_upload_that_vanishes_half_way_is_begun_again_once(world: World, way: Way) -> None:
    async def abort() -> None:
        (upload,) = await world.destination.list_uploads("key")
        await world.destination.abort_upload("key", upload.upload_id)

    world.to_destination.operation, world.to_destination.nth = copies_a_part(way), 2
    world.to_destination.before = abort
    assert await world.settle() == []
    await world.assert_exact()
    assert world.to_destination.counts["CreateMultipartUpload"] == 2
    assert world.to_destination.counts[copies_a_part(way)] == 2 + PARTS


@WAYS
async def test_an_object_overwritten_half_way_is_never_torn(world: World, way: Way) -> None:
    async def overwrite() -> None:
        assert await world.destination.head("key") == Absent("key")
        await write(world.source, OTHER)

    tampered = world.to_destination if way is Way.SERVER else world.from_source
    tampered.operation = "UploadPartCopy" if way is Way.SERVER else "GetRange"
    tampered.nth, tampered.before = 2, overwrite
    assert await world.settle() == []
    await world.assert_exact(OTHER)


@WAYS
async def test_parts_that_do_not_make_the_object_are_all_sent_again(world: World, way: Way) -> None:
    world.to_destination.operation = "CompleteMultipartUpload"
    world.to_destination.instead = error_in_a_200("BadDigest")
    (error,) = await world.settle()
    assert isinstance(error, ReplicaMismatch)
    await world.assert_exact()
    assert world.to_destination.counts[copies_a_part(way)] == 2 * PARTS


@WAYS
async def test_a_replica_of_another_size_is_removed_and_written_again(
    world: World, way: Way
) -> None:
    """A store that lost a part when it put them together."""
    world.to_destination.operation = "CompleteMultipartUpload"
    world.to_destination.body = _without_the_last_part
    (error,) = await world.settle()
    assert isinstance(error, ReplicaMismatch)
    await world.assert_exact()
    assert world.to_destination.counts["CompleteMultipartUpload"] == 2
    assert world.to_destination.counts[copies_a_part(way)] == 2 * PARTS


def _without_the_last_part(document: bytes) -> bytes:
    return document[: document.rindex(b"<Part>")] + b"</CompleteMultipartUpload>"
