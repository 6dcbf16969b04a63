"""Entry point: the command group, and what an error looks like and ends with."""

from __future__ import annotations

import sys

import click

from s3fanout import __version__
from s3fanout.cli.backfill import backfill
from s3fanout.cli.check import check
from s3fanout.cli.config import config
from s3fanout.cli.cost import cost
from s3fanout.cli.demo import demo
from s3fanout.cli.deploy import deploy, destroy
from s3fanout.cli.doctor import doctor
from s3fanout.cli.explain import explain
from s3fanout.cli.failures import failures
from s3fanout.cli.init import init
from s3fanout.cli.logs import logs
from s3fanout.cli.output import print_block, print_error, print_json, print_note
from s3fanout.cli.pause import pause, resume
from s3fanout.cli.plan import plan
from s3fanout.cli.reconcile import reconcile
from s3fanout.cli.redrive import redrive
from s3fanout.cli.release_deletes import release_deletes
from s3fanout.cli.run import run
from s3fanout.cli.status import status
from s3fanout.cli.template import template
from s3fanout.cli.validate import validate
from s3fanout.cli.verify import verify
from s3fanout.model.errors import ExitCode, S3FanoutError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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


for command in (
    init,
    check,
    config,
    run,
    status,
    explain,
    failures,
    redrive,
    release_deletes,
    verify,
    backfill,
    reconcile,
    pause,
    resume,
    validate,
    logs,
    doctor,
    cost,
    demo,
    plan,
    deploy,
    destroy,
    template,
):
    root.add_command(command)


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
