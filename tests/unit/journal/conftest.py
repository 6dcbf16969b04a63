"""A journal of its own for each test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from s3fanout.adapters.journal.sqlite import SqliteJournal
from tests.conformance.journals import StandingClock
from tests.unit.journal.journal_files import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def journal(path: Path, clock: StandingClock) -> AsyncIterator[SqliteJournal]:
    async with opened(path, clock) as journal:
        yield journal
