"""Entry point: the command group, and what an error looks like and ends with."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from s3fanout import __version__
from s3fanout.cli.output import print_block, print_error, print_json, print_note
from s3fanout.model.errors import ExitCode, S3FanoutError

_COMMANDS = (
    "init",
    "check",
    "config",
    "run",
    "status",
    "explain",
    "failures",
    "redrive",
    "release-deletes",
    "verify",
    "backfill",
    "reconcile",
    "pause",
    "resume",
    "validate",
    "logs",
    "doctor",
    "cost",
    "demo",
    "plan",
    "deploy",
    "destroy",
    "template",
)
_MODULES = {"resume": "pause", "destroy": "deploy"}
"""Where a command is that has no module of its own."""


class _Commands(click.Group):
    """Imports a command when it is asked for: a start is mostly imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*_COMMANDS, *super().list_commands(ctx)])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        name = cmd_name.replace("-", "_")
        module = import_module(f"s3fanout.cli.{_MODULES.get(name, name)}")
        command: click.Command = getattr(module, name)
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="s3fanout %(version)s")
def root() -> None:
    """Copy every new object of one bucket to many others, exactly, within seconds.

    See it work: s3fanout demo. Use it: s3fanout init, then check, then run. On AWS: s3fanout init
    --aws, then plan, then deploy.
    """


@root.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def version(*, as_json: bool) -> None:
    """Print the version."""
    if as_json:
        print_json({"schema_version": 1, "kind": "version", "version": __version__})
    else:
        print_block(f"s3fanout {__version__}")


def main() -> None:
    """Run the command line; every error ends in a message and a documented exit code."""
    try:
        result = root.main(standalone_mode=False)
    except click.exceptions.Abort:
        print_note("interrupted")
        sys.exit(ExitCode.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except S3FanoutError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: that is its right.
        sys.stderr.close()
        sys.exit(ExitCode.FAILED)
    sys.exit(result if isinstance(result, int) else ExitCode.OK)
