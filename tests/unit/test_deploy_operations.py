"""What doctor, status and redrive conclude from what AWS says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from s3fanout.deploy.dead_letters import is_selected, keys_of
from s3fanout.deploy.doctor import aborts_uploads, concurrency_finding
from s3fanout.deploy.role import denials, reading, writing
from s3fanout.deploy.status import merged
from s3fanout.deploy.triggers import Trigger, TriggerState
from s3fanout.deploy.vitals import DestinationVitals, QueueVitals
from s3fanout.intake.job_message import job_message
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import DestinationSummary, NewJob
from s3fanout.model.keeping import Keeping
from s3fanout.ports.ledger import FailureSelection
from s3fanout.service.check import Grade
from s3fanout.service.status import health

ROLE = "arn:aws:iam::123456789012:role/photos-fanout-paris-role"
OBJECT = "arn:aws:s3:::photos-paris/a"
VITALS = DestinationVitals(
    destination="paris",
    queue=QueueVitals("url", 0, 0),
    dead_letters=QueueVitals("url", 0, 0),
    oldest_s=None,
    trigger=Trigger(TriggerState.ON),
    runs=0,
    failed_runs=0,
    run_ms=None,
    events=None,
    alarms=(),
)


def denying(**changes: Any) -> dict[str, Any]:
    statement = {
        "Sid": "Freeze",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:Put*",
        "Resource": "arn:aws:s3:::photos-paris/*",
    }
    return {"Statement": [statement | changes]}


@pytest.mark.parametrize(
    "document",
    [
        denying(),
        denying(Principal={"AWS": [ROLE, "arn:aws:iam::1:root"]}),
        denying(Action=["s3:putobject"]),
        denying(Action="*", Resource="*"),
        {"Statement": denying()["Statement"][0]},
    ],
)
def test_a_denial_is_found(document: Any) -> None:
    assert list(denials(document, ROLE, ("s3:PutObject",), OBJECT)) == [("s3:PutObject", "Freeze")]


@pytest.mark.parametrize(
    "document",
    [
        denying(Effect="Allow"),
        denying(Principal={"AWS": "arn:aws:iam::1:root"}),
        denying(Action="s3:DeleteObject"),
        denying(Resource="arn:aws:s3:::photos-paris/b*"),
        denying(Condition={"Bool": {"aws:SecureTransport": "false"}}),
    ],
)
def test_what_denies_nothing_of_ours_is_left_alone(document: Any) -> None:
    assert list(denials(document, ROLE, ("s3:PutObject",), OBJECT)) == []


def test_what_settings_ask_for_needs_more_permissions() -> None:
    plain = (reading(Keeping()), writing(Keeping()))
    assert plain == (
        ("s3:GetObject", "s3:GetObjectTagging"),
        ("s3:PutObject", "s3:PutObjectTagging"),
    )
    keeping = Keeping(annotations=True, acl="keep")
    more = [{*of(keeping)} - {*of(Keeping())} for of in (reading, writing)]
    assert more == [
        {"s3:GetObjectAnnotation", "s3:ListObjectAnnotations", "s3:GetObjectAcl"},
        {"s3:PutObjectAnnotation", "s3:ListObjectAnnotations", "s3:PutObjectAcl"},
    ]
    assert "s3:PutObjectAcl" in writing(Keeping(acl="bucket-owner-full-control"))


@pytest.mark.parametrize(
    ("runs", "grade"),
    [(0, Grade.OK), (36_000, Grade.OK), (216_000, Grade.WARNING), (360_000, Grade.FAILED)],
)
def test_the_events_of_an_hour_against_the_accounts_concurrency(runs: int, grade: Grade) -> None:
    busy = replace(VITALS, runs=runs, run_ms=1000.0)
    assert concurrency_finding([busy], limit=100, unreserved=100).grade is grade


def test_messages_that_no_attempt_recorded_are_backlog_and_dead_letters() -> None:
    found = merged(
        DestinationSummary("paris", waiting=1, oldest_event_at_ms=500),
        replace(
            VITALS,
            queue=QueueVitals("url", 3, 1),
            dead_letters=QueueVitals("url", 2, 0),
            oldest_s=60.0,
        ),
        100_000,
    )
    assert (found.ready, found.waiting, found.dead) == (3, 1, 2)
    assert found.oldest_event_at_ms == 500


def test_the_queues_age_is_lag_where_the_ledger_knows_nothing_yet() -> None:
    vitals = replace(VITALS, queue=QueueVitals("url", 1, 0), oldest_s=60.0)
    assert merged(DestinationSummary("paris"), vitals, 100_000).oldest_event_at_ms == 40_000


def test_a_trigger_that_somebody_turned_off_is_a_pause() -> None:
    vitals = replace(VITALS, trigger=Trigger(TriggerState.OFF))
    assert health(merged(DestinationSummary("paris"), vitals, 1), None) == "paused"


@pytest.mark.parametrize(
    ("selection", "meant"),
    [
        (FailureSelection(), True),
        (FailureSelection(key_prefix="a"), True),
        (FailureSelection(key_prefix="b"), False),
        (FailureSelection(code="refused"), False),
        (FailureSelection(since_at_ms=1000, until_at_ms=1000), True),
        (FailureSelection(since_at_ms=1001), False),
        (FailureSelection(until_at_ms=999), False),
    ],
)
def test_which_letters_without_a_record_are_meant(
    selection: FailureSelection, *, meant: bool
) -> None:
    assert is_selected(selection, {"a/1"}, 1000) is meant


def test_the_keys_of_a_dead_letter() -> None:
    job = NewJob("paris", "line\nfeed", ChangeKind.CREATED, 1)
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-11-24T10:00:00.000Z",
        "s3": {"bucket": {"name": "photos"}, "object": {"key": "a+b%2Bc", "size": 1}},
    }
    assert keys_of(job_message(job)) == {"line\nfeed"}
    assert keys_of(json.dumps({"Records": [record]})) == {"a b+c"}
    assert keys_of("garbage") == set()
    assert keys_of('{"s3fanout":99}') == set()


ABORTS = {
    "Status": "Enabled",
    "Filter": {},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (ABORTS, True),
        (ABORTS | {"Filter": {"Prefix": ""}}, True),
        ({key: ABORTS[key] for key in ABORTS if key != "Filter"} | {"Prefix": ""}, True),
        (ABORTS | {"Status": "Disabled"}, False),
        (ABORTS | {"Filter": {"Prefix": "logs/"}}, False),
        ({"Status": "Enabled", "Filter": {}, "Expiration": {"Days": 7}}, False),
    ],
)
def test_which_lifecycle_rules_abort_uploads_of_any_key(
    rule: dict[str, Any], expected: bool
) -> None:
    assert aborts_uploads(rule) is expected
