"""Rules on Python files that the linters do not have. Each rule is shown to be able to fail."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.tidy.repository import ROOT, SOURCE, Finding, name_of, python_files, tree_of

FUNCTION_LINES_MAX = 70
SOURCE_LINES_MAX = 500
TEST_LINES_MAX = 600
VAGUE_NAMES = frozenset({"utils", "util", "common", "helpers", "helper", "manager", "data", "misc"})
PRINTS = "src/s3fanout/cli/output.py"

_MARK = re.compile(r"\b(FIXME|TODO|XXX|HACK)\b(?P<issue> ?\(#\d+\))?")

OURS = tuple(
    path for folder in ("src", "tests", "benchmarks") for path in python_files(ROOT / folder)
)


def long_functions(tree: ast.Module, name: str) -> list[Finding]:
    """Functions of more than ``FUNCTION_LINES_MAX`` lines from ``def`` on, docstring included.

    Decorators do not count: the table of a parametrised test may be as long as it needs to be.
    """
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                found.append(Finding(name, node.lineno, f"{node.name} has {lines} lines"))
    return found


def prints(tree: ast.Module, name: str) -> list[Finding]:
    """Uses of ``print`` and of standard output: it is for data. Logs go to standard error."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "print":
            found.append(Finding(name, node.lineno, "print"))
        elif (
            isinstance(node, ast.Attribute)
            and node.attr == "stdout"
            and isinstance(node.value, ast.Name)
            and node.value.id == "sys"
        ):
            found.append(Finding(name, node.lineno, "sys.stdout"))
    return found


def bare_excepts(tree: ast.Module, name: str) -> list[Finding]:
    """``except:`` without a class: it catches cancellation and the interrupt key."""
    return [
        Finding(name, node.lineno, "bare except")
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]


def unfiled_marks(text: str, name: str) -> list[Finding]:
    """FIXME and the like, and TODO without the number of an issue: ``TODO(#12)``."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        match = _MARK.search(token.string) if token.type == tokenize.COMMENT else None
        if match and not (match[1] == "TODO" and match["issue"]):
            found.append(Finding(name, token.start[0], f"{match[1]} without an issue"))
    return found


def vague_name(path: Path) -> bool:
    """Whether a module or folder is named for nothing in particular."""
    return path.stem in VAGUE_NAMES


def too_long(path_name: str, text: str) -> list[Finding]:
    """Files past their limit: source is split by noun, tests by promise."""
    limit = SOURCE_LINES_MAX if path_name.startswith("src/") else TEST_LINES_MAX
    lines = len(text.splitlines())
    return [Finding(path_name, lines, f"more than {limit} lines")] if lines > limit else []


def future_missing(tree: ast.Module, name: str) -> list[Finding]:
    """Modules with code and without ``from __future__ import annotations`` at the top."""
    for node in tree.body:
        if isinstance(node, ast.Expr):
            continue  # the docstring
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            return []
        if isinstance(node, ast.Assign):
            return []  # a package that only says its version
        return [Finding(name, 1, "no 'from __future__ import annotations'")]
    return []


def test_functions_are_short() -> None:
    assert [f for path in OURS for f in long_functions(tree_of(path), name_of(path))] == []


def test_files_are_short() -> None:
    assert [f for path in OURS for f in too_long(name_of(path), path.read_text("utf-8"))] == []


def test_only_the_output_module_prints() -> None:
    found = [f for path in python_files(SOURCE) for f in prints(tree_of(path), name_of(path))]
    assert [f for f in found if f.path != PRINTS] == []


def test_no_bare_except() -> None:
    assert [f for path in OURS for f in bare_excepts(tree_of(path), name_of(path))] == []


def test_what_is_left_to_do_has_an_issue() -> None:
    found = [f for path in OURS for f in unfiled_marks(path.read_text("utf-8"), name_of(path))]
    assert found == []


def test_modules_are_named_for_what_they_hold() -> None:
    folders = {folder for path in OURS for folder in path.relative_to(ROOT).parents}
    assert [name for name in sorted({*OURS, *folders}) if vague_name(name)] == []


def test_annotations_are_never_evaluated() -> None:
    assert [f for path in OURS for f in future_missing(tree_of(path), name_of(path))] == []


def test_the_rule_on_function_length_can_fail() -> None:
    fits = "@table([\n1,\n2])\ndef f():\n" + "    x = 1\n" * (FUNCTION_LINES_MAX - 1)
    assert long_functions(ast.parse(fits), "s") == []
    assert long_functions(ast.parse(fits + "    x = 1"), "s") == [Finding("s", 4, "f has 71 lines")]


def test_the_rule_on_file_length_can_fail() -> None:
    assert too_long("src/a.py", "\n" * SOURCE_LINES_MAX) == []
    assert too_long("src/a.py", "\n" * (SOURCE_LINES_MAX + 1)) != []
    assert too_long("tests/a.py", "\n" * (SOURCE_LINES_MAX + 1)) == []
    assert too_long("tests/a.py", "\n" * (TEST_LINES_MAX + 1)) != []


@pytest.mark.parametrize("code", ["print(1)", "echo = print", "sys.stdout.write('')"])
def test_the_rule_on_printing_can_fail(code: str) -> None:
    assert len(prints(ast.parse(code), "s")) == 1


def test_the_rule_on_bare_except_can_fail() -> None:
    assert bare_excepts(ast.parse("try:\n    f()\nexcept OSError:\n    g()"), "s") == []
    assert bare_excepts(ast.parse("try:\n    f()\nexcept:\n    g()"), "s") != []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("x = 1  # TODO(#12): later", 0),
        ("x = 1  # TODO later", 1),
        ("x = 1  # FIXME(#12)", 1),
        ('title = "TODO"', 0),
    ],
)
def test_the_rule_on_open_ends_can_fail(line: str, found: int) -> None:
    assert len(unfiled_marks(line, "s")) == found


@pytest.mark.parametrize(
    ("name", "vague"), [("engine/utils.py", True), ("data", True), ("engine/lane.py", False)]
)
def test_the_rule_on_names_can_fail(name: str, vague: bool) -> None:
    assert vague_name(Path(name)) == vague


def test_the_rule_on_annotations_can_fail() -> None:
    assert future_missing(ast.parse('"""Doc."""\nimport os'), "s") != []
    assert future_missing(ast.parse('"""Doc."""\nfrom __future__ import annotations'), "s") == []
