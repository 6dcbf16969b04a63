"""Every recorded or documented payload says exactly what ``expected.json`` says it does.

``expected.json`` is written for reading: instants as text (``received`` is the time of arrival),
fields that are ``None`` left out, and a malformed payload as the path of what is kept of the
document (``[]`` is the message as it arrived).
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from s3fanout.intake import parse_message
from s3fanout.model.events import ChangeEvent, ChangeKind, Ignored, Intake, OrderPoint, Route

EVENTS = Path(__file__).parents[1] / "golden" / "events"
EXPECTED: dict[str, dict[str, list[dict[str, Any]]]] = json.loads(
    (EVENTS / "expected.json").read_text(encoding="utf-8")
)
RECEIVED_AT_MS = 1_800_000_000_000


def expected_event(said: dict[str, Any]) -> ChangeEvent:
    fields = dict(said)
    at = fields.pop("event_at")
    order = fields.pop("order", None)
    return ChangeEvent(
        route=Route(fields.pop("route")),
        kind=ChangeKind(fields.pop("kind")),
        event_at_ms=(
            RECEIVED_AT_MS
            if at == "received"
            else round(datetime.fromisoformat(at).timestamp() * 1000)
        ),
        order=None if order is None else OrderPoint(*order),
        **fields,
    )


def test_every_payload_is_expected_and_every_expectation_has_its_payload() -> None:
    assert {path.stem for path in EVENTS.glob("*.json")} - {"expected"} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_payload_says_what_is_expected(name: str) -> None:
    body = (EVENTS / f"{name}.json").read_bytes()
    expected = EXPECTED[name]

    found = parse_message(body, received_at_ms=RECEIVED_AT_MS)

    assert found.events == tuple(expected_event(said) for said in expected.get("events", []))
    assert found.ignored == tuple(
        Ignored(said["reason"], said["detail"]) for said in expected.get("ignored", [])
    )
    rejected = expected.get("malformed", [])
    assert [(bad.reason, bad.detail) for bad in found.malformed] == [
        (said["reason"], said["detail"]) for said in rejected
    ]
    for bad, said in zip(found.malformed, rejected, strict=True):
        assert_kept(bad.payload, body, said["payload_at"])


def assert_kept(payload: bytes, body: bytes, path: list[str | int]) -> None:
    """What is kept is the message itself, one record of it, or a message within it."""
    if not path:
        assert payload == body
        return
    kept: object = reduce(lambda value, step: value[step], path, json.loads(body))
    if isinstance(kept, str):
        assert payload.decode() == kept
    else:
        assert json.loads(payload) == kept


@pytest.mark.parametrize("name", EXPECTED)
def test_a_payload_says_the_same_with_fields_that_nobody_knows_yet(name: str) -> None:
    """Minor versions add fields; a parser that minds loses events (grafana/lambda-promtail#193)."""
    document = json.loads((EVENTS / f"{name}.json").read_bytes())
    before = parse_message(json.dumps(document).encode(), received_at_ms=RECEIVED_AT_MS)

    body = json.dumps(with_new_fields(document)).encode()
    after = parse_message(body, received_at_ms=RECEIVED_AT_MS)

    assert comparable(after) == comparable(before)


def with_new_fields(value: Any) -> Any:
    if isinstance(value, dict):
        return {**{name: with_new_fields(item) for name, item in value.items()}, "newField": [{}]}
    if isinstance(value, list):
        return [with_new_fields(item) for item in value]
    return value


def comparable(intake: Intake) -> object:
    """All but what is said of a stranger's fields."""
    return intake.events, intake.ignored, [bad.reason for bad in intake.malformed]
