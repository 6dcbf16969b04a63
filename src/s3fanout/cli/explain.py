"""``s3fanout explain KEY``: where the object is, in every destination, and why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from s3fanout.cli.options import config_option, json_option, load_config, with_ledger
from s3fanout.cli.output import human_bytes, print_json, print_line, print_table
from s3fanout.config.settings import Settings
from s3fanout.deploy.session import at_endpoint
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
    document = with_ledger(settings, lambda journal: _explained(settings, journal, key))
    if as_json:
        print_json(document)
        return
    source: Any = document["source"]
    print_line(f"source {source['bucket']}: {_shown(source)}")
    destinations: Any = document["destinations"]
    print_table(
        (("destination", "left"), ("bucket", "left"), ("replica", "left"), ("verdict", "left")),
        [
            (row["name"], row["bucket"], Text(_shown(row["replica"])), row["verdict"])
            for row in destinations
        ],
    )


async def _explained(settings: Settings, journal: Ledger, key: str) -> Json:
    stores = Stores(settings, os.environ, clock=system_clock())
    try:
        return await explain_key(settings, stores, await journal.records_of_key(key), key)
    finally:
        await stores.close()


def _shown(seen: dict[str, Any]) -> str:
    if seen["state"] == "present":
        return f"{human_bytes(seen['size_bytes'])}, etag {seen['etag']}"
    if seen["state"] == "absent":
        return "absent"
    return f"unknown: {seen['error']}"
