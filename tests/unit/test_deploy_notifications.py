"""The bucket's notifications: ours goes in and out, all else stays."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.deploy.notifications import (
    Entry,
    same,
    unknown_elements,
    with_entry,
    with_event_bridge,
    without,
)

OURS = Entry("s3fanout-photos", "arn:aws:sns:us-east-1:1:photos-fanout")
NARROW = Entry("s3fanout-photos", "arn:aws:sns:us-east-1:1:photos-fanout", prefix="raw/")


def foreign(
    id_: str, *events: str, prefix: str | None = None, suffix: str | None = None
) -> dict[str, Any]:
    found: dict[str, Any] = {"Id": id_, "QueueArn": "arn:aws:sqs:us-east-1:1:q"}
    found["Events"] = list(events)
    rules = [
        {"Name": name, "Value": value}
        for name, value in (("Prefix", prefix), ("Suffix", suffix))
        if value is not None
    ]
    return {**found, "Filter": {"Key": {"FilterRules": rules}}} if rules else found


REMOVED = foreign("backup", "s3:ObjectRemoved:*")
OTHER_PREFIX = foreign("logs", "s3:ObjectCreated:*", prefix="logs/")
FSX = {
    "Id": "FSx",
    "TopicArn": "arn:aws:sns:us-east-1:9:fsx",
    "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
}
TAGGING = {
    "Id": "scan",
    "LambdaFunctionArn": "arn:aws:lambda:us-east-1:1:function:f",
    "Events": ["s3:ObjectTagging:*"],
}
THREE: dict[str, Any] = {
    "QueueConfigurations": [REMOVED, OTHER_PREFIX],
    "LambdaFunctionConfigurations": [TAGGING],
    "EventBridgeConfiguration": {},
}


def test_ours_is_added_behind_what_is_there_and_taken_out_again() -> None:
    added = with_entry(THREE, NARROW)
    assert added.changed
    assert added.overlaps == ()
    assert {k: v for k, v in added.configuration.items() if k != "TopicConfigurations"} == THREE
    assert without(added.configuration, NARROW.id, event_bridge=False).configuration == THREE


def test_a_second_time_nothing_changes() -> None:
    once = with_entry(THREE, OURS).configuration
    assert not with_entry(once, OURS).changed
    assert not without(THREE, OURS.id, event_bridge=False).changed


def test_our_entry_is_replaced_at_its_place() -> None:
    topics = {"TopicConfigurations": [OURS.document(), {**FSX, "Events": ["s3:ObjectAcl:Put"]}]}
    changed = with_entry(topics, NARROW)
    assert changed.changed
    assert [each["Id"] for each in changed.configuration["TopicConfigurations"]] == [OURS.id, "FSx"]


@pytest.mark.parametrize(
    ("entry", "event"),
    [
        (foreign("x", "s3:ObjectCreated:*"), "s3:ObjectCreated:*"),
        (foreign("x", "s3:ObjectCreated:Put"), "s3:ObjectCreated:Put"),
        (foreign("x", "s3:ObjectRemoved:*", "s3:ObjectCreated:Copy"), "s3:ObjectCreated:Copy"),
        (foreign("x", "s3:ObjectCreated:*", prefix="raw/jpg/"), "s3:ObjectCreated:*"),
        (foreign("x", "s3:ObjectCreated:*", prefix="ra"), "s3:ObjectCreated:*"),
        (foreign("x", "s3:ObjectCreated:*", suffix=".jpg"), "s3:ObjectCreated:*"),
    ],
)
def test_an_entry_that_shares_an_event_and_a_key_overlaps(
    entry: dict[str, Any], event: str
) -> None:
    (found,) = with_entry({"QueueConfigurations": [entry]}, NARROW).overlaps
    assert (found.id, found.target, found.event) == ("x", "arn:aws:sqs:us-east-1:1:q", event)


@pytest.mark.parametrize("entry", [REMOVED, OTHER_PREFIX, foreign("x", "s3:ObjectTagging:Put")])
def test_an_entry_of_other_events_or_other_keys_does_not(entry: dict[str, Any]) -> None:
    assert with_entry({"QueueConfigurations": [entry]}, NARROW).overlaps == ()


def test_fsx_leaves_no_room_but_for_eventbridge() -> None:
    current = {"TopicConfigurations": [FSX]}
    assert [each.id for each in with_entry(current, OURS).overlaps] == ["FSx"]
    merged = with_event_bridge(current)
    assert merged.overlaps == ()
    assert merged.configuration == {**current, "EventBridgeConfiguration": {}}
    assert without(merged.configuration, OURS.id, event_bridge=True).configuration == current


def test_a_flag_that_was_there_stays() -> None:
    assert not with_event_bridge(THREE).changed
    assert "EventBridgeConfiguration" in without(THREE, OURS.id, event_bridge=False).configuration


def test_order_and_case_of_filters_say_nothing() -> None:
    one = {"QueueConfigurations": [foreign("a", "x", "y", prefix="p", suffix="s"), REMOVED]}
    twisted = foreign("a", "y", "x", prefix="p", suffix="s")
    twisted["Filter"]["Key"]["FilterRules"] = [
        {"Name": "suffix", "Value": "s"},
        {"Name": "prefix", "Value": "p"},
    ]
    assert same(one, {"QueueConfigurations": [REMOVED, twisted], "TopicConfigurations": []})
    assert not same(one, {"QueueConfigurations": [REMOVED]})


entries = st.builds(
    foreign,
    st.text("abc", min_size=1, max_size=3),
    st.sampled_from(["s3:ObjectCreated:*", "s3:ObjectCreated:Put", "s3:ObjectRemoved:*"]),
    prefix=st.none() | st.text("ab/", max_size=3),
)
configurations = st.fixed_dictionaries(
    {},
    optional={
        "QueueConfigurations": st.lists(entries, min_size=1, max_size=3),
        "TopicConfigurations": st.lists(entries, min_size=1, max_size=3),
        "EventBridgeConfiguration": st.just({}),
    },
)


@given(current=configurations, flag=st.booleans())
def test_in_and_out_again_is_nothing(current: dict[str, Any], flag: bool) -> None:
    if flag:
        merged = with_event_bridge(current).configuration
        ours = "EventBridgeConfiguration" not in current
    else:
        merged, ours = with_entry(current, OURS).configuration, False
    assert without(merged, OURS.id, event_bridge=ours).configuration == current


SHAPE = (
    boto3.client("s3", region_name="us-east-1")
    .meta.service_model.operation_model("GetBucketNotificationConfiguration")
    .output_shape
)
XML = b"""<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<QueueConfiguration><Id>a</Id><Queue>arn</Queue><Event>s3:ObjectRemoved:*</Event>
<Filter><S3Key><FilterRule><Name>prefix</Name><Value>x</Value></FilterRule></S3Key></Filter>
</QueueConfiguration><EventBridgeConfiguration/></NotificationConfiguration>"""


def test_what_the_sdk_would_drop_is_seen() -> None:
    assert unknown_elements(XML, SHAPE) == []
    newer = XML.replace(b"<EventBridgeConfiguration/>", b"<PipeConfiguration/>")
    newer = newer.replace(b"<Id>a</Id>", b"<Id>a</Id><Priority>1</Priority>")
    assert unknown_elements(newer, SHAPE) == ["PipeConfiguration", "Priority"]
