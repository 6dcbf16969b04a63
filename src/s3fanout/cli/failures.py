"""``s3fanout failures``: dead letters and messages that could not be understood, with reasons."""

from __future__ import annotations

from pathlib import Path

import click

from s3fanout.cli.options import (
    code_option,
    config_option,
    destination_option,
    json_option,
    known_destination,
    load_config,
    older_option,
    prefix_option,
    since_option,
    with_ledger,
)
from s3fanout.cli.output import print_json, print_line, print_note, print_table
from s3fanout.config.settings import Settings
from s3fanout.model.jobs import MalformedRecord, ReplicaRecord
from s3fanout.ports.ledger import FailureSelection
from s3fanout.service.status import (
    SCHEMA_VERSION,
    malformed_document,
    record_document,
    rfc3339,
)


@click.command()
@config_option
@json_option
@destination_option
@prefix_option
@code_option
@since_option
@older_option
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--malformed", is_flag=True, help="Messages that could not be understood instead.")
@click.option("--discard", is_flag=True, help="With --malformed: forget them.")
def failures(
    config_path: Path,
    *,
    as_json: bool,
    destination: str | None,
    prefix: str,
    code: str | None,
    since_at_ms: int | None,
    until_at_ms: int | None,
    limit: int,
    malformed: bool,
    discard: bool,
) -> None:
    """List what stopped and why, newest first. Put it back with: s3fanout redrive."""
    if discard and not malformed:
        raise click.UsageError("--discard goes with --malformed")
    settings = load_config(config_path).settings
    known_destination(settings, destination)
    if malformed:
        _malformed(settings, limit=limit, as_json=as_json, discard=discard)
        return
    selection = FailureSelection(destination, prefix, code, since_at_ms, until_at_ms)
    rows = with_ledger(settings, lambda journal: journal.failures(selection, limit=limit))
    if as_json:
        print_json(
            {
                "schema_version": SCHEMA_VERSION,
                "kind": "failures",
                "failures": [record_document(row) for row in rows],
            }
        )
        return
    _print_dead(list(rows), limit)


def _print_dead(rows: list[ReplicaRecord], limit: int) -> None:
    if not rows:
        print_note("no failures")
        return
    print_table(
        (("destination", "left"), ("key", "left"), ("at", "left"), ("error", "left")),
        [
            (
                row.destination,
                row.key,
                rfc3339(row.settled_at_ms) or "-",
                "-" if row.error is None else f"{row.error.code}: {row.error.message}",
            )
            for row in rows
        ],
    )
    hints = {row.error.hint for row in rows if row.error is not None and row.error.hint}
    for hint in sorted(hints):
        print_note(f"hint: {hint}", style="cyan")
    if len(rows) == limit:
        print_note(f"the newest {limit}; more with --limit")


def _malformed(settings: Settings, *, limit: int, as_json: bool, discard: bool) -> None:
    if discard:
        count = with_ledger(settings, lambda journal: journal.discard_malformed())
        print_line(f"forgot {count} messages")
        return
    letters = with_ledger(settings, lambda journal: journal.malformed(limit=limit))
    if as_json:
        print_json(
            {
                "schema_version": SCHEMA_VERSION,
                "kind": "malformed",
                "messages": [malformed_document(letter) for letter in letters],
            }
        )
        return
    if not letters:
        print_note("no malformed messages")
        return
    print_table(
        (
            ("id", "right"),
            ("at", "left"),
            ("route", "left"),
            ("reason", "left"),
            ("starts", "left"),
        ),
        [_malformed_row(letter) for letter in letters],
    )


def _malformed_row(letter: MalformedRecord) -> tuple[str, ...]:
    return (
        str(letter.id),
        rfc3339(letter.received_at_ms) or "-",
        letter.route,
        f"{letter.reason}: {letter.detail}"[:100],
        letter.payload[:60].decode("utf-8", "replace"),
    )
