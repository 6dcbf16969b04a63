"""What SeaweedFS loses of ``x`` and ``x/y`` that two clients change in one moment.

``python -m benchmarks.neighbours [PAIRS]``, 400 by default. Prints how many pairs ended how, where
both are written, and where ``x`` is deleted while ``x/y`` is written.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from tests.servers.seaweedfs import seaweedfs
from tests.servers.server import boto3_client, create_bucket

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from tests.servers.server import Server


def race(server: Server, bucket: str, pairs: int, *, deletes: bool) -> Counter[str]:
    """How many pairs ended how. Every request was answered with success."""
    together = Barrier(2, timeout=60)  # Where one fails, the other ends too.

    def change(name: str, *, deletes: bool) -> None:
        with closing(boto3_client(server, "s3")) as client:
            for pair in range(pairs):
                key = f"{pair}/{name}"
                if deletes:
                    client.put_object(Bucket=bucket, Key=key, Body=b"x")
                together.wait()
                if deletes:
                    client.delete_object(Bucket=bucket, Key=key)
                else:
                    client.put_object(Bucket=bucket, Key=key, Body=b"x")

    with ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(change, "x", deletes=deletes),
            pool.submit(change, "x/y", deletes=False),
        ]
        for each in both:
            each.result()
    wanted = {"x/y"} if deletes else {"x", "x/y"}
    with closing(boto3_client(server, "s3")) as client:
        return Counter(_ended(client, bucket, f"{pair}/", wanted) for pair in range(pairs))


def _ended(client: S3Client, bucket: str, prefix: str, wanted: set[str]) -> str:
    rows = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
    listed = {row["Key"].removeprefix(prefix) for row in rows}
    wrong = [f"{name} is there" for name in sorted(listed - wanted)]
    for name in sorted(wanted):
        try:
            client.head_object(Bucket=bucket, Key=prefix + name)
        except ClientError:
            wrong.append(f"{name} is gone")
        else:
            wrong += [f"{name} is in no listing"] * (name not in listed)
    return ", ".join(wrong) or "as it should"


def main(pairs: int) -> None:
    """The command."""
    with tempfile.TemporaryDirectory() as directory, seaweedfs(Path(directory)) as server:
        for deletes in (False, True):
            print("x is deleted, x/y is written" if deletes else "x and x/y are written")
            bucket = create_bucket(server, f"neighbours-{deletes}".lower())
            for how, count in race(server, bucket, pairs, deletes=deletes).most_common():
                print(f"{count:>5}  {how}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
