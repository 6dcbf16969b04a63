"""Functions in a storm: many at a time, killed, timed out, with services that fail."""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from s3fanout.adapters.aws.json_client import SQS
from s3fanout.model.errors import S3FanoutError
from s3fanout.model.jobs import JobState
from s3fanout.model.limits import MIB, Limits
from s3fanout.ports.ledger import FailureSelection
from tests.servers.aws import FunctionWorld, client_of, transport
from tests.servers.fault_proxy import FaultProxy, fault_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3fanout.adapters.store.transport import Response
    from s3fanout.awslambda.function import Function
    from tests.servers.server import Server

pytestmark = pytest.mark.stores

SEED = int(os.environ.get("S3FANOUT_FUNCTION_STORM_SEED", "20261125"))
STORM = {
    **dict.fromkeys(("slow_down", "internal", "reset", "lost", "cut"), 0.04),
    "throttled": 0.5,
    "latency": 0.1,
}
KEYS, OVERWRITES, INVOKERS = 40, 3, 6
TIME_S, SHORT_S = 4.0, 0.4
HIDDEN_S = 10
"""Of messages in hand. On AWS six times the function's time; here what is over is left for a slow
machine, as it is not promised what comes of a message that two deliveries have at once."""
GARBAGE = ("garbage", '{"s3fanout":7}')
LIMITS = Limits(retry_base_s=0.05, retry_cap_s=0.5, copy_bytes_max=5 * MIB, copy_part_bytes=5 * MIB)


class Dead(Exception):
    """The execution environment is gone: who handles this can do nothing, all requests raise it."""


class Mortal:
    """A transport of a function that is killed at one of its requests, before or after it."""

    def __init__(self, dies_at: int, *, after: bool) -> None:
        self._left = dies_at
        self._after = after
        self._inner = transport()

    async def request(self, *args: Any, **more: Any) -> Response:
        self._left -= 1
        if self._left < 0 or (self._left == 0 and not self._after):
            raise Dead
        answer = await self._inner.request(*args, **more)
        if self._left <= 0:
            raise Dead
        return answer

    async def close(self) -> None:
        await self._inner.close()


@pytest.fixture
def proxy(ministack: Server, tmp_path: Path) -> Iterator[FaultProxy]:
    """What stands between the functions and all services; the test itself goes past it."""
    with fault_proxy(tmp_path, ministack, seed=SEED) as proxy:
        yield proxy


async def test_functions_in_a_storm_end_exact_and_lose_nothing(
    world: FunctionWorld, proxy: FaultProxy
) -> None:
    """Overwrites, events twice and in any order, garbage; six invocations at a time.

    Every fourth runs in an environment that is killed at some request, some have no time at all.
    """
    chance = random.Random(SEED)
    queues = client_of(world.server, SQS, world.over)
    hidden = {"QueueUrl": world.queue_url, "Attributes": {"VisibilityTimeout": str(HIDDEN_S)}}
    await queues.call("SetQueueAttributes", hidden)
    deaths = 0
    is_over = asyncio.Event()
    proxy.set(**STORM)

    def environment(**more: Any) -> Function:
        return world.function(server=proxy.server, limits=LIMITS, **more)

    async def write() -> None:
        for turn in range(OVERWRITES):
            bodies = list(GARBAGE) if turn == 0 else []
            for number in range(KEYS):
                size = 6 * MIB if number < 2 else number
                content = bytes([turn]) * (size + turn)
                etag = await asyncio.to_thread(world.put, f"k{number}", content)
                event = world.notification(f"k{number}", etag, len(content), f"{turn:04}")
                bodies += [event] * chance.choice((1, 1, 2))
            chance.shuffle(bodies)
            await world.messages.send(world.queue_url, bodies)

    async def invoke(lasting: Function) -> None:
        nonlocal deaths
        while not (is_over.is_set() and await world.is_idle()):
            function = lasting
            if chance.random() < 0.25 and not is_over.is_set():
                mortal = Mortal(chance.randrange(1, 12), after=chance.random() < 0.5)
                function = environment(over=mortal)
            time_s = SHORT_S if chance.random() < 0.1 and not is_over.is_set() else TIME_S
            try:
                await world.redeliver(function, time_s=time_s, wait_s=1)
            except Dead:
                deaths += 1
            except S3FanoutError:
                continue  # Lambda gives the whole batch back

    async def storm() -> None:
        await write()
        while deaths < 10 and not await world.is_idle():
            await asyncio.sleep(0.1)
        proxy.set()
        is_over.set()

    await asyncio.gather(storm(), *(invoke(environment()) for _ in range(INVOKERS)))
    counts = proxy.counts()
    said = f"seed={SEED} deaths={deaths} {counts}"
    assert deaths > 0, said
    assert all(counts[fault] > 0 for fault in STORM), said
    await audit(world, said)


async def audit(world: FunctionWorld, said: str) -> None:
    """Every replica is the newest object, the ledger agrees, and there is nothing else."""
    for number in range(KEYS):
        key = f"k{number}"
        source = world.s3.get_object(Bucket=f"{world.name}-source", Key=key)
        assert world.replica(key) == source["Body"].read(), f"{key} {said}"
        record = await world.ledger.get("a", key)
        assert record is not None
        assert record.state is JobState.SETTLED, f"{record} {said}"
        assert record.source_etag == source["ETag"].strip('"'), f"{record} {said}"
    assert list(await world.ledger.failures(FailureSelection(), limit=5)) == [], said
    assert await world.dead_letters() == [], said
    kept = {letter.payload.decode() for letter in await world.ledger.malformed(limit=100)}
    assert kept == set(GARBAGE), said
    (summary,) = await world.ledger.summaries()
    assert (summary.settled, summary.backlog) == (KEYS, 0), f"no row is unexplained: {said}"
