"""Objects that are too large for one request: how they are cut in tests, and what is counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from s3fanout.decide.plan import Way
from s3fanout.model.jobs import JobState
from s3fanout.model.limits import Limits
from s3fanout.model.objects import ObjectAttributes
from tests.functional.world import World

MakeWorld = Callable[..., World]
PART = 10
LIMITS = Limits(
    part_bytes=PART,
    part_bytes_min=1,
    copy_bytes_max=PART,
    copy_part_bytes=PART,
    stream_bytes=8 * PART,
    parts_in_flight=2,
)
CONTENT = bytes(range(95))
PARTS = 10
ATTRIBUTES = ObjectAttributes(
    {"content-type": "text/plain", "cache-control": "no-store"}, {"owner": "me"}, {"k": "v"}
)
COMPLETE = "CompleteMultipartUpload"
WAYS = pytest.mark.parametrize("way", Way)


def count(world: World, operation: str) -> int:
    return world.requests()[operation]


def part_operation(way: Way) -> str:
    return "UploadPartCopy" if way is Way.SERVER else "UploadPart"


def assert_exact(world: World, key: str = "key") -> None:
    """Bytes and attributes are the source's, the job is settled, and no upload is left."""
    of = world.source.objects[key]
    for name, bucket in world.buckets.items():
        assert bucket.objects[key].content == of.content
        assert bucket.objects[key].attributes == of.attributes
        assert world.known(name, key).state is JobState.SETTLED
        assert not bucket._stores.uploads
    assert not world.journal._uploads
