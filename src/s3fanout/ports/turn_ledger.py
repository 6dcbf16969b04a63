"""The ledger as attempts write it that nobody keeps apart: no leases, no fences, turns instead."""

from __future__ import annotations

from typing import Protocol

from s3fanout.model.jobs import Settlement
from s3fanout.model.turns import Answer


class TurnLedger(Protocol):
    """One record per (destination, key), changed by one conditional write at a time."""

    async def record(self, settlement: Settlement, *, turn: int | None) -> Answer:
        """Record what an attempt came to; durable on return. One write, no read.

        A settled attempt counts the record's turn, keeps ``settlement.job.order`` with it (or what
        is there, if the job has none) and writes under one of two named conditions:

        - ``NOT_NEWER``, for ``turn`` ``None``: the recorded change is not newer than the job's
          (trusted order points of one scheme; anything else is not newer).
        - ``SAME_TURN``: the record's turn is ``turn``.

        Any other outcome (waiting, dead, superseded) is written without a condition and counts no
        turn: it says how the last attempt at the key ended.

        Raises:
            LedgerUnavailable: Whether it was written is not known.
        """
        ...
