"""``s3fanout release-deletes``: say that the deletes which the guard holds back are meant."""

from __future__ import annotations

from pathlib import Path

import click

from s3fanout.cli.options import (
    config_option,
    json_option,
    known_destination,
    load_config,
    with_journal,
)
from s3fanout.cli.output import print_json, print_line
from s3fanout.service.status import SCHEMA_VERSION
from s3fanout.wiring import system_clock


@click.command("release-deletes")
@config_option
@json_option
@click.option("-d", "--destination", metavar="NAME", required=True, help="Whose deletes.")
def release_deletes(config_path: Path, *, as_json: bool, destination: str) -> None:
    """Let the deletes go that the mass-delete guard holds back, all that were accepted until now.

    Later ones are counted anew. A running daemon notices within about a second.
    """
    settings = load_config(config_path).settings
    known_destination(settings, destination)
    now_ms = system_clock().now_ms()
    count = with_journal(
        settings, lambda journal: journal.release_deletes(destination, now_ms=now_ms)
    )
    if as_json:
        print_json(
            {
                "schema_version": SCHEMA_VERSION,
                "kind": "release-deletes",
                "destination": destination,
                "released": count,
            }
        )
    else:
        print_line(f"{destination}: put {count} held deletes back")
