"""SQS and DynamoDB as the suites of queue and ledger see them, and which capabilities they lack."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from s3fanout.adapters.aws.json_client import SQS
from s3fanout.adapters.aws.sqs_messages import SqsMessages
from s3fanout.adapters.aws.sqs_queue import SqsQueue
from s3fanout.adapters.journal.dynamodb import DynamoDbLedger
from s3fanout.adapters.system import SystemClock
from tests.conformance.journals import Journal, World
from tests.servers.aws import client_of, new_table, transport

if TYPE_CHECKING:
    from s3fanout.adapters.store.transport_routed import RoutedTransport
    from tests.servers.server import Server

DESTINATIONS = ("a", "b", "nowhere")

ORDER = "order at acceptance: SQS takes every job; what is stale shows when an attempt records"
RECORDS = "records of accepted jobs: a job is in the queue until its first attempt ended"
FENCES = "fences: turns stand in for them (test_turn_ledger.py, tests/functional/test_turns.py)"
CLOCK = "our clock: SQS counts visibility, delays and polls by its own"
AGE = "order by age: SQS promises none"
TRIGGER = "pause in the queue: what is switched off is the function's trigger"
BULK = "bulk: 10,000 messages would take minutes on the emulator"

LACKS = {
    "test_older_jobs_come_first": AGE,
    "test_the_newest_change_wins": ORDER,
    "test_a_duplicate_of_a_finished_job_is_not_done_again": ORDER,
    "test_a_newer_change_replaces_a_waiting_job": ORDER,
    "test_a_newer_change_of_a_leased_key_waits_for_the_end_of_the_lease": FENCES,
    "test_fences_grow_over_restarts": FENCES,
    "test_unfinished_jobs_are_claimed_again_after_a_restart": CLOCK,
    "test_a_finished_job_is_done": RECORDS,
    "test_a_released_job_is_unchanged_and_claimed_when_due": CLOCK,
    "test_a_postponed_job_is_claimed_when_due": CLOCK,
    "test_late_words_of_a_postponed_attempt_change_nothing": FENCES,
    "test_due_jobs_do_not_wait_for_jobs_that_are_not": CLOCK,
    "test_ready_jobs_are_due_when_the_clock_jumps_back": CLOCK,
    "test_a_paused_destination_has_nothing_to_claim": TRIGGER,
    "test_a_pause_for_a_time_ends_by_itself_and_wakes": TRIGGER,
    "test_a_pause_for_a_time_is_shown_until_it_is_over": TRIGGER,
    "test_what_can_be_claimed_wakes": CLOCK,
    "test_a_due_time_wakes": CLOCK,
    "test_a_wait_ends_with_its_time": CLOCK,
    "test_keys_are_verbatim": ORDER,
    "test_calls_at_the_same_time_all_count": RECORDS,
    "test_the_jobs_of_one_call_share_a_fence_and_those_of_the_next_have_a_greater": FENCES,
    "test_calls_at_the_same_time_share_no_fence": FENCES,
    "test_the_etags_of_the_last_eight_changes_are_known_until_the_replica_is": RECORDS,
    "test_a_record_follows_its_job": RECORDS,
    "test_a_lease_is_not_part_of_the_record": RECORDS,
    "test_what_is_known_of_the_replica_stays_until_it_is_settled_again": RECORDS,
    "test_an_overtaken_settlement_is_refused": FENCES,
    "test_what_an_overtaken_attempt_made_of_the_replica_is_known": FENCES,
    "test_many_settlements_of_one_call_are_answered_one_by_one": FENCES,
    "test_settlements_of_one_key_in_one_call_follow_each_other": FENCES,
    "test_an_attempt_that_ends_twice_goes_on_with_what_is_on_record": FENCES,
    "test_a_settlement_of_an_unknown_key_is_refused": RECORDS,
    "test_a_settlement_says_how_the_attempt_ended": RECORDS,
    "test_a_job_that_was_settled_before_its_claim_is_not_claimed": FENCES,
    "test_records_of_a_key_are_those_of_all_destinations": RECORDS,
    "test_a_redriven_job_keeps_its_history_and_refuses_the_old_attempt": FENCES,
    "test_a_summary_is_counted_from_the_records": RECORDS,
    "test_summaries_come_by_name": RECORDS,
    "test_malformed_messages_are_bounded": BULK,
}
"""Tests of the suites that need a capability which queue and ledger on AWS do not have."""


class AwsJournal:
    """Both in one, as the suites ask for them."""

    def __init__(self, queue: SqsQueue, ledger: DynamoDbLedger) -> None:
        self._parts = (queue, ledger)

    def __getattr__(self, name: str) -> Any:
        queue, ledger = self._parts
        return getattr(queue if hasattr(queue, name) else ledger, name)

    async def close(self) -> None:
        """The world closes the connections."""


@dataclass(slots=True)
class AwsWorld(World):
    """A table and queues of its own on the emulator."""

    server: Server | None = None
    name: str = ""
    over: RoutedTransport = field(default_factory=transport)
    urls: dict[str, str] = field(default_factory=dict)
    ledger: DynamoDbLedger | None = None

    async def start(self) -> None:
        assert self.server is not None
        client = client_of(self.server, SQS, self.over)
        if not self.urls:
            for destination in DESTINATIONS:
                created = await client.call(
                    "CreateQueue", {"QueueName": f"{self.name}-{destination}"}
                )
                self.urls[destination] = created["QueueUrl"]
        queue = SqsQueue(SqsMessages(client), self.urls, clock=SystemClock())
        if self.ledger is None:
            self.ledger = await new_table(
                self.server, self.name, self.over, clock=self.clock, queue=queue
            )
        self.opened = cast("Journal", AwsJournal(queue, self.ledger))

    async def stop(self) -> None:
        await self.over.close()
