"""A key is refused for what its store would do with it, never for a size that an event told."""

from __future__ import annotations

import pytest

from s3fanout.adapters.store.memory import MemoryStores
from s3fanout.decide.plan import Refuse
from s3fanout.engine.copier import Outcome, Replicated
from s3fanout.engine.holding import HoldingCopier
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import Job
from s3fanout.model.rules import Rule
from s3fanout.model.vendors import Vendor, VendorName, vendor_named
from tests.conformance.object_stores import PLAIN, body_of
from tests.functional.clock import VirtualClock


class Copying:
    """A copier that says it copied."""

    async def attempt(self, job: Job, *, stop_at_s: float | None = None) -> Outcome:
        del stop_at_s
        return Replicated("e", 0, "e", "copied")

    def take_written(self, job: Job) -> str | None:
        return None


async def paths() -> Vendor:
    return vendor_named(VendorName.SEAWEEDFS)


@pytest.mark.parametrize(
    ("key", "content", "told_bytes", "held", "looks"),
    [
        ("a/", b"", 4096, True, 1),
        ("a/", b"1", 4096, False, 1),
        ("a/", b"", 0, True, 0),
        ("a//b", b"1", 1, False, 0),
        ("a/b", b"1", 4096, True, 0),
    ],
)
async def test_a_size_in_an_event_refuses_no_key(
    key: str, content: bytes, told_bytes: int, held: bool, looks: int
) -> None:
    source = MemoryStores(VirtualClock()).create_bucket("source")
    await source.put(key, body_of(content), PLAIN)
    copier = HoldingCopier(Copying(), rule=Rule("a"), source=source, vendor=paths)
    outcome = await copier.attempt(
        Job("a", key, 1, ChangeKind.CREATED, 0, etag="e", size_bytes=told_bytes)
    )
    assert isinstance(outcome, Replicated if held else Refuse)
    assert source.requests["HeadObject"] == looks
