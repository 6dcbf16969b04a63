"""Relations that an ``[aws]`` section asks for.

| relation | if not |
|---|---|
| source and destinations are on AWS | error: the functions reach only AWS |
| destinations have the source's credentials | error: a function works as its own role |
| ``deletes = "ignore"`` | error: the functions do not delete yet |
| ``versions = "latest"`` | error: the functions know no history |
| ``event_route = "eventbridge"`` only with topology durable | error |
| ``limits.attempts_max`` ≥ 5 with topology durable | error: throttled runs would be dead letters |
| ``kms_key`` of a bucket is in the bucket's Region | error: S3 takes no other |
| ``kms_key`` of the deployment is in the source's Region | error |
| no ``customer_key`` | error: the functions have none |
| ``limits.request_timeout`` ≤ ``aws.timeout`` | error: a function would end before its request |
| a ``key`` template loses nothing of the key | error: claims of replica keys need the daemon |
| ``[intake.sweep]`` only with topology durable | error: classic has no ledger to compare with |
| no ``intake.sweep.recent`` or ``rate`` | warning: the schedule sets the pace |
| ``alarm_email`` only with topology durable | warning: classic has no alarms |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from s3fanout.config.aws import Aws
from s3fanout.config.locate import dotted
from s3fanout.config.problems import Problem, Severity
from s3fanout.config.rules import rule_of
from s3fanout.config.settings import Settings, Store
from s3fanout.config.units import format_duration
from s3fanout.decide.match import may_collide
from s3fanout.model.rules import Deletes, Versions
from s3fanout.model.topology import EventRoute, Topology

RECEIVES_MIN: Final = 5
"""AWS Lambda developer guide, "Creating and configuring an Amazon SQS event source mapping", read
November 2026: a lower maxReceiveCount makes dead letters of messages that were only throttled."""


def check_aws(settings: Settings, aws: Aws) -> Iterator[Problem]:
    """All of these relations that do not hold."""
    yield from _route(settings, aws)
    yield from _endpoint(settings.source, "source")
    yield from _key(settings.source, "source")
    yield from _customer_key(settings.source, "source")
    for name, each in settings.destinations.items():
        path = dotted(("destinations", name))
        if each.endpoint != settings.source.endpoint:
            yield from _endpoint(each, path)
        yield from _key(each, path)
        yield from _customer_key(each, path)
        if may_collide(rule_of(name, each).key_map):
            yield Problem(
                f"{path}.key",
                "may give two objects one key, and only the daemon can refuse that in time",
                "use {path} and {name}, or {key}",
                related=("aws",),
            )
        if each.deletes is not Deletes.IGNORE:
            yield Problem(
                f"{path}.deletes",
                "the functions on AWS do not replicate deletes yet",
                'use "ignore", or a daemon (s3fanout run)',
                related=("aws",),
            )
        if each.versions is not Versions.LATEST:
            yield Problem(
                f"{path}.versions",
                "the functions on AWS replicate only the latest version",
                'use "latest", or a daemon (s3fanout run)',
                related=("aws",),
            )
        if each.credentials != settings.source.credentials:
            yield Problem(
                f"{path}.credentials",
                "have no effect on AWS: the destination's function works as a role of its own",
                "remove them; for a bucket of another account set account",
                related=("aws",),
            )
    if aws.kms_key is not None and _is_elsewhere(aws.kms_key, settings.source.region):
        yield Problem(
            "aws.kms_key",
            f"the key is not in the source's Region, {settings.source.region}",
            'use a key of that Region, or "new"',
            related=("source.region",),
        )
    yield from _sweep(settings)
    if settings.limits.request_timeout_s > aws.timeout_s:
        yield Problem(
            "aws.timeout",
            f"{format_duration(aws.timeout_s)} is less than "
            f"limits.request_timeout = {format_duration(settings.limits.request_timeout_s)}",
            related=("limits.request_timeout",),
        )


def _sweep(settings: Settings) -> Iterator[Problem]:
    sweep = settings.intake.sweep
    if sweep is None:
        return
    for name, value in (("recent", sweep.recent_s), ("rate", sweep.rate)):
        if value is not None:
            yield Problem(
                f"intake.sweep.{name}",
                "has no effect on AWS: a schedule sweeps, a piece every five minutes",
                severity=Severity.WARNING,
                related=("aws",),
            )


def _route(settings: Settings, aws: Aws) -> Iterator[Problem]:
    if aws.topology is Topology.DURABLE:
        if settings.limits.attempts_max < RECEIVES_MIN:
            yield Problem(
                "limits.attempts_max",
                f"{settings.limits.attempts_max} is too few on AWS, where a delivery that was only "
                "throttled counts too",
                f"use {RECEIVES_MIN} or more",
                related=("aws.topology",),
            )
        return
    if aws.event_route is EventRoute.EVENTBRIDGE:
        yield Problem(
            "aws.event_route",
            "eventbridge needs queues, and topology classic has none",
            'use topology "durable"',
            related=("aws.topology",),
        )
    if settings.intake.sweep is not None:
        yield Problem(
            "intake.sweep",
            "has no effect, topology classic has no ledger to compare with",
            'use topology "durable"',
            related=("aws.topology",),
        )
    if aws.alarm_email is not None:
        yield Problem(
            "aws.alarm_email",
            "has no effect, topology classic has no alarms",
            severity=Severity.WARNING,
            related=("aws.topology",),
        )


def _endpoint(store: Store, path: str) -> Iterator[Problem]:
    if store.endpoint is not None:
        yield Problem(
            f"{path}.endpoint",
            "a deployment on AWS copies between buckets on AWS",
            "remove [aws] and use a daemon (s3fanout run); an emulator is aws.endpoint",
            related=("aws",),
        )


def _key(store: Store, path: str) -> Iterator[Problem]:
    if store.kms_key is not None and _is_elsewhere(store.kms_key, store.region):
        yield Problem(
            f"{path}.kms_key",
            f"the key is not in the bucket's Region, {store.region}",
            "S3 encrypts with keys of the bucket's Region only",
            related=(f"{path}.region",),
        )


def _is_elsewhere(key: str, region: str) -> bool:
    """Whether a key's ARN names another Region; ``new`` names none."""
    return key.startswith("arn:") and key.split(":")[3] != region


def _customer_key(store: Store, path: str) -> Iterator[Problem]:
    if store.customer_key is not None:
        yield Problem(
            f"{path}.customer_key",
            "the functions on AWS hold no customer's key",
            "use SSE-KMS with kms_key, or a daemon (s3fanout run)",
            related=("aws",),
        )
