"""How often SeaweedFS loses one of ``x`` and ``x/y`` that two clients write in one moment.

``python -m benchmarks.neighbours [PAIRS]``, 400 by default. Prints how many pairs ended how.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any

from botocore.exceptions import ClientError

from tests.servers.seaweedfs import seaweedfs
from tests.servers.server import boto3_client, create_bucket

NEIGHBOURS = ("x", "x/y")


def ended(client: Any, bucket: str, prefix: str) -> str:
    """What is left of a pair of which both writes were answered with 200."""
    rows = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
    listed = {row["Key"].removeprefix(prefix) for row in rows}
    wrong = []
    for name in NEIGHBOURS:
        try:
            client.head_object(Bucket=bucket, Key=prefix + name)
        except ClientError:
            wrong.append(f"{name} is gone")
        else:
            wrong += [f"{name} is in no listing"] * (name not in listed)
    return ", ".join(wrong) or "both are there"


def main(pairs: int) -> None:
    """The command."""
    with tempfile.TemporaryDirectory() as directory, seaweedfs(Path(directory)) as server:
        bucket = create_bucket(server, "neighbours")
        together = Barrier(2, timeout=60)  # Where one fails, the other ends too.

        def write(name: str) -> None:
            with closing(boto3_client(server, "s3")) as client:
                for pair in range(pairs):
                    together.wait()
                    client.put_object(Bucket=bucket, Key=f"{pair}/{name}", Body=name.encode())

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(write, NEIGHBOURS))
        with closing(boto3_client(server, "s3")) as client:
            found = Counter(ended(client, bucket, f"{pair}/") for pair in range(pairs))
    for how, count in found.most_common():
        print(f"{count:>5}  {how}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
