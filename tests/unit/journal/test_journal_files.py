"""The ledger file: its owner, what is refused in its place, versions, indexes, its document."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from s3fanout.adapters.journal import reads, schema
from s3fanout.adapters.journal.file import dead_letters
from s3fanout.adapters.journal.sqlite import SqliteJournal
from s3fanout.model.errors import AlreadyRunning, ExitCode, LedgerUnavailable, Misconfigured
from s3fanout.ports.ledger import FailureSelection
from tests.conformance.journals import StandingClock, new_job
from tests.unit.journal.journal_files import accept, claim, opened

if TYPE_CHECKING:
    pass

ROOT = Path(__file__).parents[3]


# Files and their owners


async def test_a_ledger_has_one_owner(
    journal: SqliteJournal, path: Path, clock: StandingClock
) -> None:
    with pytest.raises(AlreadyRunning, match=f"process {os.getpid()} ") as raised:
        await SqliteJournal.open(path, clock=clock)
    assert raised.value.exit_code is ExitCode.ALREADY_RUNNING
    await journal.close()
    await journal.close()
    async with opened(path, clock):
        pass


async def test_nothing_accepted_is_lost_and_no_lock_is_left_by_kill_9(
    path: Path, clock: StandingClock
) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from tests.conformance.journals import StandingClock, new_job
from s3fanout.adapters.journal.sqlite import SqliteJournal

async def main():
    journal = await SqliteJournal.open(Path({str(path)!r}), clock=StandingClock())
    await journal.accept([new_job(str(n)) for n in range(1000)], now_ms=1)
    await journal.claim("a", 10, now_ms=1)
    print("accepted", flush=True)
    await asyncio.get_running_loop().create_future()

asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        assert line == b"accepted\n"
        with pytest.raises(AlreadyRunning, match=f"process {process.pid} "):
            await SqliteJournal.open(path, clock=clock)
        process.send_signal(signal.SIGKILL)
    async with opened(path, clock) as journal:
        assert len(await claim(journal)) == 1000


async def test_a_backup_of_a_running_ledger_is_a_ledger(
    journal: SqliteJournal, path: Path, clock: StandingClock
) -> None:
    """As docs/operating.md says how it is taken and put back."""
    await accept(journal, *(new_job(str(number)) for number in range(3)))
    await claim(journal, 1)
    (statement,) = re.findall(
        r'`sqlite3 ledger\.db "(.+?)"`', (ROOT / "docs" / "operating.md").read_text("utf-8")
    )
    copy = path.parent / "copy.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement.replace("backup.db", str(copy)))
    await accept(journal, new_job("after the backup"))
    await journal.close()
    for file in path.parent.glob(f"{path.name}-*"):
        file.unlink()
    copy.replace(path)
    async with opened(path, clock) as restored:
        assert sorted(job.key for job in await claim(restored)) == ["0", "1", "2"]
        assert await accept(restored, new_job("new")) == 1


async def test_what_is_confirmed_was_flushed_to_the_disk(journal: SqliteJournal) -> None:
    """A write-ahead log is flushed at each commit only with FULL (SQLite, "PRAGMA synchronous")."""

    async def told(setting: str) -> object:
        return await journal._change(
            lambda file: file.connection.execute(f"PRAGMA {setting}").fetchone(), lambda _: None
        )

    assert await told("synchronous") == (2,)
    assert await told("journal_mode") == ("wal",)


async def test_only_the_owner_makes_a_ledger(path: Path, clock: StandingClock) -> None:
    with pytest.raises(Misconfigured, match="no ledger"):
        await SqliteJournal.open(path, clock=clock, exclusive=False)
    assert not path.exists()


async def test_a_folder_that_is_missing_is_said_so(tmp_path: Path, clock: StandingClock) -> None:
    with pytest.raises(LedgerUnavailable, match="No such file"):
        await SqliteJournal.open(tmp_path / "missing" / "ledger.db", clock=clock)


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (
            [f"PRAGMA application_id = {schema.APPLICATION_ID}", "PRAGMA user_version = 99"],
            f"has version 99, this s3fanout knows up to {schema.SCHEMA_VERSION}",
        ),
        (["CREATE TABLE theirs (a)"], "another application"),
        (["PRAGMA user_version = 1"], "another application"),
    ],
)
async def test_a_foreign_or_newer_file_is_refused_and_left_alone(
    path: Path, clock: StandingClock, statements: list[str], message: str
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        before = list(connection.iterdump())
    for exclusive in (True, False):
        with pytest.raises(Misconfigured, match=message):
            await SqliteJournal.open(path, clock=clock, exclusive=exclusive)
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before


async def test_a_file_that_is_no_database_is_refused(path: Path, clock: StandingClock) -> None:
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(Misconfigured, match="not a ledger"):
        await SqliteJournal.open(path, clock=clock)
    path.unlink()
    async with opened(path, clock):  # The failed opening did not keep the lock.
        pass


async def test_only_the_owner_upgrades(
    path: Path, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path, clock) as journal:
        await accept(journal, new_job())
    newer = (*schema.MIGRATIONS, ("ALTER TABLE replica ADD COLUMN later TEXT",))
    monkeypatch.setattr(schema, "MIGRATIONS", newer)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", len(newer))
    have, need = len(newer) - 1, len(newer)
    with pytest.raises(
        Misconfigured, match=f"has version {have}, this s3fanout needs {need}"
    ) as raised:
        await SqliteJournal.open(path, clock=clock, exclusive=False)
    assert "start the daemon" in raised.value.hint
    async with opened(path, clock) as journal:
        assert len(await claim(journal)) == 1
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT later FROM replica").fetchall() == [(None,)]
        assert connection.execute("PRAGMA user_version").fetchone() == (len(newer),)


async def test_a_failed_upgrade_changes_nothing(
    path: Path, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path, clock):
        pass
    broken = ("ALTER TABLE replica ADD COLUMN later TEXT", "CREATE TABLE replica (a)")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
        patch.setattr(schema, "SCHEMA_VERSION", len(schema.MIGRATIONS))
        with pytest.raises(LedgerUnavailable, match="already exists"):
            await SqliteJournal.open(path, clock=clock)
    async with opened(path, clock) as journal:
        assert await accept(journal, new_job()) == 1


async def test_a_ledger_of_version_1_is_upgraded_with_its_counts(
    path: Path, clock: StandingClock
) -> None:
    rows = [  # key, destination, state, settled_at_ms
        ("done", 1, 2, 30),
        ("earlier", 1, 2, 20),
        ("gone", 1, 3, 50),
        ("dead", 1, 4, 40),
        ("ready", 1, 0, None),
        ("dead", 2, 4, 60),
    ]
    with closing(schema.connect(path)) as connection:
        for statement in schema.MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO destination (name) VALUES ('a'), ('b'), ('never used')")
        connection.executemany(
            "INSERT INTO replica (key, destination_id, state, settled_at_ms, fence, kind,"
            " event_at_ms, accepted_at_ms, due_at_ms) VALUES (?, ?, ?, ?, 1, 1, 7, 8, 0)",
            rows,
        )
    async with opened(path, clock) as journal:
        assert [
            (one.destination, one.ready, one.settled, one.superseded, one.dead)
            for one in await journal.summaries()
        ] == [("a", 1, 2, 1, 1), ("b", 0, 0, 0, 1)]
        assert [one.last_settled_at_ms for one in await journal.summaries()] == [30, None]
        assert [one.key for one in await journal.failures(FailureSelection(), limit=9)] == [
            "dead",
            "dead",
        ]
        assert [job.key for job in await claim(journal)] == ["ready"]


def test_an_old_sqlite_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"SQLite 3\.34\.1 is too old, 3\.35\.0 is needed"):
        schema.check_sqlite((3, 34, 1))
    schema.check_sqlite((3, 35, 0))


# The schema


def plan_of(path: Path, statement: str, *values: object) -> str:
    schema.prepare(path, create=True)
    with closing(schema.connect(path)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return "\n".join(row[3] for row in rows)


def test_a_page_of_the_backlog_reads_only_that_page(path: Path) -> None:
    # In the order in which the statement names them.
    state, destination, now_ms, is_later, rows = 0, "a", 1, False, 10
    plan = plan_of(path, reads._PAGE, state, destination, now_ms, is_later, rows)
    assert "USING INDEX replica_backlog (destination_id=? AND state=?)" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("destination", [None, "a"])
def test_dead_letters_are_found_without_settled_ones(path: Path, destination: str | None) -> None:
    where, values = dead_letters(FailureSelection(destination=destination))
    plan = plan_of(path, f"SELECT count(*) FROM replica WHERE {where}", *values)
    assert re.search(r"INDEX replica_dead \(destination_id=\?", plan)


def test_summaries_meet_no_settled_row(path: Path) -> None:
    plan = plan_of(path, reads._SUMMARIES.replace(":now_ms", "1"))
    assert "COVERING INDEX replica_backlog" in plan
    assert "INDEX replica_error (destination_id=?)" in plan
    assert "SCAN replica\n" not in f"{plan}\n"


def test_counts_follow_the_rows_whatever_changes_them(path: Path) -> None:
    """Also statements that no call of the journal makes today."""
    schema.prepare(path, create=True)
    with closing(schema.connect(path)) as connection:
        connection.execute("INSERT INTO destination (name) VALUES ('a'), ('b')")
        insert = (
            "INSERT INTO replica (key, destination_id, state, settled_at_ms, fence, kind,"
            " event_at_ms, accepted_at_ms, due_at_ms) VALUES (?, ?, ?, ?, 1, 1, 1, 1, 0)"
        )
        states = [None, None, 5, 6, 7]
        rows = [
            (str(n), 1 + n % 2, state, at_ms)
            for n in range(20)
            for state, at_ms in enumerate(states)
        ]
        connection.executemany(insert, [(f"{row[0]}/{row[2]}", *row[1:]) for row in rows])
        changes = (
            "UPDATE replica SET state = 2, settled_at_ms = 9 WHERE id % 5 = 0",
            "UPDATE replica SET state = 0, settled_at_ms = NULL WHERE id % 3 = 0",
            "UPDATE replica SET state = 4, settled_at_ms = 8 WHERE id % 7 = 0",
            "UPDATE replica SET attempts = attempts + 1",
            "DELETE FROM replica WHERE id % 4 = 0",
        )
        for change in ("SELECT 1", *changes):
            connection.execute(change)
            counted = connection.execute(
                "SELECT destination_id, sum(state = 2), sum(state = 3), sum(state = 4)"
                " FROM replica GROUP BY destination_id"
            ).fetchall()
            kept = connection.execute("SELECT id, settled, superseded, dead FROM destination")
            assert kept.fetchall() == counted
        newest = connection.execute("SELECT last_settled_at_ms FROM destination").fetchall()
        assert newest == [(9,), (9,)]


def test_the_data_model_is_documented(path: Path) -> None:
    """Every table with every column, type and index, in their order; and the version."""
    schema.prepare(path, create=True)
    with closing(schema.connect(path)) as connection:
        tables = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            )
        ]
        columns = {
            table: [(row[1], row[2]) for row in connection.execute(f"PRAGMA table_info({table})")]
            for table in tables
        }
        indexes = {
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
            if not name.startswith("sqlite_")
        }
    text = (ROOT / "docs" / "data-model.md").read_text("utf-8")
    sections = dict(
        re.findall(r"^### Table `(\w+)`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    )
    documented = {
        table: re.findall(r"^\| `(\w+)` \| (\w+) \|", section, re.MULTILINE)
        for table, section in sections.items()
    }
    assert documented == columns
    assert set(re.findall(r"^\| `(\w+)` \| on ", text, re.MULTILINE)) == indexes
    assert f"**Schema version: {schema.SCHEMA_VERSION}.**" in text
    for code in schema.STATE_CODES.items():
        assert f"{code[1]} {code[0]}" in text
    for kind in schema.KIND_CODES.items():
        assert f"{kind[1]} {kind[0]}" in text
