"""Promises about destinations that the source's own store can copy to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from s3fanout.adapters.store.faulty import Call, Fault, Line, written
from s3fanout.adapters.store.memory import StoredObject
from s3fanout.model.errors import Refused
from s3fanout.model.jobs import JobState
from s3fanout.model.limits import Limits
from s3fanout.model.objects import ObjectAttributes, Written
from s3fanout.model.rules import KeyFilter, KeyMap
from s3fanout.ports.object_store import ObjectStore
from tests.functional.clock import quiet
from tests.functional.world import To, World

MakeWorld = Callable[..., World]
ATTRIBUTES = ObjectAttributes(
    {"content-type": "text/plain", "cache-control": "no-store"}, {"owner": "me"}, {"k": "v"}
)


async def test_the_cheap_path_costs_one_copy_per_destination(world_of: MakeWorld) -> None:
    world = world_of(To("a"), To("b"), To("c"))
    await world.receive(world.put("dir/key", b"x", ATTRIBUTES))
    await world.rest()
    assert world.requests() == {"CopyObject": 3}
    world.assert_equal()


async def test_a_small_copy_needs_no_time_of_its_own(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    await world.receive(world.put("key"))
    await world.rest(within_s=0)
    assert world.reports.lags_s == [0.0]


async def test_many_keys_each_cost_one_copy(world_of: MakeWorld) -> None:
    world = world_of(To("a", concurrency=4), To("b", concurrency=1))
    for number in range(100):
        await world.receive(world.put(f"key-{number}", bytes([number])))
    await world.rest()
    assert world.requests() == {"CopyObject": 200}
    world.assert_equal()


@pytest.mark.parametrize(
    "key", ["a//b", "../x", "tab\tnew\nline", "%2F+ &?", "\N{GRINNING FACE}", "x" * 1024]
)
async def test_any_key_arrives_verbatim(world_of: MakeWorld, key: str) -> None:
    world = world_of(To("a"))
    await world.receive(world.put(key))
    await world.rest()
    assert list(world.buckets["a"].objects) == [key]


async def test_a_destination_names_its_replicas(world_of: MakeWorld) -> None:
    world = world_of(To("a", key_map=KeyMap("in/", "out/")), To("b"))
    receipt = await world.receive(world.put("in/key"))
    await world.receive(world.put("other"))
    await world.rest()
    assert receipt.queued == 2
    assert list(world.buckets["a"].objects) == ["out/key"]
    assert list(world.buckets["b"].objects) == ["in/key", "other"]


async def test_an_event_without_hints_costs_one_probe_more(world_of: MakeWorld) -> None:
    world = world_of(To("a"), To("b"))
    world.put("key")
    await world.receive(world.message("key"))
    await world.rest()
    assert world.requests() == {"HeadObject": 2, "CopyObject": 2}
    world.assert_equal()


async def test_an_outdated_hint_is_never_settled(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    old = world.put("key", b"old")
    world.put("key", b"newer")
    await world.receive(old)
    await world.rest()
    assert world.requests() == {"CopyObject": 2, "HeadObject": 1}
    world.assert_equal()
    record = world.known("a", "key")
    assert (record.size_bytes, record.attempts) == (5, 0)


async def test_a_source_that_is_gone_is_superseded_and_writes_nothing(world_of: MakeWorld) -> None:
    world = world_of(To("a"), To("b"))
    message = world.put("key")
    del world.source.objects["key"]
    await world.receive(message)
    await world.rest()
    assert set(world.states("key").values()) == {JobState.SUPERSEDED}
    assert world.known("a", "key").reason == ("the source object was deleted before it was copied")
    assert world.buckets["a"].objects == world.buckets["b"].objects == {}


async def test_a_size_learnt_from_a_probe_is_filtered_too(world_of: MakeWorld) -> None:
    world = world_of(To("a", filter=KeyFilter(size_bytes_max=3)))
    world.put("key", b"long")
    await world.receive(world.message("key"))
    await world.rest()
    assert world.states("key") == {"a": JobState.SUPERSEDED}
    assert world.buckets["a"].objects == {}


async def test_a_source_that_keeps_changing_is_given_back_uncounted(world_of: MakeWorld) -> None:
    changes = 6
    world: World

    def change(call: Call) -> Fault | None:
        if call.nth <= changes:
            world.put("key", b"%d" % call.nth)
        return None

    world = world_of(To("a", script=change), limits=Limits(replans_max=4))
    await world.receive(world.put("key", b"first"))
    await world.clock.run_until(lambda: bool(world.reports.settlements))
    given_back = world.reports.settlements[0]
    assert (given_back.state, given_back.attempts) == (JobState.WAITING, 0)
    assert given_back.error is not None
    assert given_back.error.code == "source-changed"
    await world.rest()
    world.assert_equal()
    assert world.known("a", "key").attempts == 0


class IgnoresConditions:
    """A store that copies whatever is there, and answers with an etag of its own making."""

    def __init__(self, inner: ObjectStore, *, cut: bool = False) -> None:
        self._inner = inner
        self._cut = cut

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def copy(self, key: str, **options: object) -> Written:
        await self._inner.copy(key, **options | {"if_match": None})  # type: ignore[arg-type]
        if self._cut:
            self._cut = False
            self._inner.objects[key] = StoredObject.of(b"")  # type: ignore[attr-defined]
        return Written("0123456789abcdef0123456789abcdef-2")


def ignoring(*, cut: bool = False) -> Callable[[ObjectStore], ObjectStore]:
    return lambda inner: IgnoresConditions(inner, cut=cut)  # type: ignore[return-value]


async def test_an_answer_that_proves_nothing_is_looked_into(world_of: MakeWorld) -> None:
    world = world_of(To("a", wrap=ignoring(), conditions_honoured=False))
    await world.receive(world.put("key"))
    await world.rest()
    assert world.source.requests == {"HeadObject": 1}
    assert world.buckets["a"].requests == {"CopyObject": 1, "HeadObject": 1}
    world.assert_equal()
    assert world.known("a", "key").replica_etag == "0123456789abcdef0123456789abcdef-2"


async def test_a_store_known_to_check_conditions_is_believed(world_of: MakeWorld) -> None:
    world = world_of(To("a", wrap=ignoring(), conditions_honoured=True))
    await world.receive(world.put("key"))
    await world.rest()
    assert world.requests() == {"CopyObject": 1}


async def test_a_copy_of_a_source_that_moved_is_made_again(world_of: MakeWorld) -> None:
    world = world_of(To("a", wrap=ignoring(), conditions_honoured=False))
    outdated = world.put("key", b"old")
    world.put("key", b"new, and longer")
    await world.receive(outdated)
    await world.rest()
    assert world.buckets["a"].requests["CopyObject"] == 2
    world.assert_equal()


async def test_a_source_deleted_behind_an_unproven_copy_is_not_settled(
    world_of: MakeWorld,
) -> None:
    world: World

    def delete(call: Call) -> Fault | None:
        if call.operation == "HeadObject":
            world.source.objects.pop("key", None)
        return None

    world = world_of(To("a", wrap=ignoring(), conditions_honoured=False), source_script=delete)
    await world.receive(world.put("key"))
    await world.rest()
    assert world.states("key") == {"a": JobState.SUPERSEDED}


async def test_a_replica_of_another_size_is_written_again(world_of: MakeWorld) -> None:
    world = world_of(To("a", wrap=ignoring(cut=True), conditions_honoured=False))
    await world.receive(world.put("key"))
    await world.clock.run_until(lambda: bool(world.reports.settlements))
    error = world.reports.settlements[0].error
    assert error is not None
    assert error.code == "replica-mismatch"
    await world.rest()
    world.assert_equal()


async def test_an_overwrite_waits_for_the_attempt_in_hand_and_wins(world_of: MakeWorld) -> None:
    gate = asyncio.Event()
    slow_answer = Fault(pause=gate.wait, applied=True)
    script = written([Line(slow_answer, operation="CopyObject", last=1)])
    world = world_of(To("a", script=script), To("b"))
    await world.receive(world.put("key", b"old"))
    await quiet()
    await world.receive(world.put("key", b"new"))
    await world.clock.advance(60)
    assert world.copiers["a"].attempts["key"] == 1  # the newer job waits for the older attempt
    assert world.states("key") == {"a": JobState.READY, "b": JobState.SETTLED}
    gate.set()
    await world.rest()
    assert world.copiers["a"].attempts["key"] == 2
    world.assert_equal()


async def test_an_outdated_write_that_lands_late_is_overwritten(world_of: MakeWorld) -> None:
    """The request of the old state is applied after the newer event was accepted."""
    gate = asyncio.Event()
    late = written([Line(Fault(pause=gate.wait), operation="CopyObject", last=1)])
    world = world_of(To("a", script=late, wrap=ignoring(), conditions_honoured=False))
    await world.receive(world.put("key", b"old"))
    await quiet()
    await world.receive(world.put("key", b"new"))
    gate.set()
    await world.rest()
    world.assert_equal()


async def test_a_hot_key_costs_copies_only_of_what_is_newest(world_of: MakeWorld) -> None:
    gate = asyncio.Event()
    script = written([Line(Fault(pause=gate.wait, applied=True), last=1)])
    world = world_of(To("a", script=script))
    for number in range(50):
        await world.receive(world.put("key", b"%d" % number))
        await quiet()
    gate.set()
    await world.rest()
    assert world.requests() == {"CopyObject": 2}
    world.assert_equal()


async def test_objects_are_not_logged_one_by_one(
    world_of: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    refused = Line(Fault(Refused("no")), key="refused")
    world = world_of(To("a", script=written([refused])), To("b"))
    for key in ("copied", "refused", "copied"):
        await world.receive(world.put(key))
    await world.rest()
    assert world.states("refused") == {"a": JobState.DEAD, "b": JobState.SETTLED}
    assert [each for each in caplog.messages if "copied" in each or "refused" in each] == []


async def test_a_change_of_attributes_is_copied(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    await world.receive(world.put("key", b"same"))
    await world.rest()
    world.put("key", b"same", ATTRIBUTES)
    record = world.record("key", name="ObjectTagging:Put")
    await world.receive(world.message_of(record))
    await world.rest()
    world.assert_equal()


async def test_the_lag_runs_from_the_event(world_of: MakeWorld) -> None:
    gate = asyncio.Event()
    script = written([Line(Fault(pause=gate.wait))])
    world = world_of(To("a", script=script))
    await world.receive(world.put("key"))
    await world.clock.advance(7.5)
    gate.set()
    await world.rest()
    assert world.reports.lags_s == [7.5]


async def test_a_replica_equal_already_is_written_again_on_a_new_event(
    world_of: MakeWorld,
) -> None:
    """A changed etag is not needed: the event says that something changed."""
    world = world_of(To("a"))
    await world.receive(world.put("key"))
    await world.rest()
    await world.receive(world.put("key"))
    await world.rest()
    assert world.requests() == {"CopyObject": 2}
    world.assert_equal()


async def test_a_copy_onto_the_source_itself_is_a_dead_letter(world_of: MakeWorld) -> None:
    world = world_of(To("a"))
    world.ports["a"]._store = world.source
    await world.receive(world.put("key"))
    await world.rest()
    dead = world.known("a", "key")
    assert dead.error is not None
    assert (dead.state, dead.error.code) == (JobState.DEAD, "refused:InvalidRequest")
    assert world.source.objects["key"].content == b"content"
