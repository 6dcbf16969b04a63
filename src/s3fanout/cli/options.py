"""Options that several commands share, and how a command opens what it works on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from s3fanout.config.load import LoadedConfig, load

T = TypeVar("T")

DEFAULT_CONFIG = Path("s3fanout.toml")

config_option = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_CONFIG,
    show_default=True,
    envvar="S3FANOUT_CONFIG",
    help="Configuration file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
destination_option = click.option(
    "-d", "--destination", metavar="NAME", help="Only this destination."
)


def load_config(path: Path) -> LoadedConfig:
    """The configuration with the environment's overrides.

    Raises:
        Misconfigured: All problems at once.
    """
    return load(path, env=os.environ)
