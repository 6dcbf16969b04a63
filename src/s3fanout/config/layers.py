"""Default, file, environment, flags: which value counts, and where did it come from?

Layers are merged as raw values, before any of them is validated. Later layers replace single
settings; a table such as ``credentials`` is replaced as a whole when it is set as a whole.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from s3fanout.config.catalogue import ANY_NAME, Node, catalogue
from s3fanout.config.locate import KeyPath, Locations, dotted, parse_dotted
from s3fanout.config.problems import Problem, nearest
from s3fanout.config.values import Form

ENV_PREFIX: Final = "S3FANOUT__"
DEFAULT: Final = "default"
FLAG: Final = "flag"

Raw = dict[str, Any]

_LITERAL_FORMS: Final = frozenset({Form.TEXT, Form.CHOICE, Form.SIZE, Form.DURATION})
"""Settings whose value in the environment is the text itself; others are written as in TOML."""

_STORE_SETTINGS: Final = ("endpoint", "region", "addressing", "ca_file", "credentials")
_QUEUE_SETTINGS: Final = ("region", "credentials")


@dataclass
class Layers:
    """The merged values while they are being put together.

    Attributes:
        raw: As ``tomllib`` would give them, if the file said all of it.
        file_name: Name of the file for origins.
        file_source: The file's path as given, for problems.
        locations: Lines of the file.
        origins: Paths that are not from the file: ``env NAME`` or ``flag``.
        inherited: Paths that were filled from elsewhere in ``raw``, and from where.
        problems: What could not be merged.
    """

    raw: Raw
    file_name: str
    file_source: str
    locations: Locations
    origins: dict[KeyPath, str] = field(default_factory=dict)
    inherited: dict[KeyPath, KeyPath] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def merge_env(self, env: Mapping[str, str]) -> None:
        """Put ``S3FANOUT__SECTION__SETTING`` over the file; names in any case."""
        for name in sorted(env):
            if not name.upper().startswith(ENV_PREFIX):
                continue
            origin = f"env {name}"
            segments = name[len(ENV_PREFIX) :].split("__")
            try:
                self._set(self._env_path(segments), env[name], origin)
            except _Unmergeable as error:
                path = ".".join(segment.lower() for segment in segments)
                self._complain(error.path or path, error, origin)

    def merge_overrides(self, overrides: Mapping[str, str]) -> None:
        """Put dotted paths over everything."""
        for name, text in overrides.items():
            try:
                self._set(_flag_path(name), text, FLAG)
            except _Unmergeable as error:
                self._complain(error.path or name, error, FLAG)

    def inherit(self) -> None:
        """Fill what destinations and the queue take from the source.

        A destination that names no endpoint is in the source's store: what it leaves out of
        endpoint, region, addressing, ca_file and credentials is the source's. A destination that
        names an endpoint stands alone: nothing is the source's. The queue takes region and
        credentials.
        """
        source = self.raw.get("source")
        if not isinstance(source, dict):
            return
        destinations = self.raw.get("destinations")
        if isinstance(destinations, dict):
            for name, destination in destinations.items():
                if isinstance(destination, dict) and "endpoint" not in destination:
                    self._fill(destination, ("destinations", name), source, _STORE_SETTINGS)
        intake = self.raw.get("intake")
        queue = intake.get("sqs") if isinstance(intake, dict) else None
        if isinstance(queue, dict):
            self._fill(queue, ("intake", "sqs"), source, _QUEUE_SETTINGS)

    def origin_of(self, path: KeyPath) -> str:
        """``default``, ``FILE:LINE``, ``env NAME``, ``flag``, or ``SETTING (…)`` if inherited."""
        inherited = self.inherited.get(path)
        if inherited is not None:
            return f"{dotted(inherited)} ({self.origin_of(inherited)})"
        found: Any = self.raw
        for part in path:
            if not isinstance(found, dict) or part not in found:
                return DEFAULT
            found = found[part]
        origins = {self._origin_of_part(below) for below in _leaves(path, found)}
        return ", ".join(sorted(origins)) or self._origin_of_part(path)

    def is_set(self, path: KeyPath) -> bool:
        """Whether the file, the environment or a flag says something at exactly this path."""
        return path in self.locations.lines or path in self.origins

    def place(self, path: KeyPath) -> tuple[str, int | None]:
        """Where a problem of ``path`` is reported: the source, and the line if it is the file."""
        origin = self._set_by(path)
        if origin is not None:
            return origin, None
        return self.file_source, self.locations.line_of(path)

    def _origin_of_part(self, path: KeyPath) -> str:
        return self._set_by(path) or f"{self.file_name}:{self.locations.line_of(path)}"

    def _set_by(self, path: KeyPath) -> str | None:
        """The environment variable or flag that gave the value; ``None`` if it is the file."""
        exact = [
            self.origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.origins
        ]
        return exact[0] if exact else None

    def _fill(self, table: Raw, path: KeyPath, source: Raw, names: Iterable[str]) -> None:
        for name in names:
            if name in source and name not in table:
                table[name] = copy.deepcopy(source[name])
                self.inherited[(*path, name)] = ("source", name)

    def _set(self, target: tuple[tuple[str, ...], Node], text: str, origin: str) -> None:
        path, node = target
        value = _value(text, node, path)
        if origin != FLAG and self.origins.get(path, "").startswith("env "):
            raise _Unmergeable(f"also set by {self.origins[path]}", path=dotted(path), hint="")
        table: Any = self.raw
        for length, part in enumerate(path[:-1], start=1):
            if part not in table:
                table[part] = {}
                self.origins[path[:length]] = origin
            table = table[part]
            if not isinstance(table, dict):
                raise _Unmergeable(
                    f"{dotted(path[:length])} is not a table", path=dotted(path), hint=""
                )
        table[path[-1]] = value
        for known in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[known]
        self.origins[path] = origin

    def _env_path(self, segments: list[str]) -> tuple[tuple[str, ...], Node]:
        node = catalogue()
        path: tuple[str, ...] = ()
        for segment in segments:
            if ANY_NAME in node.children:
                name = self._destination(segment)
            else:
                name = next((known for known in node.children if known == segment.lower()), "")
            if not name:
                raise _unknown((*path, segment.lower()), node)
            path = (*path, name)
            node = node.child(name) or node
        return path, node

    def _destination(self, segment: str) -> str:
        """The destination that a segment means: variables cannot spell ``-``, ``.`` and case."""
        destinations = self.raw.get("destinations")
        known = list(destinations) if isinstance(destinations, dict) else []
        fitting = [name for name in known if _env_spelling(name) == _env_spelling(segment)]
        if len(fitting) > 1:
            raise _Unmergeable(
                f"the name fits the destinations {' and '.join(fitting)}",
                path="",
                hint="set it in the file or by a flag",
            )
        return fitting[0] if fitting else segment.lower()

    def _complain(self, path: str, error: _Unmergeable, origin: str) -> None:
        self.problems.append(Problem(path, str(error), error.hint, source=origin))


class _Unmergeable(Exception):
    def __init__(self, message: str, *, path: str, hint: str) -> None:
        super().__init__(message)
        self.path = path
        self.hint = hint


def unknown_hint(name: str, siblings: Iterable[str]) -> str:
    """The hint for a name that is not known: its nearest sibling, else where the name belongs."""
    near = nearest(name, siblings)
    if near is not None:
        return f"did you mean '{near}'?"
    elsewhere = [path for path, _ in catalogue().walk() if path[-1] == name]
    return f"did you mean '{'.'.join(elsewhere[0])}'?" if elsewhere else ""


def _unknown(path: tuple[str, ...], node: Node) -> _Unmergeable:
    return _Unmergeable(
        "unknown setting", path=dotted(path), hint=unknown_hint(path[-1], node.children)
    )


def _flag_path(name: str) -> tuple[tuple[str, ...], Node]:
    try:
        parts = parse_dotted(name)
    except ValueError as error:
        raise _Unmergeable(str(error), path=name, hint="") from error
    node = catalogue()
    for length, part in enumerate(parts, start=1):
        below = node.child(part)
        if below is None:
            raise _unknown(parts[:length], node)
        node = below
    return parts, node


def _value(text: str, node: Node, path: KeyPath) -> object:
    """The raw value that ``text`` stands for at a setting."""
    if node.form in _LITERAL_FORMS:
        return text
    if node.form is Form.SWITCH and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        read = {}
    if set(read) != {"value"}:
        raise _Unmergeable(
            f"expected a {node.form.value} as TOML writes it", path=dotted(path), hint=""
        )
    return read["value"]


def _env_spelling(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def _leaves(path: KeyPath, value: object) -> Iterable[KeyPath]:
    if isinstance(value, dict) and value:
        for name, below in value.items():
            yield from _leaves((*path, name), below)
    else:
        yield path
