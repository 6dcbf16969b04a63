"""docs/cli.md says what the command line has, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from s3fanout import __version__
from s3fanout.cli.main import root
from s3fanout.model.errors import ExitCode
from tests.docs.pages import first_spans, page, rows, sections, spans

PROGRAM = "s3fanout"


def leaves(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that is not a group, by its full name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        full = f"{path} {name}"
        if isinstance(command, click.Group):
            yield from leaves(command, full)
        else:
            yield full, command


COMMANDS = dict(leaves(root, PROGRAM))
SECTIONS = sections(page("cli.md"))


def documented_options(section: str) -> set[str]:
    """Names of the options in a section's table, without their values."""
    return {span.split(" ")[0] for span in first_spans(section)}


def options_of(command: click.Command) -> set[str]:
    return {
        name
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    headings = {spans(title)[0] for title in SECTIONS if title.startswith(f"`{PROGRAM}")}
    assert headings == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_of_a_command(name: str) -> None:
    assert documented_options(SECTIONS[f"`{name}`"]) == options_of(COMMANDS[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_arguments_of_a_command(name: str) -> None:
    command = COMMANDS[name]
    arguments = [
        parameter.make_metavar(click.Context(command))
        for parameter in command.params
        if isinstance(parameter, click.Argument)
    ]
    if arguments:
        assert " ".join([name, *arguments]) in spans(SECTIONS[f"`{name}`"])


def test_version_is_an_option_too() -> None:
    printed = [
        CliRunner().invoke(root, [way], catch_exceptions=False).output
        for way in ("--version", "version")
    ]
    assert printed[0] == printed[1] == f"s3fanout {__version__}\n"


def test_the_exit_codes() -> None:
    table = {(cells[0], spans(cells[1])[0]) for cells in rows(SECTIONS["Exit codes"])}
    assert table == {(str(code.value), code.name) for code in ExitCode}


def test_options_are_read_from_a_table() -> None:
    section = "Text `--no`.\n\n| option | meaning |\n|---|---|\n| `-c`, `--config FILE` | `--x` |\n"
    assert documented_options(section) == {"-c", "--config"}
