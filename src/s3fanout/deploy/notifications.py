"""The source bucket's notifications: our part is put in and taken out, all else stays as it is.

S3 has one document per bucket, and a write replaces all of it (Amazon S3 API reference,
"PutBucketNotificationConfiguration", read November 2026). So it is read, merged and written, and
read again, for there is no conditional write. Ours is one entry with an ``Id`` of our own, or the
EventBridge flag.

| the bucket has | we want | decision |
|---|---|---|
| our entry as we want it | an entry | unchanged |
| our entry, other | an entry | replaced at its place |
| entries that share no event and key with ours | an entry | ours is added behind them |
| an entry that shares an event and a key with ours | an entry | refused: S3 would refuse it too |
| no EventBridge flag | EventBridge | the flag is added |
| something that this program does not know | anything | refused: a write would drop it |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree import ElementTree as ET

from s3fanout.config.keyspace import wanted_keys
from s3fanout.deploy.blueprint import Blueprint

Configuration = Mapping[str, Any]
"""As ``GetBucketNotificationConfiguration`` answers, without the metadata of the answer."""

EVENT_BRIDGE: Final = "EventBridgeConfiguration"
TOPICS: Final = "TopicConfigurations"
_TARGETS: Final = {
    "TopicConfigurations": "TopicArn",
    "QueueConfigurations": "QueueArn",
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
}
CREATED: Final = "s3:ObjectCreated:*"
_SAFE_IN_FILTERS: Final = re.compile(r"[A-Za-z0-9/_.-]*")
"""Other characters must be encoded in a filter; a filter that ends before them is only wider."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Our entry.

    Attributes:
        id: Tells it from the entries of others.
        topic_arn: Where events go.
        events: Kinds of events.
        prefix: What all keys begin with that any destination wants.
    """

    id: str
    topic_arn: str
    events: tuple[str, ...] = (CREATED,)
    prefix: str = ""

    def document(self) -> dict[str, Any]:
        """As the bucket's configuration has it."""
        found: dict[str, Any] = {
            "Id": self.id,
            "TopicArn": self.topic_arn,
            "Events": list(self.events),
        }
        if self.prefix:
            found["Filter"] = {"Key": {"FilterRules": [{"Name": "Prefix", "Value": self.prefix}]}}
        return found


@dataclass(frozen=True, slots=True)
class Overlap:
    """An entry of somebody else that S3 would not let ours stand beside.

    Attributes:
        id: Of the entry.
        target: What it sends to.
        event: A kind of event that both have.
    """

    id: str
    target: str
    event: str


@dataclass(frozen=True, slots=True)
class Merge:
    """What a bucket's notifications become.

    Attributes:
        configuration: The whole document.
        changed: Whether it must be written at all.
        overlaps: Why it must not be.
    """

    configuration: dict[str, Any]
    changed: bool
    overlaps: tuple[Overlap, ...] = field(default=())


def entry_of(plan: Blueprint, topic_arn: str) -> Entry:
    """The entry that a deployment by topic needs."""
    return Entry(plan.names.notification, topic_arn, prefix=common_prefix(plan))


def common_prefix(plan: Blueprint) -> str:
    """What every key begins with that any destination wants, up to where filters are simple."""
    prefixes = [
        edges.prefix for branch in plan.branches() for edges in wanted_keys(branch.rule).within
    ]
    if not prefixes:
        return ""
    low, high = min(prefixes), max(prefixes)
    length = next(
        (at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low)
    )
    safe = _SAFE_IN_FILTERS.match(low[:length])
    return safe[0] if safe else ""


def with_entry(current: Configuration, entry: Entry) -> Merge:
    """``current`` with our entry in it."""
    ours = entry.document()
    topics = list(current.get(TOPICS, ()))
    at = next((at for at, each in enumerate(topics) if each.get("Id") == entry.id), None)
    if at is None:
        topics.append(ours)
    else:
        topics[at] = ours
    merged = {**current, TOPICS: topics}
    return Merge(merged, not same(merged, current), tuple(_overlaps(current, entry)))


def with_event_bridge(current: Configuration) -> Merge:
    """``current`` with the EventBridge flag."""
    return Merge({**current, EVENT_BRIDGE: {}}, EVENT_BRIDGE not in current)


def without(current: Configuration, entry_id: str, *, event_bridge: bool) -> Merge:
    """``current`` without our part.

    Args:
        current: As read.
        entry_id: Of our entry; nothing happens where there is none.
        event_bridge: Whether the flag is ours.
    """
    rest = {**current}
    topics = [each for each in current.get(TOPICS, ()) if each.get("Id") != entry_id]
    rest.pop(TOPICS, None)
    if topics:
        rest[TOPICS] = topics
    if event_bridge:
        rest.pop(EVENT_BRIDGE, None)
    return Merge(rest, not same(rest, current))


def same(one: Configuration, other: Configuration) -> bool:
    """Whether both say the same; the order of entries, events and filter rules says nothing."""
    return _normal(one) == _normal(other)


def unknown_elements(xml: bytes, shape: Any) -> list[str]:
    """Elements of an answer of S3 that the SDK has no name for, and so would drop on a write.

    Args:
        xml: The body of the answer.
        shape: botocore's shape of it.
    """
    return sorted(set(_unknown(ET.fromstring(xml), shape)))  # noqa: S314 - from S3 itself


def _unknown(element: ET.Element, shape: Any) -> Iterator[str]:
    while shape.type_name == "list":
        shape = shape.member
    if shape.type_name != "structure":
        return
    known = {each.serialization.get("name", name): each for name, each in shape.members.items()}
    for child in element:
        name = child.tag.rpartition("}")[2]
        if name in known:
            yield from _unknown(child, known[name])
        else:
            yield name


def _overlaps(current: Configuration, entry: Entry) -> Iterator[Overlap]:
    for kind, target in _TARGETS.items():
        for each in current.get(kind, ()):
            if each.get("Id") == entry.id:
                continue
            prefix, _ = _filter(each)
            event = _shared_event(each.get("Events", ()), entry.events)
            if event and _nested(prefix, entry.prefix):
                yield Overlap(str(each.get("Id", "")), str(each.get(target, "")), event)


def _shared_event(some: Any, others: Any) -> str:
    for one in some:
        for other in others:
            low, high = sorted((str(one), str(other)), key=len)
            if low == high or (low.endswith("*") and high.startswith(low[:-1])):
                return high
    return ""


def _nested(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _filter(entry: Configuration) -> tuple[str, str]:
    rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", ())
    found = {str(rule.get("Name", "")).lower(): str(rule.get("Value", "")) for rule in rules}
    return found.get("prefix", ""), found.get("suffix", "")


def _normal(configuration: Configuration) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, value in configuration.items():
        if kind in _TARGETS:
            entries = [
                (each.get("Id"), each.get(_TARGETS[kind]), sorted(each["Events"]), _filter(each))
                for each in value
            ]
            if entries:
                found[kind] = sorted(entries, key=repr)
        else:
            found[kind] = value
    return found
