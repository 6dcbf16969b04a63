"""A running object store: what a client needs to know, and how one is started and ended."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

import boto3
from botocore.config import Config

from s3fanout.adapters.store.embedded import http_status
from s3fanout.adapters.store.leashed_process import LeashedProcess
from s3fanout.adapters.store.loopback import reserved_port
from s3fanout.adapters.system import SystemClock

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

LOOPBACK = "127.0.0.1"
READY_S = 120.0
"""A machine may be busy."""


@dataclass(frozen=True, slots=True)
class Server:
    """One endpoint with credentials that may do everything there.

    Attributes:
        name: ``seaweedfs``, ``minio``, ``ceph``, ``ministack`` or ``moto``.
        endpoint: ``http://127.0.0.1:<port>``.
        notification_arns: Where bucket notifications can go; empty where that is not prepared.
        pid: Of the server.
    """

    name: str
    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    notification_arns: tuple[str, ...] = ()
    pid: int = 0


class ServerDidNotStart(RuntimeError):
    """Its last words are in the message."""


@overload
def boto3_client(server: Server, service: Literal["s3"]) -> S3Client: ...
@overload
def boto3_client(server: Server, service: Literal["sqs"]) -> SQSClient: ...
def boto3_client(server: Server, service: Literal["s3", "sqs"]) -> S3Client | SQSClient:
    """A client that is not ours, for checks from outside. The caller closes it."""
    session = boto3.Session(
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
    )
    config = Config(
        s3={"addressing_style": "path"},
        retries={"max_attempts": 0},
        proxies={},
        # Not every vendor knows the checksums that AWS made the default in 2025.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    if service == "sqs":
        return session.client("sqs", endpoint_url=server.endpoint, config=config)
    return session.client("s3", endpoint_url=server.endpoint, config=config)


def create_bucket(server: Server, bucket: str) -> str:
    """Make a bucket; returns its name."""
    with closing(boto3_client(server, "s3")) as client:
        client.create_bucket(Bucket=bucket)
    return bucket


def closed_port() -> int:
    """A port that nobody listens on, and that nobody else is given as long as we run."""
    held = ExitStack()
    atexit.register(held.close)
    return held.enter_context(reserved_port())


@contextmanager
def serving(
    process: LeashedProcess, port: int, *, is_ready: Callable[[int], bool]
) -> Iterator[LeashedProcess]:
    """Wait until ``GET /`` has a status that ``is_ready`` likes; kill the process at the end.

    Raises:
        ServerDidNotStart: The process ended, or did not answer within ``READY_S``.
    """
    try:
        asyncio.run(_until_ready(process, f"{LOOPBACK}:{port}", is_ready))
        yield process
    finally:
        process.stop()


async def _until_ready(
    process: LeashedProcess, address: str, is_ready: Callable[[int], bool]
) -> None:
    clock = SystemClock()
    give_up_at_s = clock.monotonic_s() + READY_S
    while clock.monotonic_s() < give_up_at_s and process.exit_status is None:
        if is_ready(await http_status(address)) and process.exit_status is None:
            return
        await clock.sleep(0.02)
    raise ServerDidNotStart(f"status={process.exit_status}\n{process.log_tail(40)}")
