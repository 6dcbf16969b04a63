"""What the tests of the documents read: sections, tables, code blocks."""

from __future__ import annotations

import re

from tests.tidy.repository import ROOT

DOCS = ROOT / "docs"

_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CELLS = re.compile(r"(?<!\\)\|")


def page(name: str) -> str:
    """The text of a page of ``docs/``."""
    return (DOCS / name).read_text("utf-8")


def sections(markdown: str) -> dict[str, str]:
    """Text below each heading, up to the next heading of any level, by the heading's text."""
    found = list(_HEADING.finditer(_without_blocks(markdown)))
    text = _without_blocks(markdown)
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {match[2]: text[match.end() : end] for match, end in zip(found, ends, strict=True)}


def rows(markdown: str) -> list[list[str]]:
    """The cells of every table row, without headings and rules."""
    lines = markdown.splitlines()
    found = []
    for at, line in enumerate(lines):
        heading = at + 1 < len(lines) and _is_rule(lines[at + 1])
        if line.startswith("|") and not _is_rule(line) and not heading:
            found.append([cell.strip() for cell in _CELLS.split(line.strip().strip("|"))])
    return found


def spans(text: str) -> list[str]:
    """The code spans of a text."""
    return re.findall(r"`([^`\n]+)`", text)


def first_spans(markdown: str) -> list[str]:
    """The code spans of the first cell of each table row."""
    return [span for cells in rows(markdown) for span in spans(cells[0])]


def blocks(markdown: str, language: str) -> list[str]:
    """The fenced blocks that are marked as ``language``."""
    return [match[2] for match in _BLOCK.finditer(markdown) if match[1] == language]


def _without_blocks(markdown: str) -> str:
    return re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)


def _is_rule(line: str) -> bool:
    return re.fullmatch(r"\|(?:-+\|)+", line) is not None
