"""The ``[aws]`` section: how the serverless deployment is built. It is on if it is there."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from s3fanout.config.credentials import Section
from s3fanout.config.units import format_duration
from s3fanout.config.values import BucketName, Bytes, Count, Endpoint, Seconds
from s3fanout.model.topology import Architecture, EventRoute, PythonVersion, Topology

MIB: Final = 2**20
DAY_S: Final = 86_400

NEW_KEY: Final = "new"
"""The word for "a key of our own": the deployment makes it, with the grants that are needed."""

# CloudWatch Logs API reference, PutRetentionPolicy, read November 2026.
RETENTION_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


def _key_arn(value: str) -> str:
    # AWS KMS developer guide, "Key identifiers": policies need the ARN of the key, not an alias.
    if re.fullmatch(r"arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+", value) is None:
        raise ValueError(
            'must be the ARN of a key: "arn:aws:kms:<region>:<12 digits>:key/<id>", not an alias'
        )
    return value


def _own_key(value: str) -> str:
    return value if value == NEW_KEY else _key_arn(value)


def _account(value: str) -> str:
    if re.fullmatch(r"[0-9]{12}", value) is None:
        raise ValueError("must be the 12 digits of an AWS account, as text")
    return value


def _stack(value: str) -> str:
    # CloudFormation API reference, CreateStack: StackName; 64 because other names begin with it.
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", value) is None:
        raise ValueError("must be 1 to 64 of A-Z a-z 0-9 -, the first a letter")
    return value


def _email(value: str) -> str:
    if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value) is None:
        raise ValueError("must be an e-mail address")
    return value


def _retention(value: float) -> float:
    if value not in {days * DAY_S for days in RETENTION_DAYS}:
        allowed = ", ".join(format_duration(days * DAY_S) for days in RETENTION_DAYS)
        raise ValueError(f"CloudWatch Logs keeps logs for one of: {allowed}")
    return value


def _whole_seconds(value: float) -> float:
    if value != int(value):
        raise ValueError("must be whole seconds")
    return value


def _whole_mib(value: int) -> int:
    if value % MIB:
        raise ValueError("must be whole MiB")
    return value


KeyArn = Annotated[str, AfterValidator(_key_arn)]
AccountId = Annotated[str, AfterValidator(_account)]


class Aws(Section):
    """The serverless deployment. Present is on."""

    topology: Topology = Field(
        default=Topology.DURABLE,
        description="How events reach the functions: with queues, dead-letter queues, ledger and "
        "alarms (durable), or straight from the topic (classic).",
    )
    event_route: EventRoute = Field(
        default=EventRoute.SNS,
        description="What the bucket sends its events to; eventbridge never collides with other "
        "notifications of the bucket, and needs topology durable.",
    )
    stack: Annotated[str, AfterValidator(_stack)] | None = Field(
        default=None,
        description="Name of the CloudFormation stack; without it s3fanout- and the source bucket.",
        examples=['"s3fanout-photos"'],
    )
    architecture: Architecture = Field(
        default=Architecture.ARM64, description="What the functions run on."
    )
    python: PythonVersion = Field(
        default=PythonVersion.V3_13, description="Version of the functions' Python."
    )
    memory_bytes: Annotated[Bytes, AfterValidator(_whole_mib)] = Field(
        default=512 * MIB,
        alias="memory",
        description="Memory of a function; its share of a processor grows with it.",
        ge=128 * MIB,
        le=10_240 * MIB,
    )
    timeout_s: Annotated[Seconds, AfterValidator(_whole_seconds)] = Field(
        default=120.0,
        alias="timeout",
        ge=3,
        le=900,
        description="Longest run of a function; what is not done then is continued by another run.",
    )
    concurrency: Count = Field(
        default=10,
        ge=2,
        le=1000,
        description="Runs of a function at the same time, per destination (durable).",
    )
    batch: Count = Field(
        default=10, ge=1, le=10_000, description="Most events that one run is given (durable)."
    )
    log_retention_s: Annotated[Seconds, AfterValidator(_retention)] = Field(
        default=30.0 * DAY_S, alias="log_retention", description="How long the logs are kept."
    )
    alarm_email: Annotated[str, AfterValidator(_email)] | None = Field(
        default=None,
        description="Who is told of alarms; the address must confirm once.",
        examples=['"storage-team@example.com"'],
    )
    kms_key: Annotated[str, AfterValidator(_own_key)] | None = Field(
        default=None,
        description='Key that encrypts topics, queues and ledger: an ARN, or "new" for a key of '
        "the deployment; without it queues and ledger are encrypted by AWS's own keys.",
        examples=['"new"'],
    )
    code_bucket: BucketName | None = Field(
        default=None,
        description="Bucket in the source's Region that the functions' code is uploaded to; "
        "without it deploy makes one, and destroy removes it.",
        examples=['"my-artifacts"'],
    )
    endpoint: Endpoint = Field(
        default=None,
        description='URL of an emulator of AWS without a path, or "aws".',
        examples=['"http://127.0.0.1:4566"'],
    )
