"""What the documents point at exists, and what a user can set is documented."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.tidy.repository import ROOT, SOURCE, Finding, files, is_written, name_of, python_files

RUN = "python3 -m venv .venv && .venv/bin/pip install -q '.[demo]' && .venv/bin/s3fanout demo"
TESTS = "./scripts/test"

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"[\w.*-]+(?:/[\w.*-]+)+/?|[A-Z]{3,}\.md|pyproject\.toml")
_SYMBOL = re.compile(r"s3fanout(?:\.[A-Za-z_]\w*)+")
_FILE_NAMES = re.compile(r"s3fanout\.(?:toml|db|json|log|yml|yaml|md|txt|prom)")
_VARIABLE = re.compile(r"\bS3FANOUT_(?!_)[A-Z0-9_]*[A-Z0-9]\b")

DOCUMENTS = files(".md")


def broken_links(text: str, document: Path) -> list[Finding]:
    """Relative links to a file that is not there, or to a heading that it does not have."""
    found = []
    for target in _LINK.findall(_FENCE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        if name and not file.exists():
            found.append(Finding(name_of(document), 0, f"no file {target}"))
        elif anchor and anchor not in anchors(text if not name else file.read_text("utf-8")):
            found.append(Finding(name_of(document), 0, f"no heading {target}"))
    return found


def anchors(markdown: str) -> set[str]:
    """What the headings of a document are called in links."""
    titles = re.findall(r"^#+ (.+)$", _FENCE.sub("", markdown), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_paths(text: str, document: Path) -> list[Finding]:
    """Code spans that read like a file of this repository or of the package, and are none.

    Only spans whose first segment is a folder of the repository or of the package are judged: the
    documents also name files of the user's machine.
    """
    found = []
    for span in _SPAN.findall(_FENCE.sub("", text)):
        first, slash, _ = span.partition("/")
        if not _PATH.fullmatch(span) or not is_written(first):
            continue
        ours = not slash or (ROOT / first).is_dir() or (SOURCE / first).is_dir()
        bases = (ROOT, SOURCE, document.parent)
        if ours and not any(any(base.glob(span.rstrip("/"))) for base in bases):
            found.append(Finding(name_of(document), 0, f"no file {span}"))
    return found


def broken_symbols(text: str, document: Path) -> list[Finding]:
    """Code spans that name something of the package that cannot be imported."""
    return [
        Finding(name_of(document), 0, f"no symbol {span}")
        for span in _SPAN.findall(_FENCE.sub("", text))
        if _SYMBOL.fullmatch(name := span.partition("(")[0])
        and not _FILE_NAMES.fullmatch(name)
        and not exists(name)
    ]


def exists(dotted: str) -> bool:
    """Whether ``a.b.c`` is a module, or an attribute of one, and public all the way."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for name in parts[count:]:
            if name.startswith("_") or not hasattr(value, name):
                return False
            value = getattr(value, name)
        return True
    return False


def undocumented_variables(source: str, documents: str) -> set[str]:
    """Environment variables of ours that the source names and no document does.

    Not those with two underscores: each is a setting, and the reference of settings is made from
    the settings.
    """
    return set(_VARIABLE.findall(source)) - set(_VARIABLE.findall(documents))


def commands(markdown: str) -> list[str]:
    """The lines of the fenced blocks of a document, without prompts and comments."""
    blocks = [block.group() for block in _FENCE.finditer(markdown)]
    lines = [
        line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()[1:-1]
    ]
    return [line for line in lines if line and not line.startswith("#")]


def readme() -> str:
    path = ROOT / "README.md"
    assert path.is_file(), "README.md is missing"
    return path.read_text("utf-8")


def test_links_lead_somewhere() -> None:
    assert [f for path in DOCUMENTS for f in broken_links(path.read_text("utf-8"), path)] == []


def test_named_files_exist() -> None:
    assert [f for path in DOCUMENTS for f in broken_paths(path.read_text("utf-8"), path)] == []


def test_named_symbols_exist() -> None:
    assert [f for path in DOCUMENTS for f in broken_symbols(path.read_text("utf-8"), path)] == []


def test_environment_variables_are_documented() -> None:
    source = "\n".join(path.read_text("utf-8") for path in python_files(SOURCE))
    documents = "\n".join(path.read_text("utf-8") for path in DOCUMENTS)
    assert undocumented_variables(source, documents) == set()


def test_the_readme_has_the_two_commands() -> None:
    assert RUN in commands(readme())
    assert TESTS in commands(readme())


def test_the_run_command_names_what_the_project_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "demo" in project["optional-dependencies"]
    assert "s3fanout" in project["scripts"]


def test_ci_runs_the_readmes_test_command() -> None:
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("exec ")] == [f"exec {TESTS}"]


@pytest.mark.parametrize(
    "script", [".ci/run", "scripts/test", "scripts/lock", "scripts/index-decisions"]
)
def test_scripts_can_be_executed(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


def test_the_changelog_has_a_place_for_what_is_not_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"


def test_the_index_of_decisions_is_made_from_the_records() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "index-decisions"), "--print"]
    made = subprocess.run(script, capture_output=True, text=True, encoding="utf-8", check=True)
    folder = ROOT / "docs" / "decisions"
    assert (folder / "README.md").read_text("utf-8") == made.stdout, "run scripts/index-decisions"
    numbers = sorted(path.name[:5] for path in folder.glob("[0-9]*.md"))
    assert numbers == [f"{number:04}-" for number in range(len(numbers))]
    assert len(made.stdout.splitlines()) == 7 + len(numbers)


DOCUMENT = ROOT / "docs" / "page.md"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[a](glossary.md)", 0),
        ("[a](glossary.md#names)", 0),
        ("# Its Own, Heading\n[a](#its-own-heading)", 0),
        ("[a](https://example.com/x)", 0),
        ("```\n[a](gone.md)\n```", 0),
        ("[a](gone.md)", 1),
        ("[a](glossary.md#gone)", 1),
        ("[a](#gone)", 1),
    ],
)
def test_the_rule_on_links_can_fail(text: str, found: int) -> None:
    assert len(broken_links(text, DOCUMENT)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`docs/glossary.md` `model/errors.py` `requirements/*.txt` `decisions/`", 0),
        ("`/etc/s3fanout/s3fanout.toml` `photos/2026/a.jpg`", 0),
        ("`docs/gone.md`", 1),
        ("`model/gone.py`", 1),
        ("`GONE.md`", 1),
        ("`requirements/*.gone`", 1),
    ],
)
def test_the_rule_on_paths_can_fail(text: str, found: int) -> None:
    assert len(broken_paths(text, DOCUMENT)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`s3fanout.model.errors.Refused.code` `s3fanout.toml` `s3fanout.decide.plan`", 0),
        ("`s3fanout.model.gone`", 1),
        ("`s3fanout.model.errors.gone()`", 1),
        ("`s3fanout.decide.plan._private`", 1),
    ],
)
def test_the_rule_on_symbols_can_fail(text: str, found: int) -> None:
    assert len(broken_symbols(text, DOCUMENT)) == found


def test_the_rule_on_environment_variables_can_fail() -> None:
    assert undocumented_variables('env["S3FANOUT_A"]', "`S3FANOUT_A`") == set()
    assert undocumented_variables('env["S3FANOUT_A"]', "`S3FANOUT_AB`") == {"S3FANOUT_A"}


def test_commands_are_read_from_fenced_blocks() -> None:
    assert commands("```\n$ a b\n# note\n\nc\n```\n\nd\n") == ["a b", "c"]
