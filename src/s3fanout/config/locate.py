"""On which line of a TOML text does a setting stand?

``tomllib`` gives values without positions. This scanner walks a text that ``tomllib`` has already
accepted and remembers where each key begins; it decides nothing about values.

Recorded: table headers, keys (each part of a dotted key), keys of inline tables, array items,
entries of arrays of tables (``("a", 0)``, ``("a", 1)`` …).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Final

KeyPath = tuple[str | int, ...]
"""Names of tables and keys from the root; an integer is an index into an array."""

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_BLANK: Final = re.compile(r"[ \t]*")
_BETWEEN: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SCALAR: Final = re.compile(r"[^,\]}#\r\n]*")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


class Locations:
    """Lines of the keys of one text.

    Attributes:
        lines: 1-based line by exact path.
    """

    __slots__ = ("lines",)

    def __init__(self, lines: Mapping[KeyPath, int]) -> None:
        self.lines = lines

    def line_of(self, path: KeyPath) -> int | None:
        """Line of ``path``, else of its nearest enclosing table; ``None`` if that is the root."""
        for length in range(len(path), 0, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return line
        return None


def locate(text: str) -> Locations:
    """Scan ``text``, which is valid TOML."""
    return Locations(_Scanner(text).scan())


def dotted(path: KeyPath) -> str:
    """``path`` as one text: ``destinations."a.b".include.globs[1]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + _quoted(part)
    return text


def parse_dotted(text: str) -> tuple[str, ...]:
    """The parts of a dotted key as TOML writes it, quotes included.

    Raises:
        ValueError: ``text`` is not a dotted key.
    """
    scanner = _Scanner(text)
    try:
        parts = scanner.key()
    except (IndexError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"not a dotted name: {text!r}") from error
    if scanner.at != len(text):
        raise ValueError(f"not a dotted name: {text!r}")
    return parts


def _quoted(part: str) -> str:
    if _BARE.fullmatch(part):
        return part
    escaped = part.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


class _Scanner:
    """One pass over a text; ``at`` is the position, ``line`` the 1-based line of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._line = 1
        self._counted_to = 0
        self._array_entries: dict[KeyPath, int] = {}

    def scan(self) -> Mapping[KeyPath, int]:
        table: KeyPath = ()
        self._skip(_BETWEEN)
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._key_value(table)
            self._skip(_BETWEEN)
        return self.lines

    def key(self) -> tuple[str, ...]:
        """Read a dotted key; stops behind it and the blanks that follow.

        Raises:
            IndexError: There is no key here.
        """
        parts = []
        while True:
            self._skip(_BLANK)
            parts.append(self._key_part())
            self._skip(_BLANK)
            if not self.text.startswith(".", self.at):
                return tuple(parts)
            self.at += 1

    def _key_part(self) -> str:
        bare = _BARE.match(self.text, self.at)
        if bare:
            self.at = bare.end()
            return bare.group()
        string = _STRING.match(self.text, self.at)
        if string is None:
            raise IndexError(self.at)
        self.at = string.end()
        return str(tomllib.loads(f"key = {string.group()}")["key"])

    def _header(self) -> KeyPath:
        is_entry = self.text.startswith("[[", self.at)
        line = self._here()
        self.at += 2 if is_entry else 1
        path = self._through_arrays(self.key())
        self.at += 2 if is_entry else 1
        self._record(path, line)
        if is_entry:
            index = self._array_entries.get(path, -1) + 1
            self._array_entries[path] = index
            path = (*path, index)
            self._record(path, line)
        return path

    def _through_arrays(self, parts: tuple[str, ...]) -> KeyPath:
        """``[a.b]`` below ``[[a]]`` means the newest entry of ``a``; the last part stays open."""
        path: KeyPath = ()
        for part in parts[:-1]:
            path = (*path, part)
            if path in self._array_entries:
                path = (*path, self._array_entries[path])
        return (*path, parts[-1])

    def _key_value(self, table: KeyPath) -> None:
        line = self._here()
        parts = self.key()
        for length in range(1, len(parts) + 1):
            self._record((*table, *parts[:length]), line)
        self.at += 1  # the "="
        self._skip(_BLANK)
        self._value((*table, *parts))

    def _value(self, path: KeyPath) -> None:
        string = _STRING.match(self.text, self.at)
        if string:
            self.at = string.end()
        elif self.text.startswith("[", self.at):
            self._items(path)
        elif self.text.startswith("{", self.at):
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _items(self, path: KeyPath) -> None:
        self.at += 1
        index = 0
        self._skip(_BETWEEN)
        while not self.text.startswith("]", self.at):
            if self.text.startswith(",", self.at):
                self.at += 1
            else:
                self._record((*path, index), self._here())
                self._value((*path, index))
                index += 1
            self._skip(_BETWEEN)
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        self._skip(_BETWEEN)
        while not self.text.startswith("}", self.at):
            if self.text.startswith(",", self.at):
                self.at += 1
            else:
                self._key_value(path)
            self._skip(_BETWEEN)
        self.at += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()

    def _here(self) -> int:
        self._line += self.text.count("\n", self._counted_to, self.at)
        self._counted_to = self.at
        return self._line

    def _record(self, path: KeyPath, line: int) -> None:
        self.lines.setdefault(path, line)
