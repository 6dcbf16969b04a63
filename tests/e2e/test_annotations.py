"""Annotations of Amazon S3, which no request that writes an object can set, are carried over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from tests.e2e.conftest import Install
from tests.e2e.installation import Place, until
from tests.e2e.notices import message, put_event
from tests.servers.server import Server, boto3_client, create_bucket

pytestmark = pytest.mark.stores

KEEP = {"annotations": '"keep"'}
CONTENTS = {"small": b"annotated", "large": bytes(6 * 1024 * 1024)}


def annotations_of(client: Any, place: Place, key: str) -> dict[str, bytes]:
    target = {"Bucket": place.bucket, "Key": key}
    names = [
        row["AnnotationName"] for row in client.list_object_annotations(**target)["Annotations"]
    ]
    return {
        name: client.get_object_annotation(**target, AnnotationName=name)[
            "AnnotationPayload"
        ].read()
        for name in names
    }


def is_of_annotations(finding: dict[str, Any]) -> bool:
    return bool(finding["check"] == "annotations")


def test_annotations_arrive_by_every_way_and_a_new_one_without_the_object(
    *, ministack: Server, moto: Server, install: Install, bucket_name: Callable[[str], str]
) -> None:
    def place(server: Server, purpose: str, **settings: str) -> Place:
        return Place(server, create_bucket(server, bucket_name(purpose)), settings=settings)

    source = place(ministack, "source")
    to = {
        "copied": place(ministack, "copied", **KEEP),
        "streamed": place(ministack, "streamed", copy='"stream"', **KEEP),
        "elsewhere": place(moto, "elsewhere", **KEEP),
        "unkept": place(ministack, "unkept", copy='"stream"'),
    }
    kept = ("copied", "streamed")
    installation = install(source=source, destinations=to, settings='limits.part_size = "5MiB"\n')
    installation.start()
    client: Any = boto3_client(ministack, "s3")
    with closing(client):
        wanted = {"note": b"a text", "review.2": "ä text".encode()}
        events = []
        for key, content in CONTENTS.items():
            made = client.put_object(Bucket=source.bucket, Key=key, Body=content)
            etag = made["ETag"].strip('"')
            for name, text in wanted.items():
                client.put_object_annotation(
                    Bucket=source.bucket, Key=key, AnnotationName=name, AnnotationPayload=text
                )
            events.append(put_event(source.bucket, key, etag=etag, size_bytes=len(content)))
        assert installation.post(message(*events)).status == 200
        installation.wait_replicated(len(CONTENTS))
        findings = installation.read("check")["findings"]
        graded = {each["target"]: each["grade"] for each in findings if is_of_annotations(each)}
        assert graded == {"source": "ok", "unkept": "warning"}
        for key in CONTENTS:
            for name in kept:
                assert annotations_of(client, to[name], key) == wanted, (name, key)
            rows = installation.read("explain", key)["destinations"]
            differences = {row["name"]: row["record"]["differences"] for row in rows}
            assert differences.pop("elsewhere") == ["annotations"]
            assert not any(differences.values())
            assert annotations_of(client, to["unkept"], key) == {}

        # Another one: its event has the etag of the object, which is not written again.
        def written() -> list[Any]:
            heads = (client.head_object(Bucket=to[name].bucket, Key="small") for name in kept)
            return [(head["ETag"], head["LastModified"]) for head in heads]

        before = written()
        client.put_object_annotation(
            Bucket=source.bucket, Key="small", AnnotationName="later", AnnotationPayload=b"new"
        )
        event = {**events[0], "eventName": "ObjectAnnotation:Put"}
        assert installation.post(message(event)).status == 200
        until(
            lambda: all(annotations_of(client, to[name], "small").get("later") for name in kept),
            what="the new annotation is there",
        )
        installation.wait_replicated(len(CONTENTS))
        assert written() == before
