"""The settings of a function survive their way through its environment."""

from __future__ import annotations

import pytest

from s3fanout.awslambda.environment import FunctionSettings, from_environment
from s3fanout.model.errors import Misconfigured
from s3fanout.model.limits import Limits
from s3fanout.model.rules import KeyFilter, KeyMap, Rule
from s3fanout.model.topology import Topology

REGION = {"AWS_REGION": "eu-west-1"}


def test_a_function_without_settings_copies_into_the_bucket_of_its_name() -> None:
    assert from_environment(REGION, "replica-1") == FunctionSettings(
        topology=Topology.CLASSIC,
        source_bucket=None,
        source_region="eu-west-1",
        bucket="replica-1",
        region="eu-west-1",
        rule=Rule("replica-1"),
    )


EVERYTHING = FunctionSettings(
    topology=Topology.DURABLE,
    source_bucket="photos",
    source_region="eu-west-1",
    bucket="photos-2",
    region="us-east-2",
    rule=Rule(
        "ohio",
        KeyFilter(include_prefixes=("a/", "ü"), exclude_globs=("**/*.tmp",), size_bytes_max=5),
        KeyMap("a/", "b/"),
    ),
    loop_guard=True,
    table="t",
    queue_url="https://sqs/1/q",
    dead_letter_url="https://sqs/1/d",
    concurrency=4,
    limits=Limits(attempts_max=3, retry_cap_s=900.0),
)


@pytest.mark.parametrize(
    "settings",
    [EVERYTHING, from_environment(REGION, "replica-1")],
    ids=["everything", "nothing"],
)
def test_settings_survive_the_environment(settings: FunctionSettings) -> None:
    assert from_environment(REGION | settings.to_environment(), "any-name") == settings


def test_deletes_are_refused_and_not_ignored() -> None:
    with pytest.raises(Misconfigured, match="functions replicate no deletes destination=f"):
        from_environment({"S3FANOUT_RULE": '{"deletes": "replicate"}'}, "f")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("S3FANOUT_TOPOLOGY", "round"),
        ("S3FANOUT_RULE", "{"),
        ("S3FANOUT_RULE", "[]"),
        ("S3FANOUT_RULE", '{"filter": {"prefix": "a"}}'),
        ("S3FANOUT_RULE", '{"prefixes": ["a"]}'),
        ("S3FANOUT_RULE", '{"deletes": "all"}'),
        ("S3FANOUT_LIMITS", '{"attempts": 1}'),
        ("S3FANOUT_LOOP_GUARD", "on"),
        ("S3FANOUT_CONCURRENCY", "0"),
        ("S3FANOUT_CONCURRENCY", "many"),
    ],
)
def test_what_cannot_be_understood_is_named(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        from_environment({name: value}, "f")
