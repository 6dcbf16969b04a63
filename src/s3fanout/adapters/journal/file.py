"""Everything that is written to the ledger file, for one thread, inside a transaction of its own.

A call of ``SqliteJournal`` becomes rows here; the rows of all calls that wait are written together.
"""

from __future__ import annotations

import json
from contextlib import suppress
from sqlite3 import Error
from typing import TYPE_CHECKING

from s3fanout.adapters.journal import abilities, histories, removals, statements, uploads
from s3fanout.adapters.journal.letters import check_room
from s3fanout.adapters.journal.schema import KIND_CODES, READY_LATER, STATE_CODES
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from sqlite3 import Connection

    from s3fanout.adapters.journal.statements import Row, Value
    from s3fanout.model.abilities import AbilityRecord
    from s3fanout.model.events import Malformed
    from s3fanout.model.histories import VersionRecord
    from s3fanout.model.jobs import Job, NewJob, Settlement
    from s3fanout.model.limits import Limits
    from s3fanout.model.uploads import AskedUpload, ReplicaUpload
    from s3fanout.ports.checkpoints import Checkpoint
    from s3fanout.ports.ledger import FailureSelection

DUPLICATE = 0
STALE = -1
REFUSED = 0
CLOCK_SLACK_MS = 1000
"""A clock that goes back by less needs no mending: a moment later all is as it was meant."""

_FENCES_RESERVED = 1 << 20
"""A run of fences is set aside in the file before any of it is used: a process that starts over, or
works beside this one, begins above it."""


class LedgerFile:
    """The writing connection and what it remembers between transactions."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._ids: dict[str, int] = {}
        self._fence_next = 1
        self._fence_end = 0

    def begin(self) -> None:
        """Start a transaction that may write."""
        if self.connection.in_transaction:  # A rollback failed before.
            self.connection.execute("ROLLBACK")
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make it durable."""
        self.connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Undo it, and forget what was remembered of it."""
        self._ids.clear()
        self._fence_end = 0
        with suppress(Error):  # ``begin`` tries again.
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def accept(self, calls: Sequence[tuple[Sequence[NewJob], int]]) -> list[list[int]]:
        """Offer the jobs of calls, each a pair of jobs and their acceptance time.

        Returns:
            Per call and job its new fence, or ``DUPLICATE`` or ``STALE``.
        """
        count = sum(len(jobs) for jobs, _ in calls)
        fence = self._fences(count)
        outcomes: list[int] = []
        rows = _Rows(self._offer)
        for jobs, now_ms in calls:
            # One fence for a call tells readers of the source which jobs came together; only a
            # repeated key needs another one.
            seen: set[tuple[str, str]] = set()
            for job in jobs:
                identity = (job.destination, job.key)
                if identity in seen:
                    fence += 1
                    seen.clear()
                seen.add(identity)
                outcomes.append(fence)
                order = job.order
                rows.add(
                    (
                        self._id(job.destination),
                        job.key,
                        fence,
                        KIND_CODES[job.kind],
                        job.event_at_ms,
                        now_ms,
                        now_ms,
                        *((order.scheme, order.token, order.trusted) if order else _NO_ORDER),
                        job.etag,
                        job.size_bytes,
                        job.version_id,
                        READY_LATER if job.kind is ChangeKind.EXISTS else 0,
                    )
                )
            fence += 1
        for number, why in rows.end().items():
            outcomes[number] = why
        return _split(outcomes, [len(jobs) for jobs, _ in calls])

    def _offer(self, piece: Sequence[Row]) -> Mapping[int, int]:
        cursor = statements.execute(self.connection, statements.offer(len(piece)), piece)
        if cursor.rowcount == len(piece):
            return {}
        return {
            index: DUPLICATE if token == piece[index][8] or piece[index][-1] else STALE
            for index, fence, token in self._found(piece)
            if fence != piece[index][2]
        }

    def settle(self, calls: Sequence[Sequence[Settlement]]) -> list[list[int]]:
        """Write the outcomes of calls.

        Returns:
            Per call and settlement the record's fence, or ``REFUSED``. The fence is a new one for
            a job that waits: a late word of the old attempt must not touch the next one.
        """
        fences: list[int] = []
        waiting = sum(s.state is JobState.WAITING for settlements in calls for s in settlements)
        retry = self._fences(waiting) if waiting else 0
        rows = _Rows(self._settle)
        for settlements in calls:
            for settlement in settlements:
                fence = settlement.job.fence
                if settlement.state is JobState.WAITING:
                    fence, retry = retry, retry + 1
                fences.append(fence)
                rows.add(self._settlement_row(settlement, fence))
        for number in rows.end():
            fences[number] = REFUSED
        return _split(fences, [len(settlements) for settlements in calls])

    def _settlement_row(self, settlement: Settlement, fence: int) -> Row:
        job, error = settlement.job, settlement.error
        waits = settlement.state is JobState.WAITING
        return (
            self._id(job.destination),
            job.key,
            job.fence,
            fence,
            STATE_CODES[settlement.state],
            settlement.attempts,
            settlement.due_at_ms if waits else 0,
            settlement.reason,
            None if waits else settlement.at_ms,
            settlement.size_bytes,
            settlement.source_etag,
            settlement.source_version_id,
            settlement.replica_etag,
            json.dumps(settlement.differences) if settlement.differences else None,
            *((error.code, error.message, error.hint, settlement.at_ms) if error else _NO_ERROR),
        )

    def _settle(self, piece: Sequence[Row]) -> Mapping[int, int]:
        cursor = statements.execute(self.connection, statements.settle(len(piece)), piece)
        if cursor.rowcount == len(piece):
            return {}
        fences = {index: fence for index, fence, _ in self._found(piece)}
        refused = [index for index, row in enumerate(piece) if fences.get(index) != row[3]]
        for index in refused:
            destination_id, key = piece[index][:2]
            replica = piece[index][10:14]
            if replica[2] is not None:
                # It settles nothing, but the replica is what this attempt made of it.
                self.connection.execute(statements.NOTE_REPLICA, (*replica, destination_id, key))
        return dict.fromkeys(refused, REFUSED)

    def release(self, jobs: Sequence[Job], due_at_ms: int) -> bool:
        """Make jobs wait that are still to be done. Returns whether all were."""
        return self._put_back(jobs, due_at_ms, statements.release)

    def finish(self, jobs: Sequence[Job], now_ms: int) -> bool:
        """Settle jobs without an outcome that are still to be done. Returns whether all were."""
        return self._put_back(jobs, now_ms, statements.finish)

    def _put_back(self, jobs: Sequence[Job], at_ms: int, statement: Callable[[int], str]) -> bool:
        rows: list[Row] = [(self._id(job.destination), job.key, job.fence, at_ms) for job in jobs]
        written = 0
        for piece in statements.pieces(rows):
            cursor = statements.execute(self.connection, statement(len(piece)), piece)
            written += cursor.rowcount
        return written == len(rows)

    def redrive(self, selection: FailureSelection, now_ms: int) -> int:
        """Make dead letters ready. One fence serves them all: it only has to be new to each."""
        where, values = dead_letters(selection)
        cursor = self.connection.execute(
            "UPDATE replica"  # noqa: S608 - our own text
            " SET state = iif(kind = 4, 5, 0), attempts = 0, settled_at_ms = NULL,"
            " due_at_ms = ?, fence = ?"
            f" WHERE {where}",
            (now_ms, self._fences(1), *values),
        )
        return cursor.rowcount

    def admit_delete(
        self, destination: str, accepted_at_ms: int, now_ms: int, limits: Limits
    ) -> bool:
        """Whether one more replica may be deleted; see ``decide.guard``."""
        return removals.admit_delete(
            self.connection, self._id(destination), accepted_at_ms, now_ms, limits
        )

    def release_deletes(self, destination: str, now_ms: int) -> int:
        """Let held deletes go. One fence serves all their jobs, as for ``redrive``."""
        return removals.release_deletes(
            self.connection, self._id(destination), now_ms, self._fences(1)
        )

    def claim_replica_key(
        self, destination: str, replica_key: str, key: str, instead_of: str | None
    ) -> str:
        """The owner of a replica key after this claim."""
        row = self.connection.execute(
            "INSERT INTO replica_key (destination_id, replica_key, key) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET key = iif(key = ?, excluded.key, key) RETURNING key",
            (self._id(destination), replica_key, key, instead_of),
        ).fetchone()
        return str(row[0])

    def release_replica_key(self, destination: str, replica_key: str, key: str) -> None:
        """Forget a claim."""
        self.connection.execute(
            "DELETE FROM replica_key WHERE destination_id = ? AND replica_key = ? AND key = ?",
            (self._id(destination), replica_key, key),
        )

    def keep_upload(self, upload: ReplicaUpload) -> None:
        """Remember a multipart upload."""
        uploads.keep_upload(self.connection, self._id(upload.destination), upload)

    def forget_upload(self, destination: str, key: str) -> None:
        """Forget one."""
        uploads.forget_upload(self.connection, self._id(destination), key)

    def ask_upload(self, destination: str, replica_key: str, at_ms: int) -> None:
        """A store will be asked for an upload."""
        uploads.ask_upload(self.connection, self._id(destination), replica_key, at_ms)

    def answer_upload(self, destination: str, replica_key: str, asked_at_ms: int) -> None:
        """It answered."""
        uploads.answer_upload(self.connection, self._id(destination), replica_key, asked_at_ms)

    def forget_asked(self, asked: AskedUpload) -> None:
        """Forget what was asked for."""
        uploads.forget_asked(self.connection, self._id(asked.destination), asked)

    def keep_versions(self, destination: str, key: str, records: Sequence[VersionRecord]) -> None:
        """Remember replicated versions of a key."""
        histories.keep_versions(self.connection, self._id(destination), key, records)

    def forget_version(self, destination: str, key: str, source_version_id: str) -> None:
        """Forget one."""
        histories.forget_version(self.connection, self._id(destination), key, source_version_id)

    def keep_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        """Replace a checkpoint."""
        self.connection.execute(
            "INSERT OR REPLACE INTO checkpoint (name, fingerprint, kept_at_ms, position)"
            " VALUES (?, ?, ?, ?)",
            (name, checkpoint.fingerprint, checkpoint.kept_at_ms, checkpoint.position),
        )

    def drop_checkpoint(self, name: str) -> None:
        """Forget a checkpoint."""
        self.connection.execute("DELETE FROM checkpoint WHERE name = ?", (name,))

    def keep_abilities(self, records: Sequence[AbilityRecord]) -> None:
        """Remember what stores showed."""
        abilities.keep_abilities(self.connection, records)

    def pause(self, destination: str, now_ms: int, reason: str, ends_at_ms: int | None) -> None:
        """Note a pause; one that is there and not over keeps its beginning."""
        self.connection.execute(
            "UPDATE destination SET"
            " paused_at_ms = iif(ifnull(pause_ends_at_ms > ?1, 1), ifnull(paused_at_ms, ?1), ?1),"
            " paused_reason = ?2, pause_ends_at_ms = ?3 WHERE id = ?4",
            (now_ms, reason, ends_at_ms, self._id(destination)),
        )

    def resume(self, destination: str, now_ms: int) -> bool:
        """End a pause. Returns whether there was one that was not over."""
        row = self.connection.execute(
            "SELECT ifnull(pause_ends_at_ms > ?, 1) FROM destination"
            " WHERE name = ? AND paused_at_ms IS NOT NULL",
            (now_ms, destination),
        ).fetchone()
        self.connection.execute(
            "UPDATE destination SET"
            " paused_at_ms = NULL, paused_reason = NULL, pause_ends_at_ms = NULL WHERE name = ?",
            (destination,),
        )
        return row is not None and bool(row[0])

    def mend_due_times(self, now_ms: int) -> int:
        """Make due what failed in the future: the clock was wrong then. Returns how many."""
        return self.connection.execute(
            "UPDATE replica SET due_at_ms = ?1 WHERE settled_at_ms IS NULL AND state = 1"
            " AND destination_id IN (SELECT id FROM destination) AND error_at_ms > ?2",
            (now_ms, now_ms + CLOCK_SLACK_MS),
        ).rowcount

    def keep_malformed(self, letters: Sequence[Malformed], route: str, now_ms: int) -> None:
        """Keep messages, all or none.

        Raises:
            LedgerUnavailable: There is no room.
        """
        (kept,) = self.connection.execute("SELECT count(*) FROM malformed").fetchone()
        check_room(kept=kept, offered=len(letters))
        self.connection.executemany(
            "INSERT INTO malformed (received_at_ms, route, reason, detail, payload)"
            " VALUES (?, ?, ?, ?, ?)",
            [(now_ms, route, letter.reason, letter.detail, letter.payload) for letter in letters],
        )

    def discard_malformed(self) -> int:
        """Forget all messages. Returns how many there were."""
        return self.connection.execute("DELETE FROM malformed").rowcount

    def _found(self, piece: Sequence[Row]) -> list[tuple[int, int, str | None]]:
        """Index, recorded fence and recorded order token of the rows that have a record."""
        rows = [(index, row[0], row[1]) for index, row in enumerate(piece)]
        cursor = statements.execute(self.connection, statements.found(len(rows)), rows)
        found: list[tuple[int, int, str | None]] = json.loads(cursor.fetchone()[0])
        return found

    def _id(self, destination: str) -> int:
        known = self._ids.get(destination)
        if known is not None:
            return known
        self.connection.execute(
            "INSERT INTO destination (name) VALUES (?) ON CONFLICT DO NOTHING", (destination,)
        )
        row = self.connection.execute(
            "SELECT id FROM destination WHERE name = ?", (destination,)
        ).fetchone()
        self._ids[destination] = int(row[0])
        return int(row[0])

    def _fences(self, count: int) -> int:
        """The first of ``count`` fences that nobody has."""
        if self._fence_next + count > self._fence_end:
            reserved = max(count, _FENCES_RESERVED)
            row = self.connection.execute(
                "UPDATE meta SET value = value + ? WHERE name = 'fence_reserved' RETURNING value",
                (reserved,),
            ).fetchone()
            self._fence_end = row[0] + 1
            self._fence_next = self._fence_end - reserved
        first = self._fence_next
        self._fence_next += count
        return first


_NO_ORDER = (None, None, None)
_NO_ERROR = (None, None, None, None)


class _Rows:
    """Rows on their way into statements.

    No statement names a (destination, key) twice, so each row meets what the one before it left.

    Args:
        write: Writes some rows; returns the indexes of those that were refused, and why.
    """

    def __init__(self, write: Callable[[Sequence[Row]], Mapping[int, int]]) -> None:
        self._write = write
        self._rows: list[Row] = []
        self._named: set[Row] = set()
        self._written = 0
        self._refused: dict[int, int] = {}

    def add(self, row: Row) -> None:
        """Take a row that begins with destination id and key."""
        name = row[:2]
        if name in self._named:
            self.end()
        self._named.add(name)
        self._rows.append(row)

    def end(self) -> Mapping[int, int]:
        """Write what is left. Returns the numbers of all refused rows, and why."""
        for piece in statements.pieces(self._rows):
            for index, why in self._write(piece).items():
                self._refused[self._written + index] = why
            self._written += len(piece)
        self._rows.clear()
        self._named.clear()
        return self._refused


def _split(values: list[int], lengths: Iterable[int]) -> list[list[int]]:
    parts, start = [], 0
    for length in lengths:
        parts.append(values[start : start + length])
        start += length
    return parts


def dead_letters(selection: FailureSelection) -> tuple[str, tuple[Value | bytes, ...]]:
    """The condition on ``replica`` that selects dead letters, and its values."""
    terms = ["state = 4"]
    values: list[Value | bytes] = []
    if selection.destination is None:
        terms.append("destination_id IN (SELECT id FROM destination)")
    else:
        terms.append("destination_id = (SELECT id FROM destination WHERE name = ?)")
        values.append(selection.destination)
    if selection.key_prefix:
        # As bytes: LIKE ends at a NUL and knows wildcards.
        prefix = selection.key_prefix.encode()
        terms.append("substr(CAST(key AS BLOB), 1, ?) = ?")
        values += (len(prefix), prefix)
    if selection.code is not None:
        terms.append("error_code = ?")
        values.append(selection.code)
    if selection.since_at_ms is not None:
        terms.append("settled_at_ms >= ?")
        values.append(selection.since_at_ms)
    if selection.until_at_ms is not None:
        terms.append("settled_at_ms <= ?")
        values.append(selection.until_at_ms)
    return " AND ".join(terms), tuple(values)
