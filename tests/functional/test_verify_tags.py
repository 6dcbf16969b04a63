"""Tags are never taken for the same without having been compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from s3fanout.adapters.store.memory import MemoryStore, StoredObject
from s3fanout.engine.examiner import Depth
from s3fanout.engine.verify import LOOKS_AT_ONCE
from s3fanout.model.errors import AccessDenied, Refused
from s3fanout.model.objects import Body, ObjectAttributes, Present, Probe
from tests.functional.test_verify import KEYS, PLAIN, Pair


class HidesCounts(MemoryStore):
    """Says of no object how many tags it has, as to a caller who may not read them."""

    async def head(self, key: str, *, version_id: str | None = None) -> Probe:
        probe = await super().head(key, version_id=version_id)
        return replace(probe, tag_count=0) if isinstance(probe, Present) else probe

    async def get(self, key: str, **options: Any) -> Body:
        body = await super().get(key, **options)
        attributes = replace(body.facts.attributes, tags={})
        return replace(body, facts=replace(body.facts, tag_count=0, attributes=attributes))


@pytest.mark.parametrize("depth", [Depth.ATTRIBUTES, Depth.BYTES])
async def test_tags_are_compared_where_no_count_is_told(depth: Depth) -> None:
    pair = Pair(KEYS[:3])
    hiding = {
        "source": HidesCounts(pair.source._stores, "source"),
        "replica": HidesCounts(pair.source._stores, "paris"),
    }
    other = ObjectAttributes(PLAIN.headers, PLAIN.metadata, {"team": "blue"})
    changed = pair.source.objects[KEYS[1]]
    pair.replica.objects[pair.target(KEYS[1])] = StoredObject.of(changed.content, other)
    _, found = await pair.verify(depth=depth, **hiding)  # type: ignore[arg-type]
    assert found == {KEYS[1]: ("*", "tags")}
    _, found = await pair.verify(depth=depth, ignored=["tags"], **hiding)  # type: ignore[arg-type]
    assert found == {}


async def test_tags_that_cannot_be_read_were_not_compared() -> None:
    pair = Pair(KEYS[:2])
    hidden = HidesCounts(pair.replica._stores, "paris")

    async def denied(*_: object, **__: object) -> dict[str, str]:
        raise AccessDenied("no permission s3:GetObjectTagging")

    hidden.get_tags = denied  # type: ignore[method-assign]
    tally, found = await pair.verify(depth=Depth.ATTRIBUTES, replica=hidden)
    assert set(found.values()) == {("?", "tags-unread")}
    assert not tally.is_equal


async def test_a_store_that_knows_no_tags_has_none_and_is_asked_once() -> None:
    pair = Pair([])
    bare = StoredObject.of(b"x")
    for key in KEYS[:20]:
        pair.source.objects[key] = pair.replica.objects[pair.target(key)] = bare
    asked: list[str] = []

    async def unknown(key: str, **_: object) -> dict[str, str]:
        asked.append(key)
        raise Refused("not implemented", s3_code="NotImplemented")

    pair.replica.get_tags = unknown  # type: ignore[method-assign]
    _, found = await pair.verify(depth=Depth.ATTRIBUTES)
    assert found == {}
    assert len(asked) <= LOOKS_AT_ONCE, "those that were under way"


async def test_a_store_that_tells_counts_is_believed_when_it_tells_none() -> None:
    pair = Pair(["raw/a/tagged"])
    for key in KEYS:
        pair.source.objects[key] = pair.replica.objects[pair.target(key)] = StoredObject.of(b"x")
    await pair.verify(depth=Depth.ATTRIBUTES)
    assert pair.source.requests["GetObjectTagging"] < len(KEYS)
