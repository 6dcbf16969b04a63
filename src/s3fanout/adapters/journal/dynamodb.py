"""The ledger as a DynamoDB table, written by many invocations at once.

Costs, in requests: a record is one ``UpdateItem`` (one write unit up to 1 KB of item; a new replica
touches no index). Records of a key: one ``Query``. Dead letters: as many pages of the sparse index
as they fill. ``summaries`` counts by a scan of the whole table, half a read unit for 4 KB: about
0.01 dollars and some seconds a million records (2026-11); nothing is counted beside the records,
because a counter would be a second write for every replica, and all on one item.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3fanout.adapters.aws.json_client import ServiceRefusal
from s3fanout.adapters.journal.dynamodb_items import (
    KEY_PREFIX,
    MALFORMED,
    MALFORMED_COUNT,
    PAUSED,
    Item,
    checkpoint_item,
    checkpoint_key,
    checkpoint_of,
    kept_of,
    key_of,
    malformed_item,
    malformed_of,
    numbered_of,
    record_of,
    recorded_of,
    typed,
    update_of,
    upload_item,
    upload_key,
    upload_of,
)
from s3fanout.adapters.journal.dynamodb_schema import DEAD_INDEX, DESTINATION, SUBJECT
from s3fanout.adapters.journal.dynamodb_tally import Tally
from s3fanout.adapters.journal.letters import check_room
from s3fanout.adapters.journal.states import check_settleable
from s3fanout.model.errors import LedgerUnavailable, Misconfigured, Unavailable
from s3fanout.model.jobs import JobState, NewJob
from s3fanout.model.turns import Answer
from s3fanout.ports.ledger import MALFORMED_ROWS_MAX

if TYPE_CHECKING:
    from s3fanout.adapters.aws.json_client import JsonClient
    from s3fanout.model.events import Malformed
    from s3fanout.model.jobs import (
        DestinationSummary,
        MalformedRecord,
        ReplicaRecord,
        Settlement,
    )
    from s3fanout.model.uploads import ReplicaUpload
    from s3fanout.ports.checkpoints import Checkpoint
    from s3fanout.ports.ledger import FailureSelection
    from s3fanout.ports.queue import Queue
    from s3fanout.ports.system import Clock

_REFUSED = "ConditionalCheckFailedException"
_NOT_NEWER = (
    "attribute_not_exists(order_token) OR order_scheme <> :order_scheme"
    " OR order_trusted = :untrusted OR order_token <= :order_token"
)
_SAME_TURN = "turn = :known_turn"
NO_END = "on AWS nothing would end a pause by itself"
NO_END_HINT = "pause without an end, and resume by hand or by a scheduled job"
_BATCH = 25
"""Items of one ``BatchWriteItem`` (DynamoDB API reference)."""
_READ_BATCH = 100
"""Items of one ``BatchGetItem`` (likewise)."""


class DynamoDbLedger:
    """``Ledger``, ``TurnLedger``, ``Uploads`` and ``Checkpoints`` on one table."""

    def __init__(
        self, client: JsonClient, table: str, *, clock: Clock, queue: Queue | None
    ) -> None:
        """Bind to a table.

        Args:
            client: Of DynamoDB.
            table: Its name.
            clock: Tells which waiting jobs are due.
            queue: Where redriven jobs go; ``None``: nothing can be redriven from here.
        """
        self._client = client
        self._table = table
        self._clock = clock
        self._queue = queue

    async def record(self, settlement: Settlement, *, turn: int | None) -> Answer:
        check_settleable((settlement,))
        job, order = settlement.job, settlement.job.order
        sets, removes = update_of(settlement)
        values = {f":{name}": typed(value) for name, value in sets.items()}
        names = {f"#{name}": name for name in (*sets, *removes)}
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in sets)
        update += " REMOVE " + ", ".join(f"#{name}" for name in sorted(removes))
        condition = None
        if settlement.state is JobState.SETTLED:
            update += " ADD turn :one"
            values[":one"] = typed(1)
            if turn is not None:
                condition = _SAME_TURN
                values[":known_turn"] = typed(turn)
            elif order is not None and order.trusted:
                condition = _NOT_NEWER
                values[":untrusted"] = typed(False)
        request: dict[str, Any] = {
            "Key": key_of(job.destination, job.key),
            "UpdateExpression": update,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_OLD",
        }
        if condition is not None:
            request["ConditionExpression"] = condition
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        try:
            before, held = (await self._call("UpdateItem", request)).get("Attributes"), True
        except ServiceRefusal as refusal:
            before, held = refusal.document.get("Item"), False
        return Answer(held, recorded_of(before) if before else None)

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        check_settleable(settlements)
        return [(await self.record(settlement, turn=None)).held for settlement in settlements]

    async def get(self, destination: str, key: str) -> ReplicaRecord | None:
        answer = await self._call(
            "GetItem", {"Key": key_of(destination, key), "ConsistentRead": True}
        )
        return record_of(answer["Item"]) if answer.get("Item") else None

    async def records_of_key(self, key: str) -> Sequence[ReplicaRecord]:
        found = self._pages("Query", {**_of_subject(KEY_PREFIX + key), "ConsistentRead": True})
        return [record_of(item) async for item in found]

    async def records(self, destination: str, keys: Sequence[str]) -> Mapping[str, ReplicaRecord]:
        found: dict[str, ReplicaRecord] = {}
        left = [key_of(destination, key) for key in dict.fromkeys(keys)]
        while left:
            wanted = {self._table: {"Keys": left[:_READ_BATCH], "ConsistentRead": True}}
            answer = await self._call("BatchGetItem", {"RequestItems": wanted})
            for item in answer.get("Responses", {}).get(self._table, ()):
                record = record_of(item)
                found[record.key] = record
            again = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            left = again + left[_READ_BATCH:]
            if again:
                await self._clock.sleep(0.1)
        return found

    async def owners(self, destination: str, replica_keys: Sequence[str]) -> Mapping[str, str]:
        """Nothing: functions are refused a key map that would need claims."""
        del destination, replica_keys
        return {}

    async def failures(
        self, selection: FailureSelection, *, limit: int, offset: int = 0
    ) -> Sequence[ReplicaRecord]:
        dead = sorted(
            [record async for record in self._dead(selection)],
            key=lambda record: (-(record.settled_at_ms or 0), record.destination, record.key),
        )
        return dead[offset : offset + limit]

    async def redrive(self, selection: FailureSelection, *, now_ms: int) -> int:
        if self._queue is None:
            raise LedgerUnavailable("there is no queue to put dead letters back into")
        dead = [record async for record in self._dead(selection)]
        # Sent first: a crash in between leaves dead letters that are worked on, never the reverse.
        await self._queue.accept([_new_job(record) for record in dead], now_ms=now_ms)
        for record in dead:
            try:
                await self._call(
                    "UpdateItem",
                    {
                        "Key": key_of(record.destination, record.key),
                        "UpdateExpression": "SET #state = :ready, due_at_ms = :now,"
                        " attempts = :none REMOVE dead_in, settled_at_ms",
                        "ConditionExpression": "#state = :dead",
                        "ExpressionAttributeNames": {"#state": "state"},
                        "ExpressionAttributeValues": {
                            ":ready": typed(JobState.READY.value),
                            ":dead": typed(JobState.DEAD.value),
                            ":now": typed(now_ms),
                            ":none": typed(0),
                        },
                    },
                )
            except ServiceRefusal:
                continue  # An attempt was quicker: the record says what it came to.
        return len(dead)

    async def summaries(self) -> Sequence[DestinationSummary]:
        now_ms = self._clock.now_ms()
        tallies: defaultdict[str, Tally] = defaultdict(Tally)
        async for item in self._pages("Scan", {"ConsistentRead": True}):
            subject, name = item[SUBJECT]["S"], item[DESTINATION]["S"]
            if subject == PAUSED:
                tallies[name].paused = item
            elif subject.startswith(KEY_PREFIX):
                tallies[name].add(item, now_ms=now_ms)
        return [tallies[name].summary(name) for name in sorted(tallies)]

    async def pause(
        self, destination: str, *, now_ms: int, reason: str, ends_at_ms: int | None = None
    ) -> None:
        """A note for people; what stops the work is the queue's trigger, which is not ours."""
        if ends_at_ms is not None:
            raise Misconfigured(NO_END, hint=NO_END_HINT)
        await self._call(
            "UpdateItem",
            {
                "Key": {SUBJECT: typed(PAUSED), DESTINATION: typed(destination)},
                "UpdateExpression": "SET paused_at_ms = if_not_exists(paused_at_ms, :now),"
                " paused_reason = :reason",
                "ExpressionAttributeValues": {":now": typed(now_ms), ":reason": typed(reason)},
            },
        )

    async def resume(self, destination: str) -> bool:
        answer = await self._call(
            "DeleteItem",
            {
                "Key": {SUBJECT: typed(PAUSED), DESTINATION: typed(destination)},
                "ReturnValues": "ALL_OLD",
            },
        )
        return bool(answer.get("Attributes"))

    async def keep_malformed(
        self, letters: Sequence[Malformed], *, route: str, now_ms: int
    ) -> None:
        check_room(kept=0, offered=len(letters))
        try:
            answer = await self._call(
                "UpdateItem",
                {
                    "Key": MALFORMED_COUNT,
                    "UpdateExpression": "ADD numbered :n, kept :n",
                    "ConditionExpression": "attribute_not_exists(kept) OR kept <= :room",
                    "ExpressionAttributeValues": {
                        ":n": typed(len(letters)),
                        ":room": typed(MALFORMED_ROWS_MAX - len(letters)),
                    },
                    "ReturnValues": "UPDATED_NEW",
                },
            )
        except ServiceRefusal:
            check_room(kept=MALFORMED_ROWS_MAX, offered=len(letters))
            raise
        first = numbered_of(answer["Attributes"]) - len(letters) + 1
        await self._batches(
            {"PutRequest": {"Item": malformed_item(letter, number=n, route=route, now_ms=now_ms)}}
            for n, letter in enumerate(letters, start=first)
        )

    async def malformed(self, *, limit: int) -> Sequence[MalformedRecord]:
        request = {**_of_subject(MALFORMED), "ScanIndexForward": False, "ConsistentRead": True}
        found: list[MalformedRecord] = []
        async for item in self._pages("Query", request):
            if len(found) == limit:
                break
            found.append(malformed_of(item))
        return found

    async def malformed_count(self) -> int:
        answer = await self._call("GetItem", {"Key": MALFORMED_COUNT, "ConsistentRead": True})
        return kept_of(answer.get("Item", {}))

    async def discard_malformed(self) -> int:
        request = {
            **_of_subject(MALFORMED),
            "ProjectionExpression": f"{SUBJECT}, {DESTINATION}",
            "ConsistentRead": True,
        }
        keys = [item async for item in self._pages("Query", request)]
        await self._batches({"DeleteRequest": {"Key": key}} for key in keys)
        if keys:
            await self._call(
                "UpdateItem",
                {
                    "Key": MALFORMED_COUNT,
                    "UpdateExpression": "ADD kept :less",
                    "ExpressionAttributeValues": {":less": typed(-len(keys))},
                },
            )
        return len(keys)

    async def upload_of(self, destination: str, key: str) -> ReplicaUpload | None:
        request = {"Key": upload_key(destination, key), "ConsistentRead": True}
        item = (await self._call("GetItem", request)).get("Item")
        return upload_of(item) if item else None

    async def ask_upload(self, destination: str, replica_key: str, *, at_ms: int) -> None:
        """Nobody looks for lost ones here: a lifecycle rule takes them (``doctor`` asks for it)."""

    async def answer_upload(self, destination: str, replica_key: str, *, asked_at_ms: int) -> None:
        """See ``ask_upload``."""

    async def keep_upload(self, upload: ReplicaUpload) -> None:
        await self._call("PutItem", {"Item": upload_item(upload)})

    async def forget_upload(self, destination: str, key: str) -> None:
        await self._call("DeleteItem", {"Key": upload_key(destination, key)})

    async def checkpoint(self, name: str) -> Checkpoint | None:
        request = {"Key": checkpoint_key(name), "ConsistentRead": True}
        item = (await self._call("GetItem", request)).get("Item")
        return checkpoint_of(item) if item else None

    async def keep_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        await self._call("PutItem", {"Item": checkpoint_item(name, checkpoint)})

    async def drop_checkpoint(self, name: str) -> None:
        await self._call("DeleteItem", {"Key": checkpoint_key(name)})

    async def _dead(self, selection: FailureSelection) -> AsyncIterator[ReplicaRecord]:
        conditions = [f"begins_with({SUBJECT}, :prefix)"]
        values = {":prefix": typed(KEY_PREFIX + selection.key_prefix)}
        request: dict[str, Any] = {"IndexName": DEAD_INDEX}
        if selection.code is not None:
            conditions.append("error_code = :code")
            values[":code"] = typed(selection.code)
        if selection.destination is not None:
            request["KeyConditionExpression"] = "dead_in = :destination"
            values[":destination"] = typed(selection.destination)
        for name, sign, at_ms in (
            ("since", ">=", selection.since_at_ms),
            ("until", "<=", selection.until_at_ms),
        ):
            if at_ms is not None:
                # A filter, though the index is sorted by it: the other conditions are filters too.
                conditions.append(f"settled_at_ms {sign} :{name}")
                values[f":{name}"] = typed(at_ms)
        request |= {
            "FilterExpression": " AND ".join(conditions),
            "ExpressionAttributeValues": values,
        }
        operation = "Scan" if selection.destination is None else "Query"
        async for item in self._pages(operation, request):
            yield record_of(item)

    async def _pages(self, operation: str, request: dict[str, Any]) -> AsyncIterator[Item]:
        start: Item | None = None
        while True:
            page = {**request, "ExclusiveStartKey": start} if start else request
            answer = await self._call(operation, page)
            for item in answer.get("Items", ()):
                yield item
            start = answer.get("LastEvaluatedKey")
            if not start:
                return

    async def _batches(self, requests: Any) -> None:
        """Puts or deletes, as many as there are; what DynamoDB had no room for is sent again."""
        left = list(requests)
        while left:
            answer = await self._call(
                "BatchWriteItem", {"RequestItems": {self._table: left[:_BATCH]}}
            )
            again = answer.get("UnprocessedItems", {}).get(self._table, [])
            left = again + left[_BATCH:]
            if again:
                await self._clock.sleep(0.1)

    async def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """One request.

        Raises:
            ServiceRefusal: Its condition did not hold. Nothing else.
            LedgerUnavailable: Anything else.
        """
        if operation not in {"BatchWriteItem", "BatchGetItem"}:
            request = {"TableName": self._table, **request}
        try:
            return await self._client.call(operation, request)
        except ServiceRefusal as refusal:
            if refusal.code == _REFUSED:
                raise
            raise LedgerUnavailable(
                f"{refusal} table={self._table}",
                hint=f"check the table, and that the role may dynamodb:{operation}",
            ) from refusal
        except Unavailable as error:
            raise LedgerUnavailable(
                f"{error} table={self._table}", hint="DynamoDB gave no answer"
            ) from error


def _of_subject(subject: str) -> dict[str, Any]:
    return {
        "KeyConditionExpression": f"{SUBJECT} = :subject",
        "ExpressionAttributeValues": {":subject": typed(subject)},
    }


def _new_job(record: ReplicaRecord) -> NewJob:
    return NewJob(
        destination=record.destination,
        key=record.key,
        kind=record.kind,
        event_at_ms=record.event_at_ms,
        order=record.order,
        etag=record.etag,
        size_bytes=record.size_bytes,
        version_id=record.version_id,
    )
