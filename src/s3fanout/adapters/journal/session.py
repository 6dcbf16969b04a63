"""An open ledger file: its threads, what is in memory of it, and how calls pass between them."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from s3fanout.adapters.journal import reads, schema
from s3fanout.adapters.journal.backlog import Backlog
from s3fanout.adapters.journal.file import CLOCK_SLACK_MS, LedgerFile
from s3fanout.adapters.journal.ownership import Ownership
from s3fanout.adapters.journal.wakeups import Wakeups
from s3fanout.adapters.journal.writer import Change, Look, Writer, unavailable
from s3fanout.model.errors import LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from sqlite3 import Connection

    from s3fanout.adapters.journal.writer import Operation
    from s3fanout.ports.system import Clock

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")

JOBS_IN_MEMORY_MAX = 5_000
"""Per destination; a larger backlog costs a read of the file per so many jobs."""

READER_CACHE_KIB = 2 * 1024
"""Reads look single records up, or walk over a backlog once: pages kept for longer are memory that
nobody uses. The writer has the large cache."""

OUTSIDE_POLL_S = 0.5
"""How often the owner looks whether another process changed the file."""

OPERATIONS_MAX = 4_096
"""Calls that may wait for the writer; the next ones wait for their turn."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What opening the file gave."""

    file: LedgerFile
    reader: Connection
    ownership: Ownership | None
    destinations: dict[str, float | None]
    """See ``reads.destinations``."""
    data_version: int

    @classmethod
    def at(cls, path: Path, *, exclusive: bool, pages_max: int | None) -> Opened:
        """Open ``path``; blocks. See ``SqliteJournal.open``."""
        try:
            return cls._at(path, exclusive=exclusive, pages_max=pages_max, immutable=False)
        except LedgerUnavailable:
            # Opening needs a file beside the ledger, which a full disk has no room for. If nobody
            # has the ledger open, it can still be read: status has to answer just then.
            if exclusive or not path.exists() or _has_log(path):
                raise
            return cls._at(path, exclusive=False, pages_max=None, immutable=True)

    @classmethod
    def _at(cls, path: Path, *, exclusive: bool, pages_max: int | None, immutable: bool) -> Opened:
        ownership = Ownership(path) if exclusive else None
        with ExitStack() as undo:
            if ownership is not None:
                undo.callback(ownership.release)
            schema.prepare(path, create=exclusive, immutable=immutable)
            try:
                writing = undo.enter_context(
                    closing(schema.connect(path, pages_max=pages_max, immutable=immutable))
                )
                reader = undo.enter_context(closing(schema.connect(path, immutable=immutable)))
                reader.execute("PRAGMA query_only = 1")
                reader.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
                # The version first: a change between the two is noticed once more.
                version = reads.data_version(writing)
                opened = cls(
                    LedgerFile(writing), reader, ownership, reads.destinations(writing), version
                )
            except sqlite3.Error as error:
                raise unavailable(error) from error
            undo.pop_all()
            return opened


class Session:
    """Base of ``SqliteJournal``. Lives on the event loop that it was made on."""

    def __init__(self, opened: Opened, *, clock: Clock, jobs_in_memory_max: int) -> None:
        self._clock = clock
        self._ownership = opened.ownership
        self._reader = opened.reader
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._writer = Writer(opened.file, asyncio.get_running_loop())
        self._turns = asyncio.Semaphore(OPERATIONS_MAX)
        self._wakeups = Wakeups(clock)
        self._jobs_max = jobs_in_memory_max
        self._backlogs: dict[str, Backlog] = {}
        self._pages: dict[str, asyncio.Future[None]] = {}
        """Reads of a backlog under way, by destination."""
        self._paused: dict[str, float] = {}
        """When each pause ends; infinite for one that a person has to end."""
        self._note(opened.destinations)
        self._data_version = opened.data_version
        self._looked_at_s = clock.monotonic_s()
        self._looking = False
        self._closed = False
        self._seen_at_ms = clock.now_ms()
        if opened.ownership is not None:
            self._mend_due_times(self._seen_at_ms)

    async def close(self) -> None:
        """Write what was submitted, then let go of the file. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._wakeups.wake_all()
        await asyncio.to_thread(self._writer.stop)
        await asyncio.to_thread(self._reading.shutdown)
        self._reader.close()
        if self._ownership is not None:
            self._ownership.release()

    def _submit(self, operation: Operation) -> None:
        if self._closed:
            raise LedgerUnavailable("the ledger is closed", hint="")
        self._writer.submit(operation)

    async def _through(
        self,
        operation: Callable[[Callable[[Any], None]], Operation],
        apply: Callable[[Any], T],
        *,
        failed: Callable[[], None] | None = None,
    ) -> T:
        """Pass an operation through the writer.

        Args:
            operation: Makes it, given whom to deliver its outcome to.
            apply: Brings what is in memory up to its outcome and returns the call's result. It
                runs in the order of commits, also if the caller was cancelled.
            failed: Runs instead of ``apply`` when the operation failed.

        Raises:
            LedgerUnavailable: It could not be written, or not read.
        """
        await self._turns.acquire()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def deliver(outcome: object) -> None:
            self._turns.release()
            if not isinstance(outcome, Exception):
                result = apply(outcome)
                if not done.done():
                    done.set_result(result)
                return
            if failed is not None:
                failed()
            if not done.done():
                done.set_exception(outcome)

        try:
            self._submit(operation(deliver))
        except LedgerUnavailable:
            self._turns.release()
            raise
        return await done

    async def _change(self, write: Callable[[LedgerFile], T], apply: Callable[[T], None]) -> T:
        """Pass some other write through the writer; ``apply`` as above, without a result."""

        def apply_and_keep(outcome: T) -> T:
            apply(outcome)
            return outcome

        return await self._through(partial(Change, write), apply_and_keep)

    async def _read(
        self, read: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Read what is committed, on a thread of its own: a long read delays no write."""
        if self._closed:
            raise LedgerUnavailable("the ledger is closed", hint="")
        call = partial(read, self._reader, *args, **kwargs)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, call)
        except sqlite3.Error as error:
            raise unavailable(error) from error

    def _backlog(self, destination: str) -> Backlog:
        backlog = self._backlogs.get(destination)
        if backlog is None:
            backlog = Backlog(self._jobs_max, left_due_at_ms=None)
            self._backlogs[destination] = backlog
        return backlog

    def _note(self, destinations: dict[str, float | None]) -> None:
        """Take over what the file says: who is paused, and that jobs are to be read again."""
        self._paused = {name: ends for name, ends in destinations.items() if ends is not None}
        for name in destinations:
            self._backlog(name).forget()
        self._wakeups.wake_all()

    def _look_outside(self) -> None:
        """Have the file looked at for changes by other processes, if it is time to."""
        now_s, now_ms = self._clock.monotonic_s(), self._clock.now_ms()
        if self._ownership is not None and now_ms < self._seen_at_ms - CLOCK_SLACK_MS:
            self._seen_at_ms = now_ms
            self._mend_due_times(now_ms)
        self._seen_at_ms = max(self._seen_at_ms, now_ms)
        if self._looking or self._closed or now_s - self._looked_at_s < OUTSIDE_POLL_S:
            return
        self._looked_at_s = now_s
        self._looking = True
        self._submit(Look(outside, self._looked))

    def _mend_due_times(self, now_ms: int) -> None:
        """A clock that was ahead left times at which nothing would happen for long."""

        def apply(outcome: int | Exception) -> None:
            if not isinstance(outcome, Exception) and outcome:
                for name, backlog in self._backlogs.items():
                    backlog.forget()
                    self._wakeups.wake(name)

        self._submit(Change(lambda file: file.mend_due_times(now_ms), apply))

    def _looked(self, outcome: tuple[int, dict[str, float | None]] | Exception) -> None:
        self._looking = False
        if isinstance(outcome, Exception):
            return  # The next look may succeed; writes report what is wrong.
        version, destinations = outcome
        if version != self._data_version:
            self._data_version = version
            self._note(destinations)


def _has_log(path: Path) -> bool:
    """Whether there are commits that are not in the ledger file itself."""
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def outside(connection: Connection) -> tuple[int, dict[str, float | None]]:
    """What may have changed by another process: whether anything did, and who is paused."""
    version = reads.data_version(connection)
    return version, reads.destinations(connection)
