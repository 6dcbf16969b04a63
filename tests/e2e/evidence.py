"""What is really in the stores, by tools that are not ours: boto3, rclone, s5cmd."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.installation import PATIENCE_S, Place, program
from tests.servers.server import boto3_client


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as a reader sees it."""

    content: bytes
    content_type: str
    metadata: Mapping[str, str]
    tags: Mapping[str, str]


def put(
    place: Place,
    objects: Mapping[str, bytes],
    *,
    content_type: str = "text/plain",
    metadata: Mapping[str, str] | None = None,
    tagging: str = "",
) -> dict[str, str]:
    """Write objects; returns the etag (without quotes) by key."""
    with closing(boto3_client(place.server, "s3")) as client:
        return {
            key: client.put_object(
                Bucket=place.bucket,
                Key=key,
                Body=content,
                ContentType=content_type,
                Metadata=metadata or {},
                Tagging=tagging,
            )
            # MinIO's front end has none to answer for a folder mark ("a/").
            .get("ETag", "")
            .strip('"')
            for key, content in objects.items()
        }


def get(place: Place, key: str) -> Stored:
    """Read one object with what belongs to it."""
    with closing(boto3_client(place.server, "s3")) as client:
        answer = client.get_object(Bucket=place.bucket, Key=key)
        tags = client.get_object_tagging(Bucket=place.bucket, Key=key)["TagSet"]
        return Stored(
            answer["Body"].read(),
            answer["ContentType"],
            answer["Metadata"],
            {tag["Key"]: tag["Value"] for tag in tags},
        )


def keys(place: Place) -> set[str]:
    """Every key of the bucket."""
    with closing(boto3_client(place.server, "s3")) as client:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket)
        return {entry["Key"] for page in pages for entry in page.get("Contents", ())}


def check_equal(source: Place, *replicas: Place) -> None:
    """``rclone check``: the same keys, and the same bytes, read from both sides."""
    for replica in replicas:
        done = subprocess.run(
            [
                program("rclone"),
                "check",
                f"a:{source.bucket}",
                f"b:{replica.bucket}",
                "--config=",
                "--download",
                "--checkers=16",
                "--retries=1",
            ],
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                **_remote("A", source),
                **_remote("B", replica),
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{replica.bucket} is not equal:\n{done.stderr[-3000:]}"


def upload_folder(folder: Path, place: Place, *, workers: int = 16) -> None:
    """``s5cmd cp``: every file of ``folder`` becomes an object, many at a time."""
    subprocess.run(
        [
            program("s5cmd"),
            f"--endpoint-url={place.server.endpoint}",
            f"--numworkers={workers}",
            "--log=error",
            "cp",
            f"{folder}/*",
            f"s3://{place.bucket}/",
        ],
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "AWS_ACCESS_KEY_ID": place.server.access_key,
            "AWS_SECRET_ACCESS_KEY": place.server.secret_key,
            "AWS_REGION": place.server.region,
        },
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )


def small_files(folder: Path, names: Iterable[str], *, size_bytes: int = 1024) -> None:
    """Files of one size, each with content of its own if the names differ at their end."""
    for name in names:
        content = (name.encode() * (size_bytes // len(name) + 1))[-size_bytes:]
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _remote(name: str, place: Place) -> dict[str, str]:
    settings = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": place.server.endpoint,
        "ACCESS_KEY_ID": place.server.access_key,
        "SECRET_ACCESS_KEY": place.server.secret_key,
        "REGION": place.server.region,
        "FORCE_PATH_STYLE": "true",
    }
    return {f"RCLONE_CONFIG_{name}_{setting}": value for setting, value in settings.items()}
