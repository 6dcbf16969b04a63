"""What a store's answers tell ``check``."""

from __future__ import annotations

import pytest

from s3fanout.adapters.store.s3_probe import store_clock_ms
from tests.unit.reciting import answer, store_of


@pytest.mark.parametrize(
    ("date", "at_ms"),
    [
        ("Mon, 23 Nov 2026 01:02:03 GMT", 1_795_395_723_000),
        ("Mon, 23 Nov 2026 01:02:03 -0000", 1_795_395_723_000),
        ("Mon, 23 Nov 2026 01:02:03 +99999999999999", None),
        ("today", None),
        ("", None),
    ],
)
async def test_the_stores_clock_is_read_or_not_known(date: str, at_ms: int | None) -> None:
    assert await store_clock_ms(store_of(answer(date=date))[0]) == at_ms
