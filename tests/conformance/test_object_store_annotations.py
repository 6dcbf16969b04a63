"""Annotations of stores that have them, and of those that know no such thing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from s3fanout.model.errors import Refused, SourceAbsent, SourceChanged
from s3fanout.model.objects import Annotation
from tests.conformance.object_stores import PLAIN, body_of, open_s3
from tests.servers.server import Server, boto3_client, create_bucket

pytestmark = pytest.mark.stores


async def test_annotations_are_listed_read_and_put_pinned_to_the_object(
    ministack: Server, bucket_name: Callable[[str], str]
) -> None:
    bucket = create_bucket(ministack, bucket_name("annotated"))
    store: Any = open_s3(ministack, bucket, "routed")
    client: Any = boto3_client(ministack, "s3")
    with closing(client):
        written = await store.put("ä key", body_of(b"x"), PLAIN)
        assert await store.list_annotations("ä key") == []
        target = {"Bucket": bucket, "Key": "ä key"}
        made = client.put_object_annotation(
            **target, AnnotationName="by_boto3", AnnotationPayload="ä text".encode()
        )
        etag = made["ETag"].strip('"')
        assert await store.list_annotations("ä key") == [Annotation("by_boto3", etag)]
        assert await store.get_annotation("ä key", "by_boto3") == "ä text".encode()
        await store.put_annotation("ä key", "ours.1", b"<&>", if_match=written.etag)
        found = client.get_object_annotation(**target, AnnotationName="ours.1")
        assert found["AnnotationPayload"].read() == b"<&>"
        with pytest.raises(SourceChanged):
            await store.put_annotation("ä key", "ours.2", b"y", if_match="0" * 32)
        with pytest.raises(SourceAbsent):
            await store.get_annotation("ä key", "none")
        with pytest.raises(SourceAbsent):
            await store.list_annotations("none")
    await store.close()


@pytest.fixture(params=["seaweedfs", "minio_frontend", "moto", "ceph"])
def without(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


async def test_a_store_without_annotations_is_found_out(
    without: Server, bucket_name: Callable[[str], str]
) -> None:
    """They answer with the object, even if it looks like a list, is empty or large."""
    store = open_s3(without, create_bucket(without, bucket_name("plain")), "routed")
    trap = b"<R><Annotations><AnnotationEntry/></Annotations></R>"
    for key, content in {"trap": trap, "empty": b"", "large": bytes(5 * 1024 * 1024)}.items():
        await store.put(key, body_of(content), PLAIN)
        with pytest.raises(Refused) as raised:
            await store.list_annotations(key)
        assert raised.value.s3_code == "NotImplemented"
    await store.close()
