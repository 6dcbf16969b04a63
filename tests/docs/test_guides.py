"""What README and the guides say in passing: commands, names, defaults, numbers."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from s3fanout.adapters.store.classify import _ACTIONS
from s3fanout.cli.main import root
from s3fanout.cli.status_view import COLUMNS, HEALTH_STYLE
from s3fanout.config.aws import Aws
from s3fanout.config.load import parse
from s3fanout.config.settings import Limits, Server
from s3fanout.config.units import format_size
from s3fanout.model.vendors import VENDORS
from s3fanout.service.verify import ReportFormat
from tests.docs.pages import blocks, first_spans, page, rows, sections, spans
from tests.tidy.repository import ROOT, SOURCE, files, name_of, python_files, tree_of

README = (ROOT / "README.md").read_text("utf-8")
QUICK_START = page("quick-start.md")
GUIDES = {name_of(path): path.read_text("utf-8") for path in files(".md")}

_FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PROGRAM = re.compile(r"(?:^|&& |ExecStart=)(?:[\w./]*/)?s3fanout (?=[a-z])")
_DEFAULT = re.compile(r"`limits\.(\w+)` \((\d[^)]*)\)")
_EXTRA = re.compile(r"pip install (?:-q )?'\.\[([\w-]+)\]'")


def wrong(line: str, *, whole: bool = True) -> str | None:
    """Why the program would refuse a command line; ``None`` if it takes it.

    Args:
        line: From the program's name on.
        whole: What is required may not be missing.
    """
    command: click.Command = root
    arguments = shlex.split(line, comments=True)[1:]
    context = click.Context(root, info_name="s3fanout")
    try:
        while isinstance(command, click.Group) and arguments:
            _, found, arguments = command.resolve_command(context, arguments)
            assert found is not None
            command = found
        command.make_context(command.name, arguments, parent=context)
    except click.MissingParameter as error:
        return error.format_message() if whole else None
    except click.UsageError as error:
        return error.format_message()
    except click.exceptions.Exit:
        pass  # It took it: --version is all that there is to do.
    return None


def command_lines(markdown: str) -> list[str]:
    """The command lines of the program in the fenced blocks of a document."""
    lines = [line for block in _FENCED.findall(markdown) for line in block.splitlines()]
    found = [(line, _PROGRAM.search(line)) for line in lines]
    return ["s3fanout " + line[match.end() :] for line, match in found if match]


@pytest.mark.parametrize("name", GUIDES)
def test_command_lines_are_taken_by_the_program(name: str) -> None:
    lines = command_lines(GUIDES[name])
    named = [span for span in spans(GUIDES[name]) if span.startswith("s3fanout ")]
    assert [(each, wrong(each)) for each in lines if wrong(each)] == []
    assert [(each, wrong(each)) for each in named if wrong(each, whole=False)] == []


def test_command_lines_are_found() -> None:
    found = command_lines(README)
    assert "s3fanout demo" in found
    assert "s3fanout demo --aws" in found
    assert len({line.split()[1] for line in found}) == 10
    assert any(line.startswith("s3fanout run -c /etc") for line in command_lines(QUICK_START))


def test_the_rule_on_command_lines_can_fail() -> None:
    assert wrong("s3fanout config explain --all  # gone?") is None
    for line in ("s3fanout gone", "s3fanout run --gone", "s3fanout demo --exit --objects many"):
        assert wrong(line)
    assert wrong("s3fanout explain")
    assert wrong("s3fanout explain", whole=False) is None


def test_the_readmes_way_to_aws_has_commands_only() -> None:
    (sentence,) = re.findall(r"^Then `s3fanout init --aws`, (.+)\.$", README, re.MULTILINE)
    assert len(spans(sentence)) == 7
    assert [name for name in spans(sentence) if wrong(f"s3fanout {name}")] == []


def test_commands_day_by_day_take_what_the_quick_start_says() -> None:
    """Each takes ``-c FILE``, most take ``--json``."""
    table = [cell[1] for cell in rows(sections(QUICK_START)["Day by day"])]
    named = [span for cell in table for span in spans(cell)]
    assert len(named) == 7
    assert [each for each in named if wrong(f"{each} -c FILE")] == []
    assert [each for each in named if wrong(f"{each} --json")] == []


def test_what_the_readme_says_that_status_and_verify_show() -> None:
    (shown,) = re.findall(r"^s3fanout status +# per destination: (.+)$", README, re.MULTILINE)
    assert set(shown.split(", ")) <= {name for name, _ in COLUMNS} | set(HEALTH_STYLE)
    (forms,) = re.findall(r"never writes; (.+)$", README, re.MULTILINE)
    assert set(re.split(", | or ", forms.lower())) == set(ReportFormat)


def test_the_readmes_configuration_is_what_its_comments_say() -> None:
    (text,) = blocks(README, "toml")
    settings = parse(text, path=Path("s3fanout.toml"), env={}).settings
    assert {name: settings.copies_on_server(name) for name in settings.enabled} == {
        "paris": True,
        "backup": False,
    }


def measured() -> dict[str, str]:
    """Of each row of the table of the benchmarks, what was seen."""
    return {
        name: seen
        for name, seen, *_ in rows(page("benchmarks.md"))
        if re.match(r"[A-E] .", name) and re.match(r"\d+\.\d", seen)
    }


def test_the_readmes_numbers_are_those_of_the_benchmarks() -> None:
    seen = {name: float(text.split()[0]) for name, text in measured().items()}
    said = " ".join(README.split())
    assert f"{seen['B objects/s, × s5cmd']}× s5cmd's bulk copy on a real store" in said
    assert f"and {seen['B objects/s, × rclone']:.1f}× rclone" in said
    assert "at half of its CPU" in said
    assert round(seen["B CPU, share of s5cmd's"], 1) == 0.5
    assert "at one request per replica" in said
    assert seen["B requests per replica"] == 1


def test_the_memory_to_plan_for_is_that_of_the_benchmarks() -> None:
    (seen,) = (text for name, text in measured().items() if name.startswith("E memory at rest"))
    least, *_, most = (round(float(each), -1) for each in seen.split(" / "))
    said = " ".join(page("operating.md").split())
    assert f"*Memory*: {least:.0f} MiB with a thousand keys, {most:.0f} MiB from about" in said


def test_stores_whose_copies_keep_the_class_are_those_that_the_readme_names() -> None:
    (named,) = re.findall(r"keep the storage\s+class \((.+?)\)", README)
    keeping = {each.name.value for each in VENDORS if each.copies_keep_class}
    assert set(named.lower().split(", ")) == keeping


def test_the_readmes_default_of_the_topology_is_the_default() -> None:
    assert f"(`{Aws().topology}`, the default)" in README


def test_what_is_installed_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = {extra for text in GUIDES.values() for extra in _EXTRA.findall(text)}
    assert {"demo", "demo-aws", "checksums"} <= extras
    assert extras <= set(project["optional-dependencies"])
    assert f"Python {project['requires-python'].replace('>=', '≥ ')} on" in README


def test_defaults_in_passing_are_the_defaults() -> None:
    defaults = {field.alias or name: field.default for name, field in Limits.model_fields.items()}
    said = [found for text in GUIDES.values() for found in _DEFAULT.findall(text)]
    assert {name for name, _ in said} >= {"stream_memory", "concurrency", "part_size"}
    for name, value in said:
        default = defaults[name]
        assert value.partition(":")[0].replace(" ", "") in {str(default), format_size(default)}
    assert f"`server.listen` is `{Server().listen}` unless you set it" in QUICK_START


def test_json_in_the_guides_is_json() -> None:
    found = [block for text in GUIDES.values() for block in blocks(text, "json")]
    for text in GUIDES.values():
        found += [given for block in _FENCED.findall(text) for given in inline_json(block)]
    assert len(found) >= 4
    for text in found:
        json.loads(text)


def inline_json(shell: str) -> list[str]:
    """Arguments of shell commands that are JSON."""
    return re.findall(r"'(\{.*?\})'", shell, re.DOTALL)


def test_the_unit_gives_a_stop_the_time_that_it_needs() -> None:
    (text,) = blocks(QUICK_START, "ini")
    unit = configparser.ConfigParser(interpolation=None)
    unit.read_string(text)
    service = unit["Service"]
    assert int(service["TimeoutStopSec"]) > 2 * Limits().drain_s + 10
    assert f'ledger.path = "/var/lib/{service["StateDirectory"]}/' in QUICK_START


def test_variables_of_minio_are_those_that_the_demo_sets() -> None:
    """The demo's store takes MinIO's."""
    (section,) = re.findall(r"^### MinIO.*?^### ", QUICK_START, re.MULTILINE | re.DOTALL)
    said = set(re.findall(r"^(MINIO_\w+)=", section, re.MULTILINE))
    source = (SOURCE / "adapters" / "store" / "embedded.py").read_text("utf-8")
    assert len(said) == 4
    assert {name for name in said if name.replace("FANOUT", "{target}") not in source} == set()


def log_fields() -> Iterator[str]:
    """Names of the fields that the daemon adds to lines of its log."""
    for path in python_files(SOURCE):
        if path.is_relative_to(SOURCE / "awslambda"):
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call):
                for keyword in node.keywords:
                    if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict):
                        yield from (ast.literal_eval(key) for key in keyword.value.keys if key)


def test_the_page_lists_the_fields_of_the_log() -> None:
    always = {"at", "level", "logger", "message", "error"}
    assert set(log_fields()) | always == set(first_spans(sections(page("operating.md"))["Logs"]))


def test_the_page_names_every_permission_that_an_operation_needs() -> None:
    needed = {found for text in _ACTIONS.values() for found in re.findall(r"\w+:[A-Z]\w+", text)}
    iam = (SOURCE / "deploy" / "iam.py").read_text("utf-8")
    needed |= set(re.findall(r'"(s3:[A-Z]\w+)"', iam))
    assert {"s3:ListMultipartUploadParts", "s3:PutObjectRetention", "kms:Decrypt"} <= needed
    assert needed - set(spans(sections(page("operating.md"))["Permissions"])) == set()
