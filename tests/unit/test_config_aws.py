"""The [aws] section and the relations that it asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3fanout.config.load import parse
from s3fanout.config.problems import ConfigProblems, Problem

LEAST = """\
schema = 1
source.bucket = "photos"
destinations.paris.bucket = "photos-paris"
aws.topology = "durable"
"""


def found(more: str, head: str = LEAST) -> list[Problem]:
    try:
        return list(parse(head + more, path=Path("c.toml"), env={}).warnings)
    except ConfigProblems as error:
        return list(error.problems)


def test_a_section_is_enough_instead_of_an_intake() -> None:
    assert found("") == []


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ('source.endpoint = "https://s3.example.com"', "source.endpoint"),
        ('destinations.paris.endpoint = "https://x.example.com"', "destinations.paris.endpoint"),
        ('destinations.paris.credentials.profile = "x"', "destinations.paris.credentials"),
        ('destinations.paris.deletes = "replicate"', "destinations.paris.deletes"),
        ("limits.attempts_max = 4", "limits.attempts_max"),
        ('limits.request_timeout = "3m"', "limits.request_timeout"),
        ('aws.timeout = "3500ms"', "aws.timeout"),
        ('aws.memory = "128MB"', "aws.memory"),
        ('aws.log_retention = "2d"', "aws.log_retention"),
        ('aws.alarm_email = "nobody"', "aws.alarm_email"),
        ('aws.kms_key = "alias/x"', "aws.kms_key"),
        ('aws.kms_key = "arn:aws:kms:eu-west-1:123456789012:key/1"', "aws.kms_key"),
        ('source.kms_key = "arn:aws:kms:eu-west-1:123456789012:key/1"', "source.kms_key"),
        ('destinations.paris.account = "12"', "destinations.paris.account"),
        ('aws.stack = "1st"', "aws.stack"),
        ("aws.concurrency = 1", "aws.concurrency"),
    ],
)
def test_one_thing_is_wrong(more: str, path: str) -> None:
    (problem,) = found(more + "\n")
    assert path in {problem.path, *problem.related}


def test_classic_takes_no_eventbridge_and_has_no_alarms() -> None:
    classic = LEAST.replace("durable", "classic")
    (problem,) = found('aws.event_route = "eventbridge"\n', classic)
    assert "has none" in problem.message
    (warning,) = found('aws.alarm_email = "a@b.example"\n', classic)
    assert "no effect" in warning.message
    assert found("limits.attempts_max = 1\n", classic) == []


def test_all_problems_are_told_at_once() -> None:
    text = 'source.endpoint = "https://s3.example.com"\nlimits.attempts_max = 1\n'
    text += 'aws.kms_key = "arn:aws:kms:eu-west-1:123456789012:key/1"\n'
    assert len(found(text)) == 3
