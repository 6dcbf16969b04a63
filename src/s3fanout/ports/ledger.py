"""The ledger: the durable truth about every (destination, key)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from s3fanout.model.events import Malformed
from s3fanout.model.jobs import DestinationSummary, MalformedRecord, ReplicaRecord, Settlement


@dataclass(frozen=True, slots=True)
class FailureSelection:
    """Which dead letters are meant.

    Attributes:
        destination: One destination, or all.
        key_prefix: Source keys that start with it.
        code: Error code, or all.
        since_at_ms: Those that stopped then or later, or all.
        until_at_ms: Those that stopped then or earlier, or all.
    """

    destination: str | None = None
    key_prefix: str = ""
    code: str | None = None
    since_at_ms: int | None = None
    until_at_ms: int | None = None


class Ledger(Protocol):
    """What is known about every replica.

    Writes are conditional on the fence of the job: a settlement of an attempt that was overtaken
    by a newer change is dropped. Everything that is counted is counted from the records.
    """

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        """Record outcomes; when this returns they are durable. In order of the argument.

        Returns:
            Per settlement, whether it was written (``False``: a newer job has replaced it, and is
            still to be done).

        Raises:
            LedgerUnavailable: None of them was recorded.
        """
        ...

    async def get(self, destination: str, key: str) -> ReplicaRecord | None:
        """The record of one replica."""
        ...

    async def records_of_key(self, key: str) -> Sequence[ReplicaRecord]:
        """The records of one source key in all destinations, by destination name."""
        ...

    async def records(self, destination: str, keys: Sequence[str]) -> Mapping[str, ReplicaRecord]:
        """The records of these keys in one destination, by key; those that there are."""
        ...

    async def owners(self, destination: str, replica_keys: Sequence[str]) -> Mapping[str, str]:
        """Source keys that claim these replica keys, by replica key; see ``ReplicaKeys``."""
        ...

    async def failures(
        self, selection: FailureSelection, *, limit: int, offset: int = 0
    ) -> Sequence[ReplicaRecord]:
        """Dead letters, newest first."""
        ...

    async def redrive(self, selection: FailureSelection, *, now_ms: int) -> int:
        """Make the selected dead letters ready again, attempts at 0. Returns how many."""
        ...

    async def summaries(self) -> Sequence[DestinationSummary]:
        """One per destination that has a record or is paused, by name."""
        ...

    async def pause(
        self, destination: str, *, now_ms: int, reason: str, ends_at_ms: int | None = None
    ) -> None:
        """Stop claims of a destination until ``resume``; survives restarts.

        A pause that is there keeps its beginning, and takes this reason and end.

        Args:
            destination: Its name.
            now_ms: Now.
            reason: For people.
            ends_at_ms: Or until then, by the clock of whoever claims.

        Raises:
            Misconfigured: An end that this ledger cannot keep.
        """
        ...

    async def resume(self, destination: str) -> bool:
        """Let a destination be claimed again. Returns whether it was paused."""
        ...

    async def keep_malformed(
        self, letters: Sequence[Malformed], *, route: str, now_ms: int
    ) -> None:
        """Keep messages that could not be understood; durable on return.

        Raises:
            LedgerUnavailable: Also when ``MALFORMED_ROWS_MAX`` are kept already: the sender keeps
                the message, and a person has to look.
        """
        ...

    async def malformed(self, *, limit: int) -> Sequence[MalformedRecord]:
        """Kept messages, newest first."""
        ...

    async def malformed_count(self) -> int:
        """How many messages are kept; their payloads are not read."""
        ...

    async def discard_malformed(self) -> int:
        """Forget all kept messages. Returns how many there were."""
        ...


MALFORMED_ROWS_MAX = 10_000
"""At 64 KiB a payload this bounds the ledger's growth by broken senders to 640 MiB."""
