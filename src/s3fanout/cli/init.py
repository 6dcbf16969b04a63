"""``s3fanout init``: write a commented configuration file."""

from __future__ import annotations

from pathlib import Path

import click

from s3fanout.cli.output import print_line
from s3fanout.config.template import template
from s3fanout.model.errors import Misconfigured


@click.command()
@click.argument(
    "path", type=click.Path(path_type=Path, dir_okay=False), default=Path("s3fanout.toml")
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.option("--aws", is_flag=True, help="For a serverless deployment on AWS.")
def init(path: Path, *, force: bool, aws: bool) -> None:
    """Write a commented configuration file to PATH (s3fanout.toml)."""
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(template(aws=aws))
    except FileExistsError as error:
        raise Misconfigured(
            f"{path} exists and is left as it is", hint="choose another path, or use --force"
        ) from error
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error.strerror}") from error
    print_line(f"wrote {path}")
    print_line(f"next: edit its first lines, then: s3fanout {'plan' if aws else 'check'} -c {path}")
