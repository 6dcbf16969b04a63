"""What the real wiring makes of settings, with memory stores in place of real ones."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from s3fanout.adapters.store.memory import MemoryStore, MemoryStores, StoredObject
from s3fanout.adapters.system import SystemClock
from s3fanout.config.load import parse
from s3fanout.config.settings import Store
from s3fanout.model.jobs import JobState, Settlement
from s3fanout.model.objects import Written
from s3fanout.wiring import Stores, build
from tests.configurations import DAEMON
from tests.functional.world import Reports

ENDPOINT = 'source.endpoint = "http://127.0.0.1:9000"\n'
ELSEWHERE = f'{ENDPOINT}source.vendor = "other"\ndestinations.paris.vendor = "other"\n'


class AnswersOtherEtags:
    """A bucket whose copies have other etags than their sources, as copies of parts have."""

    def __init__(self, store: MemoryStore, asked: list[str]) -> None:
        self._store, self._asked = store, asked

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def head(self, key: str, **options: object) -> object:
        self._asked.append(f"head {self._store.bucket}")
        return await self._store.head(key, **options)  # type: ignore[arg-type]

    async def copy(self, key: str, **options: object) -> Written:
        self._asked.append("copy")
        await self._store.copy(key, **options)  # type: ignore[arg-type]
        return Written("0123456789abcdef0123456789abcdef-2")


class Settled(Reports):
    """Telemetry that wakes who waits for the end of an attempt."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()

    def settled(self, settlement: Settlement, *, lag_s: float) -> None:
        super().settled(settlement, lag_s=lag_s)
        self.ended.set()


@pytest.mark.parametrize(
    ("endpoint", "looks"),
    [("", []), (ELSEWHERE, ["head photos", "head photos-paris"])],
    ids=["aws", "any other"],
)
async def test_only_aws_is_taken_at_its_word_that_a_copy_is_of_the_pinned_state(
    endpoint: str, looks: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores, asked = MemoryStores(SystemClock()), list[str]()
    source = stores.create_bucket("photos")
    buckets = {"photos": source, "photos-paris": stores.create_bucket("photos-paris")}
    source.objects["key"] = StoredObject.of(b"content")

    def opened(_stores: Stores, to: Store) -> AnswersOtherEtags:
        return AnswersOtherEtags(buckets[to.bucket], asked)

    monkeypatch.setattr(Stores, "open", opened)
    text = DAEMON.replace(ENDPOINT, endpoint)
    settings = parse(text, path=tmp_path / "s3fanout.toml", env={}).settings
    reports = Settled()
    parts = await build(settings, {"TOKEN": "token"}, telemetry=reports)
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2026-11-24T08:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "photos"}, "object": {"key": "key"}},
    }
    parts.engine.start()
    await parts.receiver.receive(json.dumps({"Records": [record]}).encode(), route="webhook")
    await reports.ended.wait()
    await parts.engine.stop(drain_s=5.0)
    await parts.close()
    assert [each.state for each in reports.settlements] == [JobState.SETTLED]
    assert asked[asked.index("copy") + 1 :] == looks
