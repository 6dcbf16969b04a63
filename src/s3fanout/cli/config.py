"""``s3fanout config explain``: every setting, its value, and who said so."""

from __future__ import annotations

from pathlib import Path

import click

from s3fanout.cli.options import config_option, json_option, load_config
from s3fanout.cli.output import print_json, print_table
from s3fanout.config.explain import explain, to_json


@click.group()
def config() -> None:
    """Look at the configuration."""


@config.command("explain")
@config_option
@json_option
@click.option("--all", "show_all", is_flag=True, help="Also settings that are not set.")
def explain_command(config_path: Path, *, as_json: bool, show_all: bool) -> None:
    """Print each setting with its value and its origin."""
    values = explain(load_config(config_path))
    if as_json:
        print_json(to_json(values))
        return
    shown = [each for each in values if show_all or not each.value_text.startswith("(")]
    print_table(
        (("setting", "left"), ("value", "left"), ("origin", "left")),
        [(each.path, each.value_text, each.origin) for each in shown],
    )
