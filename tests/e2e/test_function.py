"""The function in this process, against S3, SQS and DynamoDB of the emulator."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
from typing import Any

import pytest

from s3fanout.adapters.store.transport import Response
from s3fanout.model.errors import MalformedEvent, Unavailable
from s3fanout.model.jobs import JobState
from s3fanout.model.limits import MIB, Limits
from s3fanout.model.rules import KeyMap, Rule
from s3fanout.model.topology import Topology
from s3fanout.ports.ledger import FailureSelection
from tests.servers.aws import FunctionWorld, notification, sns_event, transport

pytestmark = pytest.mark.stores

CLASSIC: dict[str, Any] = {
    "topology": Topology.CLASSIC,
    "source_bucket": None,
    "table": None,
    "queue_url": None,
    "dead_letter_url": None,
}
AWKWARD = ["a b+c%2F.txt", "ü/日本/🪣", "a//b/../c/./d", "line\nbreak", "/.", "ü" * 512]


async def test_a_batch_is_replicated_and_recorded(world: FunctionWorld) -> None:
    bodies = []
    for number, key in enumerate(AWKWARD):
        etag = world.put(key, key.encode())
        quoted = key  # ministack's own events are tested by the deployments
        bodies.append(world.notification(_form(quoted), etag, len(key.encode()), f"{number:04}"))
    assert await world.deliver(world.function(), bodies) == []
    for key in AWKWARD:
        assert world.replica(key) == key.encode()
        record = await world.ledger.get("a", key)
        assert record is not None
        assert record.state is JobState.SETTLED
    assert world.actions() == ["replicated"] * len(AWKWARD)
    assert world.lines[-1]["Replicated"] == len(AWKWARD)


async def test_stale_and_duplicate_events_are_told_apart_and_harm_nothing(
    world: FunctionWorld,
) -> None:
    function = world.function()
    old = world.notification("k", world.put("k", b"old"), 3, "01")
    new = world.notification("k", world.put("k", b"newer"), 5, "02")
    assert await world.deliver(function, [new]) == []
    assert await world.deliver(function, [new]) == []
    assert await world.deliver(function, [old]) == []
    assert world.replica("k") == b"newer"
    record = await world.ledger.get("a", "k")
    assert record is not None
    assert record.order is not None
    assert (record.order.token, record.source_etag) == ("02", record.replica_etag)
    said = [action for action in world.actions() if action != "replicated"]
    assert said == ["duplicate", "stale"]


async def test_messages_of_one_key_in_one_batch_are_one_attempt(world: FunctionWorld) -> None:
    bodies = [world.notification("k", world.put("k", b"x" * n), n, f"{n:02}") for n in (3, 1, 2)]
    assert await world.deliver(world.function(), bodies) == []
    assert world.actions() == ["replicated"]
    assert world.replica("k") == b"xx"


@pytest.mark.parametrize("ordered", [True, False])
async def test_concurrent_invocations_end_with_the_newest_object(
    world: FunctionWorld, ordered: bool
) -> None:
    """Ten functions, forty overwrites of two keys, delivered twice and in another order."""
    bodies = []
    for number, key in itertools.product(range(20), ("k", "l")):
        content = f"{key}{number}".encode()
        sequencer = f"{number:04}" if ordered else None
        bodies.append(world.notification(key, world.put(key, content), len(content), sequencer))
    bodies = (bodies[::3] + bodies[1::3] + bodies[2::3]) * 2
    functions = [world.function() for _ in range(10)]
    await world.messages.send(world.queue_url, bodies)

    async def drain(number: int) -> None:
        while not await world.is_idle():
            await world.redeliver(functions[number])

    await asyncio.gather(*(drain(number) for number in range(10)))
    assert (world.replica("k"), world.replica("l")) == (b"k19", b"l19")
    for key in ("k", "l"):
        record = await world.ledger.get("a", key)
        assert record is not None
        assert record.source_etag == world.s3.head_object(Bucket=f"{world.name}-source", Key=key)[
            "ETag"
        ].strip('"')


async def test_what_can_never_work_is_a_dead_letter_at_once(world: FunctionWorld) -> None:
    """Its job is in the dead-letter queue; delivered again, it works once the cause is gone."""
    locked = world.put("k", b"x", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32)
    body = world.notification("k", locked, 1, "01")
    back = await world.deliver(world.function(), [body])
    letters = await world.dead_letters()
    assert (back, len(letters)) == ([], 1)
    (record,) = await world.ledger.failures(FailureSelection(destination="a"), limit=5)
    assert record.error is not None
    assert (record.key, record.state) == ("k", JobState.DEAD)
    assert record.error.code == "refused:InvalidRequest"
    world.put("k", b"x")
    assert await world.deliver(world.function(), letters) == []
    assert world.replica("k") == b"x"
    assert list(await world.ledger.failures(FailureSelection(), limit=5)) == []


async def test_what_may_work_later_comes_back_after_our_own_delay(world: FunctionWorld) -> None:
    body = world.notification("k", world.put("k", b"x"), 1, "01")
    missing = world.function(bucket=f"{world.name}-missing")
    assert await world.deliver(missing, [body]) == [body]
    record = await world.ledger.get("a", "k")
    assert record is not None
    assert record.error is not None
    assert (record.state, record.error.code) == (JobState.WAITING, "no-such-bucket:NoSuchBucket")
    (summary,) = await world.ledger.summaries()
    assert summary.backlog == 1
    function = world.function()
    while world.actions()[-1] != "replicated":
        await world.redeliver(function)
        await asyncio.sleep(0.05)
    assert world.replica("k") == b"x"


async def test_malformed_messages_are_kept_and_loop_nowhere(world: FunctionWorld) -> None:
    test_event = '{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"x"}'
    bodies = ["garbage", '{"s3fanout": 7}', '{"s3fanout":7}', test_event]
    assert await world.deliver(world.function(), bodies) == []
    assert await world.ledger.malformed_count() == 3
    assert world.actions().count("malformed") == 3
    assert world.actions().count("ignored") == 1


async def test_what_is_not_wanted_is_not_read(world: FunctionWorld) -> None:
    body = world.notification("private/k", world.put("private/k", b"x"), 1, "01")
    assert await world.deliver(world.function(), [body]) == []
    assert world.actions() == ["unwanted"]


async def test_with_the_loop_guard_two_functions_that_replicate_into_each_other_stop(
    world: FunctionWorld,
) -> None:
    there = world.function(loop_guard=True)
    back = world.function(
        loop_guard=True,
        source_bucket=f"{world.name}-replica",
        bucket=f"{world.name}-source",
        rule=Rule("b"),
    )
    etag = world.put("k", b"x", Tagging="t=1")
    assert await world.deliver(there, [world.notification("k", etag, 1, "01")]) == []
    written = world.s3.head_object(Bucket=f"{world.name}-source", Key="k")["LastModified"]
    assert world.replica("k") == b"x"
    echo = notification(f"{world.name}-replica", "k", etag, 1, "01")
    assert await world.deliver(back, [echo]) == []
    counts = [line.get("Replicated", 0) for line in world.lines if "_aws" in line]
    assert counts == [1], "the way back wrote nothing, so it counts nothing"
    assert world.lines[-1]["reason"] == "the replica is equal already"
    now = world.s3.head_object(Bucket=f"{world.name}-source", Key="k")["LastModified"]
    assert now == written
    record = await world.ledger.get("b", "k")
    assert record is not None
    assert record.state is JobState.SETTLED


async def test_a_key_that_s3_does_not_hold_is_a_dead_letter_and_asks_nothing(
    world: FunctionWorld,
) -> None:
    key = "k" * 1000
    body = world.notification(key, world.put(key, b"x"), 1, "01")
    function = world.function(rule=Rule("a", key_map=KeyMap(add_prefix="p" * 25)))
    assert await world.deliver(function, [body]) == []
    (record,) = await world.ledger.failures(FailureSelection(destination="a"), limit=5)
    assert record.error is not None
    assert record.error.code == "key-not-held"
    assert "longer than 1024 bytes" in record.error.message


async def test_a_classic_function_copies_and_raises_what_it_cannot_do(
    world: FunctionWorld,
) -> None:
    etag = world.put("k", b"x")
    body = world.notification("k", etag, 1, "01")
    function = world.function(**CLASSIC)
    answer = await function.invoke(sns_event(body), time_s=30, request_id="r")
    assert (answer, world.replica("k")) == ({"replicated": 1}, b"x")
    missing = world.function(**CLASSIC, bucket=f"{world.name}-missing")
    with pytest.raises(Unavailable, match="NoSuchBucket"):
        await missing.invoke(sns_event(body), time_s=30, request_id="r")
    with pytest.raises(MalformedEvent):
        await function.invoke(sns_event("garbage"), time_s=30, request_id="r")


def _form(key: str) -> str:
    """A key as S3 sends it in events."""
    from urllib.parse import quote_plus

    return quote_plus(key, safe="/")


@pytest.fixture
def short_of_time(monkeypatch: pytest.MonkeyPatch) -> float:
    """The seconds of an invocation that begins parts in the first three of them.

    What is in hand then has six more, which a slow machine may need; of AWS's two minutes, 45 s.
    """
    monkeypatch.setattr("s3fanout.awslambda.invocation.PARTS_SHARE", 0.25)
    return 12.0


async def test_a_large_object_is_continued_by_other_invocations_and_copied_once(
    world: FunctionWorld, short_of_time: float
) -> None:
    """A 6 GiB object in small: 16 parts of 5 MiB stand for 24 of 256 MiB."""
    part_bytes, parts = 5 * MIB, 16
    content = random.Random(1).randbytes(parts * part_bytes - 7)
    etag = world.put("big", content, Metadata={"kept": "yes"}, ContentType="video/x")
    body = world.notification("big", etag, len(content), "01")
    limits = Limits(copy_bytes_max=part_bytes, copy_part_bytes=part_bytes, parts_in_flight=1)
    over = SlowParts(0.7)
    await world.deliver(world.function(over, limits=limits), [body], time_s=short_of_time)
    invocations = 1
    while not await world.is_idle():
        # Another execution environment each time: nothing is remembered but queue and ledger.
        function = world.function(over, limits=limits)
        await world.redeliver(function, time_s=short_of_time)
        invocations += 1
    assert invocations >= 3
    assert world.replica("big") == content
    facts = world.s3.head_object(Bucket=f"{world.name}-replica", Key="big")
    assert (facts["Metadata"], facts["ContentType"]) == ({"kept": "yes"}, "video/x")
    assert sorted(over.parts) == list(range(1, parts + 1))
    assert "Uploads" not in world.s3.list_multipart_uploads(Bucket=f"{world.name}-replica")
    assert world.actions()[-1] == "replicated"
    assert world.actions().count("unfinished") >= 2
    record = await world.ledger.get("a", "big")
    assert record is not None
    assert (record.state, record.attempts) == (JobState.SETTLED, 0)


async def test_a_classic_function_starts_itself_to_go_on_with_a_large_object(
    world: FunctionWorld, short_of_time: float
) -> None:
    """No queue and no ledger: what the next invocation needs is in the event that starts it."""
    part_bytes, parts = 5 * MIB, 12
    content = random.Random(1).randbytes(parts * part_bytes - 7)
    etag = world.put("big", content, Metadata={"kept": "yes"})
    limits = Limits(copy_bytes_max=part_bytes, copy_part_bytes=part_bytes, parts_in_flight=1)
    over = SlowParts(0.7)
    event = sns_event(world.notification("big", etag, len(content), "01"))
    over.started.append(event)
    invocations = 0
    while over.started:
        # Another execution environment each time: nothing is remembered but the event.
        function = world.function(over, **CLASSIC, limits=limits)
        await function.invoke(over.started.pop(), time_s=short_of_time, request_id="r")
        invocations += 1
    assert invocations >= 3
    assert world.replica("big") == content
    facts = world.s3.head_object(Bucket=f"{world.name}-replica", Key="big")
    assert facts["Metadata"] == {"kept": "yes"}
    assert sorted(over.parts) == list(range(1, parts + 1)), "nothing was copied twice"
    assert "Uploads" not in world.s3.list_multipart_uploads(Bucket=f"{world.name}-replica")
    assert not any(line.get("Failures") for line in world.lines), "going on is no failure"


@pytest.mark.parametrize("classic", [True, False])
async def test_a_large_copy_that_stands_still_is_a_failure_and_no_endless_circle(
    world: FunctionWorld, classic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is too short for a single part."""
    monkeypatch.setattr("s3fanout.awslambda.invocation.PARTS_SHARE", 0.0)
    content = random.Random(1).randbytes(11 * MIB)
    body = world.notification("big", world.put("big", content), len(content), "01")
    limits = Limits(copy_bytes_max=5 * MIB, copy_part_bytes=5 * MIB)
    over = SlowParts(0.0)
    function = world.function(over, **(CLASSIC if classic else {}), limits=limits)
    if classic:
        await function.invoke(sns_event(body), time_s=30, request_id="r")
        with pytest.raises(Unavailable, match="copied 0 of 3 parts"):
            await function.invoke(over.started.pop(), time_s=30, request_id="r")
        assert over.started == []
        return
    assert await world.deliver(function, [body]) == []
    (still,) = await world.redeliver(function)
    assert "continued" in still, "it comes back, and its deliveries count"


class SlowParts:
    """A transport over which every part takes its time; remembers which parts were copied.

    A function that starts a function is told that it will be, and the event is kept in ``started``.
    """

    def __init__(self, seconds: float) -> None:
        self.parts: list[int] = []
        self.started: list[Any] = []
        self._seconds = seconds
        self._inner = transport()

    async def request(
        self, method: str, base: str, raw_path: str, query: str, *rest: Any, **more: Any
    ) -> Response:
        if raw_path.endswith("/invocations"):
            self.started.append(json.loads(rest[1]))
            return Response(202, {}, b"")
        answer = await self._inner.request(method, base, raw_path, query, *rest, **more)
        if method == "PUT" and (number := re.search(r"partNumber=(\d+)", query)):
            self.parts.append(int(number[1]))
            await asyncio.sleep(self._seconds)  # a slow store: the length of time is the input
        return answer

    async def close(self) -> None:
        await self._inner.close()
