"""The settings: what can be set, its default, and one sentence about it.

The tree has the shape of the file. Everything in it is immutable. Where the file says ``"8MiB"``
or ``"30s"`` the attributes hold bytes and seconds and say so in their names. The template, the
reference, the hints and ``explain`` are all made from these models.

Settings are made by ``load.parse``, which also applies the inheritance between source,
destinations and queue: a ``Destination`` here always has its final endpoint and credentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from s3fanout.config.aws import AccountId, Aws, KeyArn
from s3fanout.config.credentials import Credentials, SecretReference, Section
from s3fanout.config.intake import Intake
from s3fanout.config.log import Log
from s3fanout.config.replicas import Replicas
from s3fanout.config.values import (
    BucketName,
    Bytes,
    Count,
    DestinationName,
    Endpoint,
    FilePath,
    Glob,
    KeyTemplateText,
    Listen,
    ListenAddress,
    OptionalBytes,
    OptionalSeconds,
    Seconds,
    Switch,
    Text,
)
from s3fanout.model.rules import Deletes, Drift
from s3fanout.model.vendors import VendorName

SCHEMA: Final = 1
"""Version of the file's shape. Raised only when a valid file would change its meaning."""

KIB: Final = 2**10
MIB: Final = 2**20
GIB: Final = 2**30


class Addressing(StrEnum):
    """Where the bucket stands in a request's URL."""

    AUTO = "auto"
    """Virtual on AWS where the name allows it, path elsewhere."""
    PATH = "path"
    VIRTUAL = "virtual"


class CopyMode(StrEnum):
    """Who moves the bytes."""

    AUTO = "auto"
    SERVER = "server"
    STREAM = "stream"


class Store(Section):
    """A bucket and how it is reached; ``endpoint`` is ``None`` for AWS."""

    bucket: BucketName = Field(description="Name of the bucket.", examples=['"photos"'])
    endpoint: Endpoint = Field(
        default=None,
        description='URL of the store without a path, or "aws".',
        examples=['"https://s3.example.com"'],
    )
    region: Text = Field(default="us-east-1", description="Region that requests are signed for.")
    addressing: Addressing = Field(
        default=Addressing.AUTO,
        description="Bucket in the URL's path or in its host name; "
        "auto: host name on AWS where the bucket's name allows it, else path.",
    )
    ca_file: FilePath | None = Field(
        default=None,
        description="PEM file of the authorities that sign the store's certificate.",
        examples=['"/etc/ssl/my-ca.pem"'],
    )
    credentials: Credentials = Field(
        default_factory=Credentials,
        description="Where the credentials are found; {} is the standard AWS chain.",
        examples=['{ profile = "prod" }'],
    )
    customer_key: SecretReference | None = Field(
        default=None,
        description="Where a customer's key is found that all objects of the bucket are encrypted "
        "with (SSE-C), 256 bits as base64; never the key.",
        examples=['{ env = "PHOTOS_KEY" }'],
    )
    kms_key: KeyArn | None = Field(
        default=None,
        description="ARN of the KMS key that encrypts the bucket, and replicas under "
        "SSE-KMS; deploy generates its grants.",
        examples=['"arn:aws:kms:us-east-1:123456789012:key/1234abcd"'],
    )

    vendor: VendorName = Field(
        default=VendorName.AUTO,
        description="Whose store it is: says which keys it holds; auto: by its host name, or by "
        "how it answers.",
    )


class Source(Store):
    """The one bucket that is copied from."""


class KeyPatterns(Section):
    """Patterns of source keys; a key fits if any of them fits."""

    prefixes: tuple[str, ...] = Field(
        default=(), description="The key starts with one of these.", examples=['["raw/"]']
    )
    suffixes: tuple[str, ...] = Field(
        default=(), description="The key ends with one of these.", examples=['[".jpg"]']
    )
    globs: tuple[Glob, ...] = Field(
        default=(),
        description="The whole key fits one of these: * is any text without /, ** any text, "
        "? one character but /, [abc] and [!abc] one of a set.",
        examples=['["**/x-*.bin"]'],
    )


class Destination(Replicas, Store):
    """One bucket that is copied to."""

    enabled: Switch = Field(default=True, description="Whether changes are copied to it.")
    account: AccountId | None = Field(
        default=None,
        description="AWS account that owns the bucket, if it is not the source's; plan then prints "
        "the policies that it must add.",
        examples=['"210987654321"'],
    )
    copy_mode: CopyMode = Field(
        default=CopyMode.AUTO,
        alias="copy",
        description="Who moves the bytes: the store itself (server) or s3fanout (stream); "
        "auto: server if endpoint and credentials are the source's, else stream.",
    )
    strip_prefix: str = Field(
        default="",
        max_length=1024,
        description="Removed from the key; keys that do not start with it are not copied.",
    )
    add_prefix: str = Field(
        default="", max_length=1024, description="Put in front of the key, after strip_prefix."
    )
    key: KeyTemplateText = Field(
        default="",
        max_length=1024,
        description="What the replica is called instead, made from {key}, {path}, {name}, {stem} "
        "and {ext} of the source key after strip_prefix; {{ and }} are braces.",
        examples=['"archive/{path}{stem}-copy{ext}"'],
    )
    loop_guard: Switch = Field(
        default=False,
        description="Look at both sides before every copy and leave an equal replica alone: for "
        "destinations that are replicated back into the source; two requests more for each change.",
    )
    size_min_bytes: OptionalBytes = Field(
        default=None,
        alias="size_min",
        description="Smaller objects are not copied.",
        examples=['"1B"'],
    )
    size_max_bytes: OptionalBytes = Field(
        default=None,
        alias="size_max",
        description="Larger objects are not copied.",
        examples=['"5GiB"'],
    )
    drift: Drift = Field(
        default=Drift.REPORT,
        description="What reconcile and the sweep do with a replica that somebody else changed or "
        "removed: report it, or repair it.",
    )
    deletes: Deletes = Field(
        default=Deletes.IGNORE,
        description="What happens to a replica when its source object goes away: it stays (ignore) "
        "or is deleted (replicate; a versioned bucket gets a delete marker).",
    )
    abort_uploads_after_s: OptionalSeconds = Field(
        default=None,
        alias="abort_uploads_after",
        ge=3600,
        le=31_536_000,
        description="Unfinished multipart uploads below its prefix that are older are aborted, "
        "whoever began them; without it only those of s3fanout.",
        examples=['"7d"'],
    )
    concurrency: Count | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Copies at the same time; without it limits.concurrency.",
        examples=["32"],
    )
    include: KeyPatterns = Field(
        default_factory=KeyPatterns, description="Only these keys; without any pattern all keys."
    )
    exclude: KeyPatterns = Field(
        default_factory=KeyPatterns, description="Never these keys; stronger than include."
    )


class Server(Section):
    """The HTTP server: webhook, health, metrics, dashboard."""

    listen: Listen = Field(
        default=ListenAddress("127.0.0.1", 8480),
        description="Address and port; port 0 lets the system choose.",
    )


class LedgerSettings(Section):
    """The durable record of every replica and of all waiting work."""

    path: FilePath = Field(
        default=Path("s3fanout.db"),
        validate_default=True,
        description="SQLite file; its directory must exist, be writable and on a local disk.",
    )


class Limits(Section):
    """Bounds on work, memory and patience."""

    concurrency: Count = Field(
        default=32, ge=1, le=10_000, description="Copies at the same time, per destination."
    )
    attempts_max: Count = Field(
        default=16,
        ge=1,
        le=1000,
        description="Failed attempts after which a job is a dead letter; 16 take about a quarter "
        "of an hour.",
    )
    retry_base_s: Seconds = Field(
        default=0.5,
        alias="retry_base",
        ge=0.001,
        le=3600,
        description="Wait after the first failed attempt; it doubles with each further one.",
    )
    retry_cap_s: Seconds = Field(
        default=300.0,
        alias="retry_cap",
        ge=0.001,
        le=86_400,
        description="Longest wait between attempts.",
    )
    part_size_bytes: Bytes = Field(
        default=8 * MIB,
        alias="part_size",
        ge=1,
        le=5 * GIB,
        description="Largest object that is streamed between two stores in one piece; larger ones "
        "go in parts of this size, at least 5MiB, or in those that the source was uploaded in.",
    )
    stream_memory_bytes: Bytes = Field(
        default=128 * MIB,
        alias="stream_memory",
        ge=1,
        le=1024 * GIB,
        description="Memory for all bytes that are streamed, from before they are read until the "
        "last destination has sent them: half for whole objects, half for parts of larger ones, "
        "each at most a quarter of it; [how much is needed](operating.md#sizing).",
    )
    request_timeout_s: Seconds = Field(
        default=60.0,
        alias="request_timeout",
        ge=0.1,
        le=3600,
        description="Longest time that one request to a store may take.",
    )
    connect_timeout_s: Seconds = Field(
        default=5.0,
        alias="connect_timeout",
        ge=0.1,
        le=300,
        description="Longest time until a connection to a store stands.",
    )
    drain_s: Seconds = Field(
        default=20.0,
        alias="drain",
        ge=0,
        le=3600,
        description="How long a stop waits for attempts in hand; what is left is done after the "
        "next start.",
    )
    circuit_failures: Count = Field(
        default=5,
        ge=1,
        le=1000,
        description="Failed attempts in a row after which a destination is left alone for a while.",
    )
    circuit_cap_s: Seconds = Field(
        default=60.0,
        alias="circuit_cap",
        ge=1,
        le=3600,
        description="Longest time that a failing destination is left alone before it is tried.",
    )
    deletes_max: Count = Field(
        default=1000,
        ge=0,
        le=1_000_000_000,
        description="Replicas of one destination that may be deleted within deletes_window; then "
        "its deletes wait for: s3fanout release-deletes.",
    )
    deletes_percent_max: Count = Field(
        default=25,
        ge=0,
        le=100,
        description="The same as a share of the destination's replicas; ten are always allowed.",
    )
    deletes_window_s: Seconds = Field(
        default=3600.0,
        alias="deletes_window",
        ge=1,
        le=2_592_000,
        description="The time that deletes are counted over.",
    )


def _known_schema(value: int) -> int:
    if value != SCHEMA:
        raise ValueError(f"must be {SCHEMA}")
    return value


class Settings(Section):
    """The whole configuration."""

    schema_version: Annotated[Count, AfterValidator(_known_schema)] = Field(
        alias="schema", description="Version of the file's shape.", examples=[str(SCHEMA)]
    )
    source: Source = Field(description="The one bucket that is copied from.")
    destinations: Annotated[
        Mapping[DestinationName, Destination], AfterValidator(MappingProxyType)
    ] = Field(
        default_factory=dict,
        validate_default=True,
        description="The buckets that are copied to, by name.",
    )
    intake: Intake = Field(
        default_factory=Intake, description="How changes become known; at least one way."
    )
    server: Server = Field(
        default_factory=Server, description="The HTTP server: webhook, health, metrics, dashboard."
    )
    ledger: LedgerSettings = Field(
        default_factory=dict,
        validate_default=True,
        description="The durable record of every replica and of all waiting work.",
    )
    limits: Limits = Field(
        default_factory=Limits, description="Bounds on work, memory and patience."
    )
    log: Log = Field(default_factory=Log, description="What is written to standard error.")
    aws: Aws | None = Field(
        default=None, description="The serverless deployment on AWS, in place of a daemon."
    )

    @property
    def has_intake(self) -> bool:
        """Whether a daemon would learn of changes."""
        intake = self.intake
        return any(way is not None for way in (intake.webhook, intake.sqs, intake.sweep))

    @property
    def enabled(self) -> Mapping[str, Destination]:
        """The destinations that changes are copied to, in the order of the file."""
        return {name: each for name, each in self.destinations.items() if each.enabled}

    def concurrency_of(self, destination: str) -> int:
        """How many copies to ``destination`` may run at the same time."""
        return self.destinations[destination].concurrency or self.limits.concurrency

    def copies_on_server(self, destination: str) -> bool:
        """Whether the store moves the bytes of ``destination`` itself (``CopyObject``)."""
        to = self.destinations[destination]
        if to.copy_mode is CopyMode.AUTO:
            return (to.endpoint, to.credentials) == (self.source.endpoint, self.source.credentials)
        return to.copy_mode is CopyMode.SERVER
