"""What becomes of each message of a batch, with the production code on memory adapters.

The emulator shows that AWS does what is asked of it (``tests/e2e/test_function.py``); here it is
what is asked: which messages come back, when, and which job is ended by whom.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from s3fanout.adapters.journal.local_uploads import LocalUploads
from s3fanout.adapters.journal.memory_turns import MemoryTurnLedger
from s3fanout.adapters.store.faulty import Call, Fault, FaultyStore
from s3fanout.adapters.store.memory import MemoryStores, StoredObject
from s3fanout.awslambda.environment import FunctionSettings
from s3fanout.awslambda.invocation import Invocations
from s3fanout.awslambda.report import Report
from s3fanout.decide.plan import Way
from s3fanout.decide.retry import backoff_cap_s
from s3fanout.deploy.queues import DELIVERIES_MAX, QUEUE_RETENTION_S
from s3fanout.engine.copier import Copier
from s3fanout.engine.delivery import Deliverer
from s3fanout.engine.keeper import Keeper
from s3fanout.engine.reads import SharedReads
from s3fanout.engine.turns import TurnTaker
from s3fanout.model.errors import (
    AccessDenied,
    LedgerUnavailable,
    StoreError,
    Throttled,
    Unavailable,
)
from s3fanout.model.events import Malformed
from s3fanout.model.jobs import JobState, Settlement
from s3fanout.model.limits import PART_BYTES_MIN, Limits
from s3fanout.model.objects import ObjectAttributes
from s3fanout.model.rules import Rule
from s3fanout.model.topology import Topology
from s3fanout.model.turns import Answer
from s3fanout.model.uploads import ReplicaUpload
from tests.functional.clock import VirtualClock
from tests.functional.world import PLAIN

LIMITS = Limits()
TIME_S = 30.0


class Rand:
    """Chance that always draws the most."""

    def uniform(self, low: float, high: float) -> float:
        return max(low, high)


class RefusingLedger(MemoryTurnLedger):
    """A turn ledger that can be told to refuse."""

    refuses = False

    async def record(self, settlement: Settlement, *, turn: int | None) -> Answer:
        if self.refuses:
            raise LedgerUnavailable("throttled")
        return await super().record(settlement, turn=turn)


async def _plain() -> Any:
    return PLAIN


@dataclass
class Home:
    """One function, its queues and its buckets."""

    limits: Limits = LIMITS
    clock: VirtualClock = field(default_factory=VirtualClock)
    ledger: RefusingLedger = field(default_factory=RefusingLedger)
    uploads: LocalUploads = field(default_factory=LocalUploads)
    lines: list[dict[str, Any]] = field(default_factory=list)
    put_off_s: dict[str, int] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)
    sent_on: list[str] = field(default_factory=list)
    kept: list[Malformed] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    """Of requests to the destination, by key."""
    queue_refuses: bool = False

    def __post_init__(self) -> None:
        self.stores = MemoryStores(self.clock)
        self.source = self.stores.create_bucket("source")
        self.replica = self.stores.create_bucket("replica")
        settings = FunctionSettings(
            topology=Topology.DURABLE,
            source_bucket="source",
            source_region="r",
            bucket="replica",
            region="r",
            rule=Rule("a"),
            table="table",
            queue_url="queue",
            dead_letter_url="dead",
            limits=self.limits,
        )
        self.report = Report(
            destination="a",
            function="f",
            write=lambda line: self.lines.append(json.loads(line)),
            now_ms=self.clock.now_ms,
        )
        self.invocations = Invocations(
            settings,
            deliverers={"source": self._deliverer(settings.rule)},
            messages=self,
            send_on=self._send_on,
            uploads=self.uploads,
            keeper=self,
            clock=self.clock,
            report=self.report,
        )

    def _deliverer(self, rule: Rule) -> Deliverer:
        faulty = FaultyStore(self.replica, self._fault)
        keeper = Keeper(rule.keeping, destination=faulty, vendor=_plain, clock=self.clock)
        copier = Copier(
            rule=rule,
            way=Way.SERVER,
            source=self.source,
            destination=faulty,
            reads=SharedReads(
                self.source,
                budget_bytes=1,
                part_bytes=1,
                destinations=1,
                vendor=_plain,
                clock=self.clock,
            ),
            keeper=keeper,
            takers_of=lambda _key: ("a",),
            remover=None,
            uploads=self.uploads,
            conditions_honoured=lambda: True,
            clock=self.clock,
            limits=self.limits,
        )
        taker = TurnTaker(
            copier=copier,
            source=self.source,
            destination=faulty,
            key_map=rule.key_map,
            ledger=self.ledger,
        )
        return Deliverer(
            taker=taker,
            ledger=self.ledger,
            clock=self.clock,
            rand=Rand(),
            telemetry=self.report,
            limits=self.limits,
        )

    def _fault(self, call: Call) -> Fault | None:
        return self.faults.get(call.key)

    def put(self, key: str, content: bytes = b"content", *, sequencer: str = "01") -> str:
        """Write a source object; the body of its message."""
        stored = StoredObject.of(content, ObjectAttributes(), now_ms=self.clock.now_ms())
        self.source.objects[key] = stored
        record = {
            "eventVersion": "2.3",
            "eventSource": "aws:s3",
            "eventTime": "2027-01-15T08:00:00.000Z",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": "source"},
                "object": {
                    "key": key,
                    "eTag": stored.etag,
                    "size": len(content),
                    "sequencer": sequencer,
                },
            },
        }
        return json.dumps({"Records": [record]})

    def deliver(
        self, bodies: Mapping[str, str], *, received: int = 1, time_s: float = TIME_S
    ) -> set[str]:
        """Messages by id, delivered so often by now; the ids of those that come back."""
        records = [
            {
                "messageId": name,
                "receiptHandle": f"handle of {name}",
                "body": body,
                "attributes": {"ApproximateReceiveCount": str(received)},
            }
            for name, body in bodies.items()
        ]
        answer = asyncio.run(self.invocations.batch(records, time_s=time_s))
        self.report.flush()
        return {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}

    # ``Messages`` and ``Keeper``

    async def send(
        self, queue_url: str, bodies: Sequence[str], *, attributes: Mapping[str, str] | None = None
    ) -> None:
        assert queue_url == "dead"
        self.dead += bodies

    async def put_off(self, queue_url: str, delays_s: Mapping[str, int]) -> None:
        if self.queue_refuses:
            raise LedgerUnavailable("the queue is throttled")
        self.put_off_s |= delays_s

    async def keep_malformed(
        self, letters: Sequence[Malformed], *, route: str, now_ms: int
    ) -> None:
        if self.ledger.refuses:
            raise LedgerUnavailable("throttled")
        self.kept += letters

    async def _send_on(self, body: str) -> None:
        self.sent_on.append(body)


def test_only_what_failed_comes_back_and_after_our_own_delay() -> None:
    home = Home()
    bodies = {key: home.put(key) for key in ("good", "bad")}
    home.faults["bad"] = Fault(Throttled("slow down", status=503))
    assert home.deliver(bodies) == {"bad"}
    assert home.put_off_s == {"handle of bad": 1}
    assert home.deliver(bodies, received=5) == {"bad"}
    assert home.put_off_s == {"handle of bad": backoff_cap_s(4, LIMITS)}
    assert home.replica.objects.keys() == {"good"}
    assert [line["action"] for line in home.lines if "action" in line][:2] == [
        "replicated",
        "waiting",
    ]


@pytest.mark.parametrize("names", [("old", "new"), ("new", "old")])
def test_the_newest_of_a_batch_leads_the_one_attempt_for_its_key(names: tuple[str, str]) -> None:
    home = Home()
    old, new = home.put("k", b"old", sequencer="01"), home.put("k", b"newer", sequencer="02")
    bodies = {"old": old, "new": new}
    assert home.deliver({name: bodies[name] for name in names}) == set()
    assert home.replica.objects["k"].content == b"newer"
    assert home.replica.requests["CopyObject"] == 1, "no hint was outdated"


@pytest.mark.parametrize(
    "error", [Throttled("slow down", status=503), Unavailable("no answer", status=500)]
)
def test_throttling_and_missing_answers_end_no_job(error: StoreError) -> None:
    home = Home()
    bodies = {"m": home.put("k")}
    home.faults["k"] = Fault(error)
    for received in (1, LIMITS.attempts_max, DELIVERIES_MAX):
        assert home.deliver(bodies, received=received) == {"m"}
        assert home.ledger.states["a", "k"] is JobState.WAITING
    assert home.dead == []


def test_the_queue_gives_a_message_up_only_after_hours() -> None:
    """Where everything fails, each delivery waits half of the most, on average."""
    waits_s = [backoff_cap_s(attempt, LIMITS) / 2 for attempt in range(1, DELIVERIES_MAX)]
    assert 6 * 3600 < sum(waits_s) < QUEUE_RETENTION_S


def test_what_is_refused_too_often_is_a_dead_letter_by_the_functions_own_count() -> None:
    home = Home()
    bodies = {"m": home.put("k")}
    home.faults["k"] = Fault(AccessDenied("no", status=403, s3_code="AccessDenied"))
    assert home.deliver(bodies, received=LIMITS.attempts_max - 1) == {"m"}
    assert home.dead == []
    assert home.deliver(bodies, received=LIMITS.attempts_max) == set()
    assert home.ledger.states["a", "k"] is JobState.DEAD
    assert len(home.dead) == 1
    home.faults.clear()
    assert home.deliver({"again": home.dead[0]}) == set()
    assert home.replica.objects.keys() == {"k"}, "what is in the dead-letter queue is the job"


def test_what_the_ledger_refuses_comes_back_and_spoils_no_other_message() -> None:
    home = Home()
    good, bad = home.put("k"), "garbage"
    home.ledger.refuses = True
    assert home.deliver({"good": good, "bad": bad}) == {"good", "bad"}
    assert home.kept == []
    home.ledger.refuses = False
    assert home.deliver({"good": good, "bad": bad}, received=2) == set()
    assert home.ledger.states["a", "k"] is JobState.SETTLED
    assert [letter.payload for letter in home.kept] == [b"garbage"]


@pytest.mark.parametrize(
    "poison",
    ["\ud800", '{"s3fanout": 1, "job": "\ud800"}', '{"s3fanout": 1, "job": ' + "[" * 100_000],
    ids=["half-a-surrogate-pair", "in-a-job", "deep"],
)
def test_no_bytes_of_a_message_spoil_its_batch(poison: str) -> None:
    home = Home()
    assert home.deliver({"poison": poison, "good": home.put("good")}) == set()
    assert len(home.kept) == 1
    assert home.replica.objects.keys() == {"good"}


def test_what_cannot_be_put_off_comes_back_with_its_batch() -> None:
    home = Home()
    bodies = {key: home.put(key) for key in ("good", "bad")}
    home.faults["bad"] = Fault(Throttled("slow down", status=503))
    home.queue_refuses = True
    with pytest.raises(LedgerUnavailable):
        home.deliver(bodies)


def test_what_time_ran_out_for_comes_back_when_its_visibility_ends() -> None:
    """Not earlier: what was asked of the store may land until then."""
    home = Home()
    bodies = {key: home.put(key) for key in ("good", "slow")}
    home.faults["slow"] = Fault(pause=asyncio.Event().wait)
    assert home.deliver(bodies, time_s=0.2) == {"slow"}
    assert home.put_off_s == {}
    assert [line["action"] for line in home.lines if "action" in line] == [
        "replicated",
        "out-of-time",
    ]


def test_an_upload_of_a_state_that_the_source_no_longer_has_is_aborted() -> None:
    home = Home(limits=Limits(copy_bytes_max=10))

    async def begin() -> None:
        upload_id = await home.replica.create_upload("k", ObjectAttributes())
        upload = ReplicaUpload("a", "k", "k", upload_id, "of another state", PART_BYTES_MIN)
        await home.uploads.keep_upload(upload)

    asyncio.run(begin())
    assert home.deliver({"m": home.put("k", b"x" * 11)}) == set()
    assert home.replica.objects["k"].content == b"x" * 11
    assert home.replica.requests["AbortMultipartUpload"] == 1
    assert not asyncio.run(home.replica.list_uploads())
