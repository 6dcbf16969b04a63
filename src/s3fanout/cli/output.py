"""The only place that prints. Data goes to standard output; errors and progress to standard error.

Everything that comes from outside (keys, messages) passes ``printable`` before it meets a terminal:
a key may hold control characters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from s3fanout.model.errors import Misconfigured, S3FanoutError
from s3fanout.service.logs import printable

_KIB = 1024
_TICK_S = 0.5
_PIPE_COLUMNS = 400
_ROUND_FROM_S, _MINUTE_S, _HOUR_S = 10, 60, 3600


def out_console() -> Console:
    """Standard output; plain where it is not a terminal, or ``NO_COLOR`` is set."""
    # A pipe has no width: rows must stay lines for grep and cut.
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    return Console(file=sys.stdout, highlight=False, soft_wrap=True, width=width)


def err_console() -> Console:
    """Standard error."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def print_json(document: object) -> None:
    """One JSON document; keys that are not clean text are escaped by JSON itself."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=True) + "\n")


def print_json_line(document: object) -> None:
    """One JSON document on one line, at once: a reader of a pipe waits for it."""
    sys.stdout.write(json.dumps(document, ensure_ascii=True) + "\n")
    sys.stdout.flush()


def print_line(text: str = "", *, style: str = "") -> None:
    """One line of data or answer."""
    out_console().print(Text(printable(text), style=style))


def print_lines(lines: Iterable[tuple[str, str]]) -> None:
    """Lines of data with a style each; our own line breaks inside a line are kept."""
    console = out_console()
    for text, style in lines:
        for line in text.split("\n"):
            console.print(Text(printable(line), style=style))


def print_block(text: str) -> None:
    """Our own text of several lines, as it is."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def print_note(text: str, *, style: str = "") -> None:
    """One line for the person, not for a script."""
    err_console().print(Text(printable(text), style=style))


def print_error(error: S3FanoutError) -> None:
    """``error[code]: fact``, then the hint."""
    console = err_console()
    head, *rest = error.message.split("\n")
    console.print(
        Text(f"error[{error.code}]: ", style="bold red") + Text(printable(head), style="bold")
    )
    for line in rest:
        console.print(Text("  " + printable(line)))
    if error.hint:
        console.print()
        console.print(Text("hint: ", style="bold cyan") + Text(printable(error.hint)))


def print_table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Text | str]]) -> None:
    """A table of data; ``columns`` are (heading, ``left`` or ``right``)."""
    out_console().print(make_table(columns, rows))


def make_table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Text | str]]) -> Table:
    """A table that can also be part of a live view."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading, side in columns:
        table.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row))
    return table


def human_bytes(size_bytes: int) -> str:
    """``1.5 MiB``."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < _KIB:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _KIB
    return f"{size:.1f} TiB"


def human_seconds(seconds: float) -> str:
    """``0.2s``, ``45s``, ``3m12s``, ``2h05m``."""
    if seconds < _ROUND_FROM_S:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole}s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}m{whole % _MINUTE_S:02}s"
    return f"{whole // _HOUR_S}h{whole % _HOUR_S // _MINUTE_S:02}m"


def write_pieces(pieces: Iterable[str], path: Path | None) -> None:
    """Write a text as it comes, to a file or to standard output.

    Raises:
        Misconfigured: The file cannot be written.
    """
    if path is None:
        for piece in pieces:
            sys.stdout.write(piece)
        return
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)
    except OSError as error:
        raise Misconfigured(f"cannot write {path}: {error.strerror}") from error


class Ticker:
    """A line of progress that is rewritten on a terminal; nothing elsewhere.

    Attributes:
        began_s: When the work began, by the caller's clock.
    """

    def __init__(self) -> None:
        self.began_s = 0.0
        self._next_s = 0.0
        self._is_shown = False

    def is_due(self, now_s: float) -> bool:
        """Whether it is time for a new line, and somebody looks."""
        if now_s < self._next_s or not sys.stderr.isatty():
            return False
        self._next_s = now_s + _TICK_S
        return True

    def show(self, text: str) -> None:
        """Replace the line."""
        sys.stderr.write(f"\r\x1b[K{printable(text)}")
        sys.stderr.flush()
        self._is_shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            self._is_shown = False
