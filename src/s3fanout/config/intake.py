"""Settings of how changes become known: webhook, queue, and comparing again and again."""

from __future__ import annotations

from pydantic import Field

from s3fanout.config.credentials import Credentials, SecretReference, Section
from s3fanout.config.values import (
    Bytes,
    Count,
    Endpoint,
    OptionalSeconds,
    QueueUrl,
    Route,
    Seconds,
    Text,
)
from s3fanout.model.limits import MIB

KIB = 1024


class Webhook(Section):
    """Stores and gateways POST their events here. Present is on."""

    path: Route = Field(default="/events", description="Path that events are posted to.")
    token: SecretReference = Field(
        description="Where the bearer token is found that senders must show; never the token.",
        examples=['{ env = "S3FANOUT_TOKEN" }'],
    )
    body_max_bytes: Bytes = Field(
        default=MIB,
        alias="body_max",
        ge=KIB,
        le=64 * MIB,
        description="Larger requests are refused with 413.",
    )


class SqsIntake(Section):
    """Events are fetched from an SQS queue. Present is on."""

    queue_url: QueueUrl = Field(
        description="URL of the queue that the bucket's events arrive in.",
        examples=['"https://sqs.us-east-1.amazonaws.com/123456789012/photos-events"'],
    )
    endpoint: Endpoint = Field(
        default=None,
        description='URL of an emulator without a path, or "aws".',
        examples=['"http://127.0.0.1:9324"'],
    )
    region: Text = Field(default="us-east-1", description="Region; without it the source's.")
    credentials: Credentials = Field(
        default_factory=Credentials,
        description="Where the credentials are found; without it the source's.",
        examples=['{ profile = "prod" }'],
    )
    pollers: Count = Field(
        default=2, ge=1, le=64, description="Receive requests waiting at a time."
    )
    wait_s: Seconds = Field(
        default=20.0, alias="wait", ge=0, le=20, description="How long one receive request waits."
    )
    visibility_s: Seconds = Field(
        default=120.0,
        alias="visibility",
        ge=30,
        le=43_200,
        description="How long a received message stays hidden from other receivers.",
    )


class Sweep(Section):
    """Source and destinations are compared again and again. Present is on."""

    interval_s: Seconds = Field(
        default=3600.0,
        alias="interval",
        ge=1,
        le=2_592_000,
        description="Rest between the end of a pass and the next.",
    )
    grace_s: Seconds = Field(
        default=60.0,
        alias="grace",
        ge=0,
        le=86_400,
        description="Younger objects are left to their events; 0s where no events are sent.",
    )
    recent_s: OptionalSeconds = Field(
        default=None,
        alias="recent",
        ge=1,
        le=86_400,
        description="Between passes: list the source so often, and compare what was modified "
        "within a day with the ledger.",
        examples=['"5m"'],
    )
    replicas: bool = Field(
        default=True,
        description="On AWS: list the destinations too, so that what somebody else did to replicas "
        "is seen; without it the ledger is believed (a daemon always lists them).",
    )
    rate: Count | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Most keys listed in a second; without it as fast as the stores answer.",
        examples=["2000"],
    )


class Intake(Section):
    """How changes become known; at least one way."""

    webhook: Webhook | None = Field(
        default=None, description="Events that are posted to the server."
    )
    sqs: SqsIntake | None = Field(
        default=None, description="Events that are fetched from an SQS queue."
    )
    sweep: Sweep | None = Field(
        default=None,
        description="What events missed is found by comparing; for a store without events the "
        "only way.",
    )
