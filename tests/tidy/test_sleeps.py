"""No test sleeps and hopes: it waits for something, in a loop that looks, or says why it sleeps."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.tidy.repository import ROOT, Finding, name_of, python_files, tree_of

SLEEPS = {("time", "sleep"), ("asyncio", "sleep")}
VIRTUAL = ROOT / "tests" / "simulation"
"""Time costs nothing there, and is what is tested."""


def blind_sleeps(source: str, tree: ast.Module, name: str) -> list[Finding]:
    """Sleeps of any length outside a loop, without a comment on their line."""
    lines = source.splitlines()
    in_loops = {
        id(node)
        for loop in ast.walk(tree)
        if isinstance(loop, ast.While | ast.For | ast.AsyncFor)
        for node in ast.walk(loop)
    }
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        of = node.func.value
        if not isinstance(of, ast.Name) or (of.id, node.func.attr) not in SLEEPS:
            continue
        yields_only = isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
        if not yields_only and id(node) not in in_loops and "  # " not in lines[node.lineno - 1]:
            found.append(Finding(name, node.lineno, "sleeps and hopes"))
    return found


def test_no_test_sleeps_for_synchronisation() -> None:
    found: list[Finding] = []
    for path in python_files(ROOT / "tests"):
        if not path.is_relative_to(VIRTUAL):
            found += blind_sleeps(path.read_text("utf-8"), tree_of(path), name_of(path))
    assert found == []


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("time.sleep(1)", 1),
        ("await asyncio.sleep(0.1)", 1),
        ("await asyncio.sleep(seconds)", 1),
        ("await asyncio.sleep(0)", 0),
        ("while not look():\n    time.sleep(1)", 0),
        ("time.sleep(1)  # the moment is the input", 0),
        ("await clock.sleep(1)", 0),
    ],
)
def test_the_rule_can_fail(code: str, count: int) -> None:
    body = "\n    ".join(code.splitlines())
    source = f"async def f():\n    {body}\n"
    assert len(blind_sleeps(source, ast.parse(source), str(Path("s")))) == count
