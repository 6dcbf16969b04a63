"""What the resources of a deployment are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3fanout.config.load import parse
from s3fanout.deploy.names import Names, code_bucket, fitted, names_of
from s3fanout.model.errors import Misconfigured


def named(text: str) -> Names:
    return names_of(parse(f"schema = 1\n{text}", path=Path("c.toml"), env={}).settings)


CLASSIC = """
source.bucket = "photos"
aws.topology = "classic"
destinations.paris.bucket = "photos-paris"
"""
DURABLE = CLASSIC.replace("classic", "durable")


def test_classic_names_are_those_of_the_walkthrough() -> None:
    names = named(CLASSIC)
    assert names.topic == "photos-fanout"
    assert names.destinations["paris"].function == "photos-paris"
    assert names.destinations["paris"].log_group == "/aws/lambda/photos-paris"
    assert (names.table, names.alerts, names.destinations["paris"].queue) == (None, None, None)
    assert names.derived == ()


@pytest.mark.parametrize("bucket", ["photos.paris", "p" * 65])
def test_a_name_that_lambda_refuses_falls_back_and_is_told(bucket: str) -> None:
    names = named(CLASSIC.replace("photos-paris", bucket))
    function = names.destinations["paris"].function
    assert function != bucket
    assert len(function) <= 64
    assert "." not in function
    assert f"Lambda takes no {bucket}" in names.derived[0]


def test_durable_names_begin_with_the_topics() -> None:
    paris = named(DURABLE).destinations["paris"]
    assert paris.function == paris.queue == "photos-fanout-paris"
    assert paris.dead_letters == "photos-fanout-paris-dead-letters"
    assert named(DURABLE).table == "photos-fanout"


def test_eventbridge_has_rules_and_no_topic() -> None:
    names = named(DURABLE + 'aws.event_route = "eventbridge"\n')
    assert names.topic is None
    assert names.destinations["paris"].rule == "photos-fanout-paris"


def test_destinations_whose_names_look_alike_share_nothing() -> None:
    text = DURABLE.replace("paris", '"a.b"', 1) + 'destinations.a-b.bucket = "x-x"\n'
    one, other = named(text).destinations.values()
    for what in ("logical", "function", "role", "queue", "dead_letters"):
        assert getattr(one, what) != getattr(other, what)


def test_logical_ids_are_alphanumeric_and_only_enabled_destinations_have_names() -> None:
    names = named(DURABLE + 'destinations."x_-.y" = { bucket = "xy-xy", enabled = false }\n')
    assert [each.logical.isalnum() for each in names.destinations.values()] == [True]


def test_without_a_section_there_is_nothing_to_name() -> None:
    with pytest.raises(Misconfigured) as caught:
        named(
            CLASSIC.replace("aws.topology", "intake.sqs.queue_url").replace(
                '"classic"', '"https://sqs.us-east-1.amazonaws.com/1/q"'
            )
        )
    assert "init --aws" in caught.value.hint


def test_the_code_bucket_is_another_one_in_each_account_region_and_stack() -> None:
    names = named(DURABLE)
    other = named(DURABLE + 'aws.stack = "other"\n')
    buckets = {
        code_bucket(names, "1", "us-east-1"),
        code_bucket(names, "2", "us-east-1"),
        code_bucket(names, "1", "eu-west-1"),
        code_bucket(other, "1", "us-east-1"),
    }
    assert len(buckets) == 4
    assert all(3 <= len(bucket) <= 63 for bucket in buckets)


def test_a_name_that_fits_stays() -> None:
    assert fitted("a-b_c", 5, "_-") == "a-b_c"
    assert fitted("a-b_c", 20, "-").startswith("a-b-c-")
    assert len(fitted("a" * 100, 30, "")) == 30
