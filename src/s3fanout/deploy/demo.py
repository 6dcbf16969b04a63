"""The demo of a deployment: buckets in three Regions of an emulator, samples, a comparison."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from s3fanout.config.settings import Settings
from s3fanout.deploy.emulator import ACCESS_KEY, Emulator, local_architecture, local_python
from s3fanout.deploy.function_logs import LogLine
from s3fanout.deploy.queues import VISIBILITY_TIMEOUTS
from s3fanout.deploy.session import AwsSession, asking
from s3fanout.model.topology import Topology
from s3fanout.ports.system import Clock
from s3fanout.service.demo import Comparison

SOURCE = "demo-source"
DESTINATIONS = {"paris": "eu-west-3", "tokyo": "ap-northeast-1", "backup": "us-east-1"}
FUNCTION_S = 20
"""Longest run of a function, and of a request. The emulator loses a function's process now and
then: what that was given is hidden for a multiple of this, twelve minutes with the usual two."""

HIDDEN_S = float(VISIBILITY_TIMEOUTS * FUNCTION_S)
STALLED_S = HIDDEN_S + 60.0
"""Nothing moves while lost work is hidden; when it is back it needs time to be done."""

POLL_S = 0.5
_THREADS = 8
_AWKWARD = (
    "with space + plus.txt",
    "percent%2Fencoded.txt",
    "a//b/../c.txt",
    "ünïcödé 🚀.txt",
    "tab\there.txt",
)


def write_config(directory: Path, running: Emulator, topology: Topology) -> Path:
    """The configuration file that a user would write, and the credentials beside it."""
    credentials = directory / "credentials.json"
    credentials.touch(mode=0o600)
    credentials.write_text(
        json.dumps({"AccessKeyId": ACCESS_KEY, "SecretAccessKey": ACCESS_KEY}), encoding="utf-8"
    )
    python = local_python()
    assert python is not None, "require_emulator has looked"
    lines = [
        "schema = 1",
        f'source.bucket = "{SOURCE}"',
        'source.region = "us-east-1"',
        'source.credentials = { file = "credentials.json" }',
        f'aws.topology = "{topology.value}"',
        f'aws.endpoint = "{running.endpoint}"',
        f'aws.architecture = "{local_architecture().value}"',
        f'aws.python = "{python.value}"',
        f'aws.timeout = "{FUNCTION_S}s"',
        f'limits.request_timeout = "{FUNCTION_S}s"',
    ]
    for name, region in DESTINATIONS.items():
        lines.append(f'destinations.{name}.bucket = "{bucket_of(name)}"')
        lines.append(f'destinations.{name}.region = "{region}"')
    path = directory / "s3fanout.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def bucket_of(destination: str) -> str:
    """The bucket of a destination of the demo."""
    return f"demo-{destination}"


def make_buckets(aws: AwsSession, settings: Settings) -> None:
    """Source and destinations, each in its Region."""
    for to in (settings.source, *settings.destinations.values()):
        extra: dict[str, Any] = {}
        if to.region != "us-east-1":
            extra["CreateBucketConfiguration"] = {"LocationConstraint": to.region}
        with asking(f"the bucket {to.bucket}"):
            aws.client("s3", region=to.region).create_bucket(Bucket=to.bucket, **extra)


def sample_keys(count: int) -> list[str]:
    """Keys, awkward ones first."""
    plain = (f"samples/{index:06}.txt" for index in range(max(0, count - len(_AWKWARD))))
    return [*(f"samples/{key}" for key in _AWKWARD[:count]), *plain]


def sample(key: str) -> bytes:
    """A small object, different for each key."""
    seed = hashlib.sha256(key.encode()).hexdigest()
    return f"object {key}\n{seed * (1 + int(seed[:2], 16) % 64)}\n".encode()


def write_samples(aws: AwsSession, keys: Sequence[str]) -> None:
    """Write one small object per key into the source."""
    client = aws.client("s3")

    def write(key: str) -> None:
        client.put_object(
            Bucket=SOURCE,
            Key=key,
            Body=sample(key),
            ContentType="text/plain; charset=utf-8",
            Metadata={"written-by": "s3fanout-demo"},
        )

    with asking("the samples"), ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(write, keys))


async def wait_replicated(
    aws: AwsSession,
    keys: Sequence[str],
    *,
    clock: Clock,
    tell: Callable[[int], None],
    tell_quiet: Callable[[], None],
) -> bool:
    """Until every key is in every destination; ``False`` if nothing moves any more.

    Args:
        aws: The emulator.
        keys: Of the source.
        clock: Real time.
        tell: Called with the number of replicas when there are more.
        tell_quiet: Called once each time nothing moved for ``FUNCTION_S``.
    """
    wanted = set(keys)
    best, moved_at_s, is_quiet = -1, clock.monotonic_s(), False
    while True:
        found = sum(
            len(wanted & set(_listed(aws.client("s3", region=region), bucket_of(name))))
            for name, region in DESTINATIONS.items()
        )
        if found > best:
            best, moved_at_s, is_quiet = found, clock.monotonic_s(), False
            tell(found)
        if found == len(wanted) * len(DESTINATIONS):
            return True
        still_s = clock.monotonic_s() - moved_at_s
        if still_s > STALLED_S:
            return False
        if still_s > FUNCTION_S and not is_quiet:
            is_quiet = True
            tell_quiet()
        await clock.sleep(POLL_S)


def _listed(client: Any, bucket: str) -> list[str]:
    with asking(f"a listing of {bucket}"):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [each["Key"] for page in pages for each in page.get("Contents", ())]


def compare(aws: AwsSession, keys: Sequence[str], lines: Sequence[LogLine]) -> Comparison:
    """Read every replica, and compare bytes, content type and metadata; lags are of the logs."""

    def differs(place: tuple[str, str]) -> bool:
        key, name = place
        client = clients[name]
        try:
            found = client.get_object(Bucket=bucket_of(name), Key=key)
        except client.exceptions.NoSuchKey:
            return True
        return bool(
            found["Body"].read() != sample(key)
            or found["ContentType"] != "text/plain; charset=utf-8"
            or found["Metadata"] != {"written-by": "s3fanout-demo"}
        )

    clients = {name: aws.client("s3", region=region) for name, region in DESTINATIONS.items()}
    places = [(key, name) for key in keys for name in DESTINATIONS]
    with asking("the replicas"), ThreadPoolExecutor(_THREADS) as pool:
        verdicts = list(pool.map(differs, places))
    different = tuple(place for place, differs_ in zip(places, verdicts, strict=True) if differs_)
    return Comparison(len(keys), len(places), different, lags_s(lines, set(keys)))


def lags_s(lines: Sequence[LogLine], keys: set[str]) -> tuple[float, ...]:
    """From event to settled replica, ascending, as the functions logged it."""
    found = []
    for line in lines:
        if not line.text.startswith("{"):
            continue
        try:
            said = json.loads(line.text)
        except ValueError:
            continue
        if said.get("action") == "replicated" and said.get("key") in keys and "lag_s" in said:
            found.append(float(said["lag_s"]))
    return tuple(sorted(found))
