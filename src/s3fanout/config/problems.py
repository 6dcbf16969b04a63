"""What is wrong with a configuration, all of it at once, in words that lead to the line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from s3fanout.model.errors import Misconfigured


class Severity(StrEnum):
    """Whether a problem stops the program."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: Dotted path of the setting as written (``destinations.paris.buckt``); ``""`` is the
            file as a whole.
        message: Lower-case fact. Never quotes a value that could be a secret.
        hint: What to do, in one clause; ``""`` where the message says it.
        line: 1-based line in the file; ``None`` where it does not stand there.
        source: Where the value came from: the file's path as given, ``env NAME``, ``flag``.
        severity: A warning never stops anything.
        related: Dotted paths of the other settings that take part in the problem.
    """

    path: str
    message: str
    hint: str = ""
    line: int | None = None
    source: str = ""
    severity: Severity = Severity.ERROR
    related: tuple[str, ...] = ()

    def __str__(self) -> str:
        """``file:line: path: message; hint``."""
        where = f"{self.source}:{self.line}" if self.line is not None else self.source
        warning = "warning" if self.severity is Severity.WARNING else ""
        fact = self.message + (f"; {self.hint}" if self.hint else "")
        return ": ".join(part for part in (where, warning, self.path, fact) if part)


class ConfigProblems(Misconfigured):
    """A configuration cannot be used.

    Attributes:
        problems: All of them, errors and warnings, in the order of the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems), hint="")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant, or ``None``."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None
