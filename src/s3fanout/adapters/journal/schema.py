"""The shape of the ledger file, its versions, and how a connection is opened.

``docs/data-model.md`` describes every column; a test holds the two together.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from s3fanout.model.errors import LedgerUnavailable, Misconfigured
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import JobState

if TYPE_CHECKING:
    from pathlib import Path

SQLITE_VERSION_MIN = (3, 35, 0)
"""First with RETURNING; UPDATE FROM is of 3.33 (https://sqlite.org/changes.html)."""

APPLICATION_ID = 0x53334650
""""S3FP" in ASCII: tells our files from other SQLite files (``PRAGMA application_id``)."""

STATE_CODES = {
    JobState.READY: 0,
    JobState.WAITING: 1,
    JobState.SETTLED: 2,
    JobState.SUPERSEDED: 3,
    JobState.DEAD: 4,
}
"""``LEASED`` is never stored. ``settled_at_ms`` is set exactly in the last three."""

READY_LATER = 5
"""A ready job of an object that was seen in a listing: claimed when nothing else is ready."""

KIND_CODES = {
    ChangeKind.CREATED: 1,
    ChangeKind.ATTRIBUTES_CHANGED: 2,
    ChangeKind.REMOVED: 3,
    ChangeKind.EXISTS: 4,
}

_VERSION_1 = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO meta (name, value) VALUES ('fence_reserved', 0)",
    """
    CREATE TABLE destination (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        paused_at_ms INTEGER,
        paused_reason TEXT
    )
    """,
    # A rowid table: with the (long) keys as primary key of a WITHOUT ROWID table every index
    # entry would repeat them, and writing cost 2.5 times the CPU. Key first in the unique index:
    # the destinations of one change then share a page of it, so a commit writes fewer pages.
    """
    CREATE TABLE replica (
        id INTEGER PRIMARY KEY,
        destination_id INTEGER NOT NULL REFERENCES destination (id),
        key TEXT NOT NULL,
        fence INTEGER NOT NULL,
        state INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        event_at_ms INTEGER NOT NULL,
        accepted_at_ms INTEGER NOT NULL,
        due_at_ms INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        order_scheme TEXT,
        order_token TEXT,
        order_trusted INTEGER,
        etag TEXT,
        size_bytes INTEGER,
        version_id TEXT,
        reason TEXT NOT NULL DEFAULT '',
        settled_at_ms INTEGER,
        source_etag TEXT,
        source_version_id TEXT,
        replica_etag TEXT,
        error_code TEXT,
        error_message TEXT,
        error_hint TEXT,
        error_at_ms INTEGER,
        UNIQUE (key, destination_id)
    )
    """,
    # The partial indexes go by settled_at_ms: a query has to repeat an index's condition word by
    # word, and a range of "state" there would compete with the equality that the search needs.
    # (The null settled_at_ms in the first takes one byte and makes it cover the summaries.)
    """
    CREATE INDEX replica_backlog
    ON replica (destination_id, state, due_at_ms, event_at_ms, size_bytes, settled_at_ms)
    WHERE settled_at_ms IS NULL
    """,
    """
    CREATE INDEX replica_final ON replica (destination_id, state, settled_at_ms)
    WHERE settled_at_ms IS NOT NULL
    """,
    """
    CREATE INDEX replica_error ON replica (destination_id, error_at_ms)
    WHERE error_code IS NOT NULL
    """,
    """
    CREATE TABLE malformed (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        received_at_ms INTEGER NOT NULL,
        route TEXT NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        payload BLOB NOT NULL
    )
    """,
)

_TALLY = """
    UPDATE destination SET
        {counts},
        last_settled_at_ms =
            iif({row}.state = 2, max(ifnull(last_settled_at_ms, 0), {row}.settled_at_ms),
                last_settled_at_ms)
    WHERE id = {row}.destination_id;
"""
_FINAL_STATES = {"settled": 2, "superseded": 3, "dead": 4}


def _tally_trigger(event: str, row: str, change: str, condition: str) -> str:
    """A trigger that keeps the counts of final states in ``destination``.

    Args:
        event: Of ``replica``, as SQL names it.
        row: ``NEW`` or ``OLD``: whose destination it is.
        change: How a count changes, where ``{code}`` is the state's code.
        condition: When it has anything to do.
    """
    counts = ", ".join(
        f"{name} = {name} {change.format(code=code)}" for name, code in _FINAL_STATES.items()
    )
    verb = event.partition(" ")[0].lower()
    update = _TALLY.format(counts=counts, row=row)
    return (
        f"CREATE TRIGGER replica_tally_{verb} AFTER {event} ON replica"
        f" WHEN {condition} BEGIN {update} END"
    )


_VERSION_2 = (
    # Counting ten million settled rows took seconds. Triggers count them in the transaction that
    # changes them, whatever statement does it; in return a settled row needs no index entry.
    "ALTER TABLE destination ADD COLUMN settled INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE destination ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE destination ADD COLUMN dead INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE destination ADD COLUMN last_settled_at_ms INTEGER",
    """
    UPDATE destination SET
        settled = final.settled, superseded = final.superseded, dead = final.dead,
        last_settled_at_ms = final.last_settled_at_ms
    FROM (
        SELECT
            destination_id,
            sum(state = 2) AS settled,
            sum(state = 3) AS superseded,
            sum(state = 4) AS dead,
            max(iif(state = 2, settled_at_ms, NULL)) AS last_settled_at_ms
        FROM replica WHERE settled_at_ms IS NOT NULL
        GROUP BY destination_id
    ) AS final
    WHERE final.destination_id = destination.id
    """,
    _tally_trigger("INSERT", "NEW", "+ (NEW.state = {code})", "NEW.settled_at_ms IS NOT NULL"),
    _tally_trigger(
        "UPDATE OF state, settled_at_ms",
        "NEW",
        "+ (NEW.state = {code}) - (OLD.state = {code})",
        "NEW.settled_at_ms IS NOT NULL OR OLD.settled_at_ms IS NOT NULL",
    ),
    _tally_trigger("DELETE", "OLD", "- (OLD.state = {code})", "OLD.settled_at_ms IS NOT NULL"),
    "CREATE INDEX replica_dead ON replica (destination_id, settled_at_ms) WHERE state = 4",
    "DROP INDEX replica_final",
)

_VERSION_3 = (
    # What a lost attempt may have written; one JSON array, so that one row stays one row.
    "ALTER TABLE replica ADD COLUMN earlier_etags TEXT",
    """
    CREATE TABLE delete_guard (
        destination_id INTEGER PRIMARY KEY REFERENCES destination (id),
        window_at_ms INTEGER NOT NULL,
        deleted INTEGER NOT NULL,
        replicas INTEGER NOT NULL,
        held_at_ms INTEGER,
        held_reason TEXT NOT NULL,
        released_at_ms INTEGER NOT NULL
    )
    """,
)

_VERSION_4 = (
    # Only destinations whose key template may give two keys one replica key have rows here.
    """
    CREATE TABLE replica_key (
        destination_id INTEGER NOT NULL REFERENCES destination (id),
        replica_key TEXT NOT NULL,
        key TEXT NOT NULL,
        PRIMARY KEY (destination_id, replica_key)
    ) WITHOUT ROWID
    """,
)

_VERSION_5 = (
    # Rows are few: one for each replica that is being uploaded in parts.
    """
    CREATE TABLE upload (
        destination_id INTEGER NOT NULL REFERENCES destination (id),
        key TEXT NOT NULL,
        replica_key TEXT NOT NULL,
        upload_id TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        part_bytes INTEGER NOT NULL,
        PRIMARY KEY (destination_id, key)
    ) WITHOUT ROWID
    """,
)

_VERSION_6 = (
    # How far a walk over a listing came: its plan is JSON, because nobody asks for parts of it.
    """
    CREATE TABLE checkpoint (
        name TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        kept_at_ms INTEGER NOT NULL,
        position TEXT NOT NULL
    )
    """,
)

_VERSION_7 = (
    # A pause for a time: null while it has no end, or there is no pause.
    "ALTER TABLE destination ADD COLUMN pause_ends_at_ms INTEGER",
)

_VERSION_8 = (
    # What a replica lacks, as a JSON array of names; null for nothing, so a row costs one byte.
    "ALTER TABLE replica ADD COLUMN differences TEXT",
    "ALTER TABLE destination ADD COLUMN different INTEGER NOT NULL DEFAULT 0",
    """
    CREATE TRIGGER replica_differences AFTER UPDATE OF differences ON replica
    WHEN (NEW.differences IS NULL) <> (OLD.differences IS NULL)
    BEGIN
        UPDATE destination SET different = different + iif(NEW.differences IS NULL, -1, 1)
        WHERE id = NEW.destination_id;
    END
    """,
)

_VERSION_9 = (
    # Only destinations that replicate every version have rows here.
    """
    CREATE TABLE version (
        destination_id INTEGER NOT NULL REFERENCES destination (id),
        key TEXT NOT NULL,
        number INTEGER NOT NULL,
        source_version_id TEXT NOT NULL,
        source_etag TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        replica_version_id TEXT NOT NULL,
        PRIMARY KEY (destination_id, key, number)
    ) WITHOUT ROWID
    """,
    "CREATE UNIQUE INDEX version_source ON version (destination_id, key, source_version_id)",
)

_VERSION_10 = (
    # One row per question: a command and the daemon write theirs without reading the others.
    """
    CREATE TABLE ability (
        store TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        found_at_ms INTEGER NOT NULL,
        found_by TEXT NOT NULL,
        program TEXT NOT NULL,
        server TEXT NOT NULL,
        PRIMARY KEY (store, name)
    ) WITHOUT ROWID
    """,
)

_VERSION_11 = (
    # Rows are few: one for each replica key that a store is asked for an upload of just now, and
    # for those of which the answer was lost.
    """
    CREATE TABLE asked_upload (
        destination_id INTEGER NOT NULL REFERENCES destination (id),
        replica_key TEXT NOT NULL,
        first_at_ms INTEGER NOT NULL,
        last_at_ms INTEGER NOT NULL,
        PRIMARY KEY (destination_id, replica_key)
    ) WITHOUT ROWID
    """,
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    _VERSION_1,
    _VERSION_2,
    _VERSION_3,
    _VERSION_4,
    _VERSION_5,
    _VERSION_6,
    _VERSION_7,
    _VERSION_8,
    _VERSION_9,
    _VERSION_10,
    _VERSION_11,
)
"""``MIGRATIONS[n]`` turns version n into n + 1; version 0 is an empty file. Never edit one that was
released: append the next."""

SCHEMA_VERSION = len(MIGRATIONS)
"""Stored as ``PRAGMA user_version``."""

_BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process (a CLI command beside the daemon)."""

_CACHE_KIB = 32 * 1024
_CHECKPOINT_PAGES = 4000
"""16 MiB of write-ahead log between checkpoints, four times SQLite's default: about 5 % less CPU
per job, in two runs each of 60,000 rows."""


def connect(
    path: Path, *, pages_max: int | None = None, immutable: bool = False
) -> sqlite3.Connection:
    """A connection with our settings. It may be used by any one thread at a time.

    Args:
        path: The ledger file.
        pages_max: Let the file grow to so many pages only (tests of a full disk).
        immutable: Nobody else has the file open: read it without making any file beside it.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?immutable=1" if immutable else path,
        uri=immutable,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,  # We write BEGIN and COMMIT ourselves.
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        # FULL: a commit is on the disk before it is confirmed, whatever the power does.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}").fetchone()
        if pages_max is not None:
            connection.execute(f"PRAGMA max_page_count = {pages_max}").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(path: Path, *, create: bool, immutable: bool = False) -> None:
    """Create or upgrade the file at ``path``, or refuse it.

    Args:
        path: The ledger file.
        create: Whether the caller owns the file; others only look at it.
        immutable: See ``connect``.

    Raises:
        Misconfigured: Not ours, of a newer s3fanout, or (without ``create``) missing or older.
        LedgerUnavailable: It cannot be opened.
    """
    check_sqlite(sqlite3.sqlite_version_info)
    if not create and not path.exists():
        raise Misconfigured(
            f"there is no ledger at {path}", hint="check the path, or start the daemon first"
        )
    try:
        with closing(connect(path, immutable=immutable)) as connection:
            _migrate(connection, path, create=create)
    except sqlite3.OperationalError as error:
        raise LedgerUnavailable(f"cannot open the ledger {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Misconfigured(
            f"{path} is not a ledger: {error}", hint="name another file, or restore a backup"
        ) from error


def check_sqlite(version: tuple[int, ...]) -> None:
    """Refuse a SQLite library that is too old.

    Raises:
        Misconfigured: With both versions.
    """
    if version < SQLITE_VERSION_MIN:
        have, need = (".".join(map(str, numbers)) for numbers in (version, SQLITE_VERSION_MIN))
        raise Misconfigured(
            f"SQLite {have} is too old, {need} is needed",
            hint="use a Python that is built with a newer SQLite",
        )


def _migrate(connection: sqlite3.Connection, path: Path, *, create: bool) -> None:
    version = _version(connection, path)
    if version == SCHEMA_VERSION:
        return
    if not create:
        raise Misconfigured(
            f"the ledger {path} has version {version}, this s3fanout needs {SCHEMA_VERSION}",
            hint="start the daemon once: it upgrades the file",
        )
    connection.execute("BEGIN EXCLUSIVE")
    # Closing the connection on an error rolls back.
    for statements in MIGRATIONS[_version(connection, path) :]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (tables or version or application):
        raise Misconfigured(
            f"{path} is the database of another application", hint="name another file"
        )
    if version > SCHEMA_VERSION:
        raise Misconfigured(
            f"the ledger {path} has version {version}, this s3fanout knows up to {SCHEMA_VERSION}",
            hint="run the newer s3fanout that wrote it, or restore a backup",
        )
    return int(version)
