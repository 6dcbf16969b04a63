"""Several attempts may write one replica at the same time: after its write, is an attempt done?

Nobody holds a lease and no clock is asked. Every attempt writes first and then records what it
wrote, by one conditional write that tells what was recorded before and counts the record's *turn*.
Of any two attempts that both wrote, the one that records second learns of the first: it is the one
that must make sure.

First record of an attempt, refused if a newer change is recorded (``NOT_NEWER``):

| recorded before | verdict | because |
|---|---|---|
| nothing | DONE | whoever wrote besides us records later, and will see us |
| a newer change (refused) | AGAIN | our write may lie on top of the newer one |
| any other, same replica etag | AGAIN | one may lie on the other; an etag cannot tell which |
| an older change, other replica etag | LOOK | its write may lie on ours, ours on a newer one |
| the same change, other replica etag | LOOK | as the older one; what it owes, we owe |
| a change that cannot be compared, other replica etag | LOOK | either may be newer |

An order point says how new the recorded state is *at least*: it may have been read after a change
that S3 gives no order (of tags alone). So an older one is no proof that the state is older.

Later records of an attempt, refused if the turn is not the one that it knows (``SAME_TURN``); it
read the source after it learned that turn:

| turn | verdict | because |
|---|---|---|
| as known | DONE | our write came after all that was recorded, of facts read after it |
| another (refused) | AGAIN | somebody recorded meanwhile |

``docs/guarantees.md`` has the argument, ``tests/functional/test_turns.py`` tries all interleavings.
"""

from __future__ import annotations

from enum import StrEnum

from s3fanout.model.events import OrderPoint
from s3fanout.model.turns import Answer


class Verdict(StrEnum):
    """What an attempt does after it recorded its write."""

    DONE = "done"
    LOOK = "look"
    """Done if the source still is what we copied, and the replica what we wrote; else again."""
    AGAIN = "again"
    """Read the source and write once more, knowing the turn."""


class Relation(StrEnum):
    """Where a recorded change stands, seen from ours."""

    OLDER = "older"
    SAME = "same"
    NEWER = "newer"
    UNKNOWN = "unknown"


def relation(ours: OrderPoint | None, recorded: OrderPoint | None) -> Relation:
    """Compare order points of one key; only trusted ones of one scheme can be compared."""
    if ours is None or recorded is None or ours.scheme != recorded.scheme:
        return Relation.UNKNOWN
    if ours.token == recorded.token:
        return Relation.SAME
    if not (ours.trusted and recorded.trusted):
        return Relation.UNKNOWN
    return Relation.NEWER if recorded.token > ours.token else Relation.OLDER


def judge_turn(
    answer: Answer, *, order: OrderPoint | None, replica_etag: str, turn: int | None
) -> Verdict:
    """What an attempt does next.

    Args:
        answer: What the ledger said to its record.
        order: Of its change.
        replica_etag: Of what it wrote.
        turn: That it knew; ``None`` for its first record.
    """
    if turn is not None:
        return Verdict.DONE if answer.held else Verdict.AGAIN
    before = answer.before
    if before is None or before.turn == 0:
        return Verdict.DONE
    if relation(order, before.order) is Relation.NEWER or before.replica_etag == replica_etag:
        # Changes of attributes alone keep the etag, and S3 gives their events no order.
        return Verdict.AGAIN
    return Verdict.LOOK


def later(ours: OrderPoint | None, recorded: OrderPoint | None) -> OrderPoint | None:
    """The order point that may be recorded: what was read is at least as new as both."""
    if ours is None:
        return recorded
    return recorded if relation(ours, recorded) is Relation.NEWER else ours
