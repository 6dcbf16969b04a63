"""``s3fanout explain KEY``: where the object is, in every destination, and why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from s3fanout.cli.options import config_option, json_option, load_config, with_journal, with_ledger
from s3fanout.cli.output import human_bytes, print_json, print_line, print_table
from s3fanout.config.settings import Settings
from s3fanout.deploy.session import at_endpoint
from s3fanout.ports.histories import Histories
from s3fanout.ports.ledger import Ledger
from s3fanout.service.explain import explain_key
from s3fanout.service.status import Json
from s3fanout.wiring import Stores, system_clock


@click.command()
@config_option
@json_option
@click.argument("key")
def explain(config_path: Path, key: str, *, as_json: bool) -> None:
    """Say where the object KEY of the source is, in every destination, and why.

    Reads the ledger, and looks at the source and at each replica (one request each).
    """
    settings = at_endpoint(load_config(config_path).settings)
    if settings.aws is None:
        document = with_journal(settings, lambda book: _explained(settings, book, key, book))
    else:
        document = with_ledger(settings, lambda ledger: _explained(settings, ledger, key, None))
    if as_json:
        print_json(document)
        return
    source: Any = document["source"]
    print_line(f"source {source['bucket']}: {_shown(source)}")
    destinations: Any = document["destinations"]
    print_table(
        (("destination", "left"), ("bucket", "left"), ("replica", "left"), ("verdict", "left")),
        [
            (row["name"], row["bucket"], _shown(row["replica"]), row["verdict"])
            for row in destinations
        ],
    )
    for row in destinations:
        if row["versions"]:
            print_line(f"newest versions of {row['name']}:")
            print_table(
                (("source version", "left"), ("replica version", "left")),
                [(_named(each), each["replica_version_id"] or "–") for each in row["versions"]],
            )


async def _explained(
    settings: Settings, ledger: Ledger, key: str, histories: Histories | None
) -> Json:
    stores = Stores(settings, os.environ, clock=system_clock())
    try:
        records = await ledger.records_of_key(key)
        return await explain_key(settings, stores, records, key, histories=histories)
    finally:
        await stores.close()


def _named(version: dict[str, Any]) -> str:
    mark = " (delete marker)" if version["delete_marker"] else ""
    return f"{version['source_version_id']}{mark}"


def _shown(seen: dict[str, Any]) -> str:
    if seen["state"] == "present":
        return f"{human_bytes(seen['size_bytes'])}, etag {seen['etag']}"
    if seen["state"] == "absent":
        return "absent"
    return f"unknown: {seen['error']}"
