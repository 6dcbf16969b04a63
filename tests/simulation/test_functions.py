"""Seeds of functions on AWS, and functions with one deliberate bug each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from s3fanout.adapters.store.memory import StoredObject
from s3fanout.awslambda.invocation import Invocations
from s3fanout.decide.turns import Verdict
from s3fanout.engine.copier import Replicated
from s3fanout.engine.turns import ROUNDS_MAX, TurnTaker
from s3fanout.model.jobs import Job, Settlement
from s3fanout.model.turns import Answer
from tests.simulation.function_ports import SimTurnLedger, SteppedStore
from tests.simulation.functions import FunctionParts, draw_function
from tests.simulation.run import run_functions, simulate_function
from tests.simulation.test_simulation import FRESH

KEPT = {
    137: "a message whose time ran out came back at once, and its copy landed last",
    4845: "a batch with a change of tags recorded no order: an older copy took itself for newer",
    597: "a change of tags alone, without an order, was taken for done under an older copy",
    676625103: "one of two deliveries failed behind the other, its copy landed last: not promised",
}
MUTANT_SEEDS_MAX = 1500


@pytest.mark.parametrize("first", [0])
def test_a_fixed_budget_of_seeds(first: int) -> None:
    assert [report for report in run_functions(first, 200) if report.error] == []


def test_fresh_seeds() -> None:
    assert [report for report in run_functions(FRESH, 200) if report.error] == []


@pytest.mark.parametrize("seed", KEPT)
def test_a_seed_that_failed_once(seed: int) -> None:
    assert simulate_function(draw_function(seed)).error == ""


@pytest.mark.parametrize("seed", [1, *KEPT])
def test_the_same_seed_leaves_the_same_trace(seed: int) -> None:
    first, second = (simulate_function(draw_function(seed)) for _ in range(2))
    assert first == second


class _LeaseWithoutFence(SimTurnLedger):
    """Who holds the message holds the key: nobody asks what others recorded meanwhile."""

    async def record(self, settlement: Settlement, *, turn: int | None) -> Answer:
        await super().record(settlement, turn=turn)
        return Answer(held=True, before=None)


class _NoTurn(SimTurnLedger):
    """A repeated write is recorded whatever was recorded meanwhile."""

    async def record(self, settlement: Settlement, *, turn: int | None) -> Answer:
        answer = await super().record(settlement, turn=turn)
        return answer if turn is None else replace(answer, held=True)


class _BackAtOnce(Invocations):
    """What time ran out for is tried again at once."""

    async def _work(self, groups: Any, *, time_s: float) -> Any:
        results: Sequence[Any] = await super()._work(groups, time_s=time_s)
        for message in (message for group in groups for message in group.messages):
            if message.stays:
                message.stays = False
                message.come_back(0)
        return results


class _RecordsAnotherState(SimTurnLedger):
    """What is recorded is not what was copied."""

    async def record(self, settlement: Settlement, *, turn: int | None) -> Answer:
        return await super().record(settlement._replace(source_etag="another"), turn=turn)


class _BytesOfAnotherRead(SteppedStore):
    """Attributes are those of the beginning of a copy, bytes those of its end."""

    async def _land(self, key: str, stored: StoredObject) -> None:
        await asyncio.sleep(self._world.latency_s())
        now = self._world.source.objects.get(key, stored)
        await super()._land(key, replace(now, attributes=stored.attributes))


class _ToBeSure(TurnTaker):
    """Whatever the ledger said, once more and once more cannot be wrong."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._rounds: Counter[str] = Counter()

    async def _is_done(self, verdict: Verdict, job: Job, outcome: Replicated) -> bool:
        self._rounds[job.key] += 1
        return self._rounds[job.key] == ROUNDS_MAX or await super()._is_done(
            Verdict.AGAIN, job, outcome
        )


MUTANTS = {
    "lease without fence": (FunctionParts(ledger=_LeaseWithoutFence), "converges"),
    "repeats without a turn": (FunctionParts(ledger=_NoTurn), "converges"),
    "back at once": (FunctionParts(invocations=_BackAtOnce), "converges"),
    "bytes of another read": (FunctionParts(store=_BytesOfAnotherRead), "never torn"),
    "once more to be sure": (FunctionParts(taker=_ToBeSure), "bounded"),
    "another state recorded": (FunctionParts(ledger=_RecordsAnotherState), "ledger agrees"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_is_caught(name: str) -> None:
    parts, auditor = MUTANTS[name]
    errors = (
        simulate_function(draw_function(seed), parts).error for seed in range(MUTANT_SEEDS_MAX)
    )
    assert any(error.startswith(f"Violation: {auditor}:") for error in errors)
