"""Whatever arrives, ``parse_message`` answers: it never raises, and never says nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.intake import PAYLOAD_BYTES_MAX, parse_message, seaweedfs

EVENTS = Path(__file__).parents[1] / "golden" / "events"
GOLDENS = [
    json.loads(path.read_bytes())
    for path in sorted(EVENTS.glob("*.json"))
    if path.stem != "expected"
]
RECEIVED_AT_MS = 1_800_000_000_000
# fmt: off
WORDS = [
    "Records", "s3", "eventSource", "eventVersion", "eventName", "bucket", "object", "key",
    "name", "sequencer", "Sns", "body", "Type", "Message", "source", "detail-type",
    "detail", "event_type", "message", "old_entry", "new_entry", "attributes", "extended", "chunks",
    "is_directory", "new_parent_path", "aws:s3", "aws:sqs", "ceph:s3", "minio:s3", "aws.s3", "2.1",
    "Notification", "SubscriptionConfirmation", "SubscribeURL", "ObjectCreated:Put",
    "/buckets/b/k", "/buckets/b/.uploads/x",
]
# fmt: on

texts = st.text(max_size=8) | st.sampled_from(WORDS)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)


def check(body: bytes) -> None:
    found = parse_message(body, received_at_ms=RECEIVED_AT_MS)

    assert found.events or found.ignored or found.malformed
    for event in found.events:
        assert 1 <= len(event.key.encode()) <= 1024
        assert event.bucket
        assert event.event_at_ms > 0
        for text in (event.name, event.bucket, event.version_id or "", event.etag or ""):
            assert text.isprintable()
            text.encode()
        assert event.size_bytes is None or 0 <= event.size_bytes < 2**63
    for ignored in found.ignored:
        assert ignored.reason
        ignored.detail.encode()
    for bad in found.malformed:
        assert bad.reason
        bad.detail.encode()
        assert len(bad.payload) <= PAYLOAD_BYTES_MAX


@given(st.binary(max_size=300))
def test_any_bytes(body: bytes) -> None:
    check(body)


@given(json_values)
def test_any_json(value: object) -> None:
    check(json.dumps(value).encode())


@given(st.lists(json_values, min_size=1, max_size=4))
def test_any_records(records: list[object]) -> None:
    check(json.dumps({"Records": records}).encode())


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, index or name) of a document, the deepest last."""
    found = []
    if isinstance(value, dict | list):
        for step in value if isinstance(value, dict) else range(len(value)):
            found += [(value, step), *places(value[step])]
    return found


@given(data=st.data())
def test_any_golden_with_fields_changed_and_lost(data: st.DataObject) -> None:
    document = json.loads(json.dumps(data.draw(st.sampled_from(GOLDENS))))
    for _ in range(data.draw(st.integers(1, 3))):
        candidates = places(document)
        if not candidates:
            break
        container, step = data.draw(st.sampled_from(candidates))
        if data.draw(st.booleans()):
            del container[step]
        else:
            container[step] = data.draw(json_values)
    check(json.dumps(document).encode())


@given(data=st.data())
def test_any_golden_with_bytes_changed(data: st.DataObject) -> None:
    body = bytearray(json.dumps(data.draw(st.sampled_from(GOLDENS))).encode())
    start = data.draw(st.integers(0, len(body) - 1))
    body[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    check(bytes(body))


def deepest_readable() -> int:
    """How many brackets json.loads can just read, called from here."""
    readable, unreadable = 1, 1_000_000
    while unreadable - readable > 1:
        depth = (readable + unreadable) // 2
        try:
            json.loads("[" * depth + "]" * depth)
        except RecursionError:
            unreadable = depth
        else:
            readable = depth
    return readable


def test_any_depth() -> None:
    """What json.loads can just read may be too deep to be compared or to be written again."""
    limit = deepest_readable()
    for depth in range(max(1, limit - 40), limit + 3):
        deep = "[" * depth + "]" * depth
        entry = f'{{"name": "k", "content": {deep}}}'
        change = f'{{"old_entry": {entry}, "new_entry": {entry}}}'
        check(f'{{"event_type": "update", "key": "/buckets/b/k", "message": {change}}}'.encode())
        check(f'{{"Records": [{{"more": {deep}}}, {{"s3": {deep}}}]}}'.encode())
        check(f'{{"source": {deep}, "detail-type": {deep}}}'.encode())


def test_a_document_too_deep_to_be_compared_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.14 measures depth in bytes of stack, which reading and comparing use differently."""

    def too_deep(*_args: object) -> bool:
        raise RecursionError

    monkeypatch.setattr(seaweedfs, "_same_bytes", too_deep)
    change = {"old_entry": {"name": "k"}, "new_entry": {"name": "k"}}
    body = {"event_type": "update", "key": "/buckets/b/k", "message": change}

    found = parse_message(json.dumps(body).encode(), received_at_ms=RECEIVED_AT_MS)

    assert [bad.detail for bad in found.malformed] == ["nested too deeply"]
