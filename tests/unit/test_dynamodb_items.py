"""Items of the table that another hand has changed: an error that names the item."""

from __future__ import annotations

from typing import Any

import pytest

from s3fanout.adapters.journal.dynamodb_items import record_of, recorded_of, upload_of
from s3fanout.model.errors import LedgerUnavailable

RECORD: dict[str, Any] = {
    "subject": {"S": "key:k"},
    "destination": {"S": "paris"},
    "state": {"S": "settled"},
    "kind": {"S": "created"},
    "event_at_ms": {"N": "1"},
    "turn": {"N": "2"},
}


def test_a_record_is_read() -> None:
    assert (record_of(RECORD).key, record_of(RECORD).fence) == ("k", 2)
    assert recorded_of(RECORD).turn == 2


@pytest.mark.parametrize(
    "change",
    [
        {"state": {"S": "a-state-of-later"}},
        {"state": {"N": "1"}},
        {"kind": {}},
        {"turn": {"N": "many"}},
        {"turn": {"N": 2.5}},
        {"reason": {"S": None}},
        {"order_token": "0A"},
    ],
    ids=str,
)
def test_a_record_that_cannot_be_read_is_named_with_what_to_do(change: dict[str, Any]) -> None:
    with pytest.raises(LedgerUnavailable, match=r"'key:k'.*'paris'") as unreadable:
        record_of(RECORD | change)
    assert "backfill" in (unreadable.value.hint or "")


def test_what_is_no_item_at_all_is_an_error_of_ours_too() -> None:
    with pytest.raises(LedgerUnavailable, match="cannot be read"):
        upload_of([])  # type: ignore[arg-type]
