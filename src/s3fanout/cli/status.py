"""``s3fanout status``: is every destination fresh, which is not, and why."""

from __future__ import annotations

from pathlib import Path

import click

from s3fanout.cli.options import config_option, json_option, load_config, with_ledger
from s3fanout.cli.output import out_console, print_json, print_line
from s3fanout.cli.status_view import status_table
from s3fanout.config.settings import Settings
from s3fanout.service.status import Json, status_document
from s3fanout.wiring import Journal, daemon_pid, system_clock


@click.command()
@config_option
@json_option
def status(config_path: Path, *, as_json: bool) -> None:
    """Show lag, backlog, replicated, failed, paused and the last error of each destination.

    Reads the ledger: it tells the truth whether the daemon runs or not.
    """
    settings = load_config(config_path).settings
    document = with_ledger(settings, lambda journal: current_status(settings, journal))
    if as_json:
        print_json(document)
        return
    pid = daemon_pid(settings)
    print_line(
        f"source {settings.source.bucket}  daemon "
        + ("not running" if pid is None else f"running, pid {pid}")
    )
    out_console().print(status_table(document))
    if document["malformed_messages"]:
        print_line(
            f"{document['malformed_messages']} messages could not be understood: "
            "s3fanout failures --malformed",
            style="yellow",
        )


async def current_status(settings: Settings, journal: Journal) -> Json:
    """The status document from outside the daemon."""
    return status_document(
        source=settings.source.bucket,
        buckets={name: to.bucket for name, to in settings.enabled.items()},
        summaries=await journal.summaries(),
        views=(),
        malformed=await journal.malformed_count(),
        daemon_pid=daemon_pid(settings),
        now_ms=system_clock().now_ms(),
        guards=await journal.delete_guards(),
    )
