"""One word for each thing: the glossary bans synonyms, and names in the source keep to it."""

from __future__ import annotations

import ast
import re

from tests.tidy.repository import ROOT, SOURCE, Finding, name_of, python_files, tree_of

GLOSSARY = ROOT / "docs" / "glossary.md"

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def banned_words(glossary: str) -> frozenset[str]:
    """The words in code letters in the third column of the glossary's tables."""
    rows = [line.strip("|").split("|") for line in glossary.splitlines() if line.startswith("|")]
    return frozenset(
        word for cells in rows if len(cells) == 3 for word in re.findall(r"`(\w+)`", cells[2])
    )


def words_of(name: str) -> list[str]:
    """The words of an identifier: ``SQSPoller_v2`` is sqs, poller, v."""
    return [word.lower() for word in _WORD.findall(name)]


def names_given(tree: ast.Module) -> list[tuple[str, int]]:
    """What a module names for others to read: classes, functions, parameters, fields."""
    names = []
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                names.append((node.name, node.lineno))
            case ast.arg():
                names.append((node.arg, node.lineno))
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.append((name, node.lineno))
    return names


def synonyms(tree: ast.Module, path_name: str, banned: frozenset[str]) -> list[Finding]:
    """Names that hold a banned word."""
    return [
        Finding(path_name, line, f"{name} says {word!r}")
        for name, line in names_given(tree)
        for word in words_of(name)
        if word in banned
    ]


def test_the_source_uses_the_words_of_the_glossary() -> None:
    banned = banned_words(GLOSSARY.read_text("utf-8"))
    assert len(banned) > 20, "the glossary's tables were not understood"
    found = []
    for path in python_files(SOURCE):
        found += synonyms(tree_of(path), name_of(path), banned)
        modules = path.relative_to(SOURCE).with_suffix("").as_posix()
        found += [Finding(name_of(path), 1, w) for w in words_of(modules) if w in banned]
    assert found == []


def test_the_rule_on_words_can_fail() -> None:
    banned = banned_words("| word | meaning | not |\n|---|---|---|\n| ledger | truth | `db`, log |")
    assert banned == {"db"}
    code = "class DbReader:\n    def f(self, src_db): pass\n    log: int = 1\n"
    assert [finding.what for finding in synonyms(ast.parse(code), "s", banned)] == [
        "DbReader says 'db'",
        "src_db says 'db'",
    ]
