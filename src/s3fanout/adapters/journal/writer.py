"""The thread that writes the ledger, with group commit.

Everything that waits when the thread looks is written in one transaction and confirmed together:
one flush to the disk serves all. While it flushes, the next group gathers.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from s3fanout.model.errors import LedgerUnavailable, S3FanoutError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from s3fanout.adapters.journal.file import LedgerFile
    from s3fanout.model.jobs import NewJob, Settlement

T = TypeVar("T")

_GROUP_ROWS_MAX = 10_000
"""Rows after which a transaction takes in no further operation: bounds how long the first waits
for the last."""


@dataclass(slots=True, eq=False)
class Accept:
    """Write ``LedgerFile.accept`` of these jobs."""

    jobs: Sequence[NewJob]
    now_ms: int
    deliver: Callable[[list[int] | Exception], None]


@dataclass(slots=True, eq=False)
class Settle:
    """Write ``LedgerFile.settle`` of these settlements."""

    settlements: Sequence[Settlement]
    deliver: Callable[[list[int] | Exception], None]


@dataclass(slots=True, eq=False)
class Change(Generic[T]):
    """Write whatever ``run`` writes. Only before it writes may it raise an ``S3FanoutError``."""

    run: Callable[[LedgerFile], T]
    deliver: Callable[[T | Exception], None]


@dataclass(slots=True, eq=False)
class Look(Generic[T]):
    """Read what is committed, this group's writes included."""

    run: Callable[[sqlite3.Connection], T]
    deliver: Callable[[T | Exception], None]


Operation = Accept | Settle | Change[Any] | Look[Any]

Outcomes = list[tuple["Callable[[Any], None]", Any]]
"""Whom to tell, and what."""

_UNAVAILABLE = (sqlite3.OperationalError, sqlite3.InternalError, sqlite3.DatabaseError)
"""Exactly these classes (not subclasses) mean the file or its disk; others mean the values."""


class Writer:
    """Runs operations in the order of their submission and delivers their outcomes on ``loop``.

    Within a group, settlements come first, then acceptances, then changes, then looks; outcomes
    are delivered in that order too, before anything that they confirm can be built upon.
    """

    def __init__(self, file: LedgerFile, loop: asyncio.AbstractEventLoop) -> None:
        self._file = file
        self._loop = loop
        self._operations: SimpleQueue[Operation | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="journal-writer", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation) -> None:
        """Have ``operation`` run. Not after ``stop``."""
        self._operations.put(operation)

    def stop(self) -> None:
        """Run what was submitted, then end the thread and close the file. Blocks."""
        self._operations.put(None)
        self._thread.join()
        self._file.connection.close()

    def _work(self) -> None:
        going = True
        while going:
            group, going = self._gather()
            writes = [operation for operation in group if not isinstance(operation, Look)]
            outcomes = self._write(writes) if writes else []
            for operation in group:
                if isinstance(operation, Look):
                    outcomes.append((operation.deliver, self._look(operation)))
            with suppress(RuntimeError):  # The loop is closed: nobody is left to be told.
                self._loop.call_soon_threadsafe(_deliver, outcomes)

    def _gather(self) -> tuple[list[Operation], bool]:
        """Everything that waits, at least one operation; and whether to go on."""
        group: list[Operation] = []
        rows = 0
        operation = self._operations.get()
        with suppress(Empty):
            while operation is not None:
                group.append(operation)
                rows += _rows_of(operation)
                if rows >= _GROUP_ROWS_MAX:
                    return group, True
                operation = self._operations.get_nowait()
            return group, False
        return group, True

    def _write(self, operations: Sequence[Operation]) -> Outcomes:
        try:
            self._file.begin()
            outcomes = self._run(operations)
            self._file.commit()
        except Exception as error:  # noqa: BLE001 - it is delivered; the thread must live
            self._file.roll_back()
            if type(error) in _UNAVAILABLE:
                return [(operation.deliver, unavailable(error)) for operation in operations]
            if len(operations) == 1:
                return [(operations[0].deliver, error)]
            # One of them brought values that cannot be stored: it must not take others along.
            half = len(operations) // 2
            return self._write(operations[:half]) + self._write(operations[half:])
        return outcomes

    def _run(self, operations: Sequence[Operation]) -> Outcomes:
        outcomes: Outcomes = []
        settles = [operation for operation in operations if isinstance(operation, Settle)]
        if settles:
            fences = self._file.settle([settle.settlements for settle in settles])
            outcomes += zip([settle.deliver for settle in settles], fences, strict=True)
        accepts = [operation for operation in operations if isinstance(operation, Accept)]
        if accepts:
            fences = self._file.accept([(accept.jobs, accept.now_ms) for accept in accepts])
            outcomes += zip([accept.deliver for accept in accepts], fences, strict=True)
        for operation in operations:
            if isinstance(operation, Change):
                try:
                    outcomes.append((operation.deliver, operation.run(self._file)))
                except S3FanoutError as error:
                    outcomes.append((operation.deliver, error))
        return outcomes

    def _look(self, look: Look[Any]) -> object:
        try:
            return look.run(self._file.connection)
        except sqlite3.Error as error:
            return unavailable(error)


def _rows_of(operation: Operation) -> int:
    match operation:
        case Accept():
            return len(operation.jobs)
        case Settle():
            return len(operation.settlements)
        case _:
            return 1


def unavailable(error: Exception) -> LedgerUnavailable:
    """What callers are told when SQLite failed."""
    made = LedgerUnavailable(f"the ledger cannot be used now: {error}")
    made.__cause__ = error
    return made


def _deliver(outcomes: Outcomes) -> None:
    for deliver, outcome in outcomes:
        deliver(outcome)
