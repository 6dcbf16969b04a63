"""What is made of answers of SQS that are no success, and of those that are not SQS's."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest

from s3fanout.adapters.aws.json_client import SQS, JsonClient
from s3fanout.adapters.aws.sqs_messages import Message, SqsMessages
from s3fanout.adapters.store.credentials import StaticCredentials
from s3fanout.adapters.system import SystemRand
from s3fanout.model.errors import LedgerUnavailable
from tests.unit.reciting import FixedClock, Reciting, answer

QUEUE = "https://sqs.test/q"
HANDLE = {"ReceiptHandle": "h"}


def messages_of(transport: Reciting) -> SqsMessages:
    return SqsMessages(
        JsonClient(
            SQS,
            region="eu-west-3",
            endpoint_url=None,
            credentials=StaticCredentials("AKEXAMPLE", "very-secret"),
            transport=transport,
            clock=FixedClock(),
            rand=SystemRand(),
        )
    )


def saying(document: object) -> SqsMessages:
    return messages_of(Reciting([answer(body=json.dumps(document).encode())]))


async def test_a_message_is_read_also_without_a_count() -> None:
    said = {"Messages": [{"Body": "b", **HANDLE}]}
    assert await saying(said).receive(QUEUE, 1, wait_s=0) == [Message("b", "h", 1)]
    assert not await saying({}).receive(QUEUE, 1, wait_s=0)


@pytest.mark.parametrize(
    "said",
    [
        {"Messages": 5},
        {"Messages": "text"},
        {"Messages": [HANDLE]},
        {"Messages": [{"Body": None, **HANDLE}]},
        {"Messages": [{"Body": "b", **HANDLE, "Attributes": []}]},
        {"Messages": [{"Body": "b", **HANDLE, "Attributes": {"ApproximateReceiveCount": "x"}}]},
        {"Messages": [{"Body": "b", **HANDLE, "Attributes": {"ApproximateReceiveCount": 1e999}}]},
    ],
    ids=str,
)
async def test_a_broken_answer_is_named_with_its_queue(said: object) -> None:
    with pytest.raises(LedgerUnavailable, match=f"broken answer .*queue={QUEUE}"):
        await saying(said).receive(QUEUE, 1, wait_s=0)


@pytest.mark.parametrize("said", [{}, {"Attributes": {}}, {"Attributes": []}], ids=str)
async def test_a_count_that_is_not_told_is_no_zero(said: object) -> None:
    with pytest.raises(LedgerUnavailable, match="broken answer"):
        await saying(said).count(QUEUE)


@pytest.mark.parametrize(
    ("failed", "text"),
    [([{"Id": "0", "Code": "InternalError"}], "code='InternalError'"), ([5], "broken answer")],
)
async def test_what_was_not_deleted_is_no_success(failed: object, text: str) -> None:
    with pytest.raises(LedgerUnavailable, match=text):
        await saying({"Failed": failed}).delete(QUEUE, ["h"])


@pytest.mark.parametrize(
    ("code", "is_passed_over"),
    [("MessageNotInflight", True), ("ReceiptHandleIsInvalid", True), ("AccessDenied", False)],
)
async def test_a_message_that_is_gone_keeps_no_other_from_being_put_off(
    code: str, is_passed_over: bool
) -> None:
    refusal = answer(400, json.dumps({"__type": f"com.amazonaws.sqs#{code}"}).encode())
    transport = Reciting([refusal, answer(body=b"{}")])
    with nullcontext() if is_passed_over else pytest.raises(LedgerUnavailable):
        await messages_of(transport).put_off(QUEUE, {"gone": 1, "other": 2})
    handles = [json.loads(sent.body)["ReceiptHandle"] for sent in transport.sent]
    assert handles == (["gone", "other"] if is_passed_over else ["gone"])
