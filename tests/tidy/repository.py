"""What the tidy rules look at: the files of this repository, and the form of a finding."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "s3fanout"

_NOT_OURS = re.compile(r"__pycache__|dist|build|.+\.egg-info|\.(?!ci$|github$|gitignore$).*")
"""Names that are made, not written: caches, environments, the repository's own store."""


class Finding(NamedTuple):
    """A place that breaks a rule."""

    path: str
    line: int
    what: str


@cache
def files(*suffixes: str) -> tuple[Path, ...]:
    """Every written file of the repository, or those that end in one of ``suffixes``; sorted."""
    return tuple(path for path in _walk(ROOT) if not suffixes or path.name.endswith(suffixes))


def is_written(name: str) -> bool:
    """Whether a file or folder of this name is part of the repository, not made by a tool."""
    return _NOT_OURS.fullmatch(name) is None


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if not is_written(path.name):
            continue
        if path.is_dir():
            found += _walk(path)
        else:
            found.append(path)
    return found


def python_files(folder: Path) -> tuple[Path, ...]:
    """Every Python file under ``folder``."""
    return tuple(path for path in files(".py") if path.is_relative_to(folder))


def name_of(path: Path) -> str:
    """The path as findings show it."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
