"""Configurations in the documents work, and the tests that the documents name exist."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from s3fanout.config.load import parse
from s3fanout.config.problems import ConfigProblems
from tests.docs.pages import blocks, page
from tests.tidy.repository import ROOT, files, name_of

TOML = [
    pytest.param(text, id=f"{name_of(path)}-{number}")
    for path in files(".md")
    for number, text in enumerate(blocks(path.read_text("utf-8"), "toml"), start=1)
]

_TEST = re.compile(r"\b(tests/[\w/]+\.py)::(test_\w+)")


def is_configuration(text: str) -> bool:
    """Whether a block is a whole configuration of s3fanout; others are of other programs."""
    return "schema" in tomllib.loads(text)


def unknown_tests(text: str) -> set[str]:
    """Tests that a text names and that do not exist."""
    return {
        f"{file}::{name}" for file, name in set(_TEST.findall(text)) if name not in names_in(file)
    }


def names_in(file: str) -> set[str]:
    path = ROOT / file
    if not path.is_file():
        return set()
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("text", TOML)
def test_a_configuration_works_as_it_is(text: str) -> None:
    if is_configuration(text):
        loaded = parse(text, path=Path("/etc/s3fanout/s3fanout.toml"), env={})
        assert loaded.warnings == ()


def test_the_quick_start_has_a_configuration_for_each_way_in() -> None:
    found = [text for text in blocks(page("quick-start.md"), "toml") if is_configuration(text)]
    loaded = [parse(text, path=Path("s3fanout.toml"), env={}).settings for text in found]
    assert any(settings.intake.webhook is not None for settings in loaded)
    assert any(settings.intake.sqs is not None for settings in loaded)
    ways = {each.copies_on_server(name) for each in loaded for name in each.enabled}
    assert ways == {True, False}


@pytest.mark.parametrize("path", files(".md"), ids=name_of)
def test_named_tests_exist(path: Path) -> None:
    assert unknown_tests(path.read_text("utf-8")) == set()


def test_every_guarantee_names_a_test() -> None:
    assert len(set(_TEST.findall(page("guarantees.md")))) > 25


def test_the_rule_on_configurations_can_fail() -> None:
    assert not is_configuration("[notification.webhook]\nenabled = true\n")
    with pytest.raises(ConfigProblems):
        parse('schema = 1\nsource.bucket = "photos"\n', path=Path("c.toml"), env={})


def test_the_rule_on_named_tests_can_fail() -> None:
    here = "tests/docs/test_examples.py"
    gone = f"{here}::test_of_nothing"
    assert unknown_tests(f"`{here}::test_named_tests_exist` and `{gone}`") == {gone}
    assert unknown_tests("`tests/docs/test_gone.py::test_x`") == {"tests/docs/test_gone.py::test_x"}
