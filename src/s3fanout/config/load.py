"""From a file, the environment and flags to settings that hold together, or all that is wrong."""

from __future__ import annotations

import copy
import dataclasses
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from s3fanout.config.catalogue import ANY_NAME, Node, catalogue
from s3fanout.config.check import check
from s3fanout.config.layers import Layers
from s3fanout.config.locate import KeyPath, dotted, locate, parse_dotted
from s3fanout.config.problems import ConfigProblems, Problem, Severity
from s3fanout.config.settings import SCHEMA, Settings
from s3fanout.config.translate import problems_of
from s3fanout.config.values import BASE_DIRECTORY, Form

_NO_OVERRIDES: Final[Mapping[str, str]] = MappingProxyType({})
_SYNTAX_ERROR: Final = re.compile(r"(.*) \(at line ([0-9]+), column ([0-9]+)\)", re.DOTALL)
_SYNTAX_ERROR_AT_END: Final = re.compile(r"(.*) \(at end of document\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """Settings, and where each of them came from.

    Attributes:
        settings: All checks passed.
        origins: By dotted path, for every setting: ``default``, ``s3fanout.toml:12``,
            ``env S3FANOUT__…``, ``flag``, or for what was inherited
            ``source.region (s3fanout.toml:5)``.
        path: The file as given.
        warnings: What was noticed and stops nothing.
    """

    settings: Settings
    origins: Mapping[str, str]
    path: Path
    warnings: tuple[Problem, ...] = ()


def load(
    path: str | Path, *, env: Mapping[str, str], overrides: Mapping[str, str] = _NO_OVERRIDES
) -> LoadedConfig:
    """Read the file at ``path`` and put environment and flags over it.

    Args:
        path: The TOML file.
        env: The process's environment; ``S3FANOUT__SECTION__SETTING`` counts.
        overrides: Dotted path to text, from flags; stronger than the environment.

    Raises:
        ConfigProblems: Everything that is wrong. References to variables and files are not
            followed (see ``references``).
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise ConfigProblems(
            [
                Problem(
                    "",
                    f"the configuration cannot be read: {reason}",
                    "create one with: s3fanout init",
                    source=str(path),
                )
            ]
        ) from error
    try:
        # An editor's byte order mark is no part of the text.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigProblems(
            [Problem("", "not UTF-8 text", "save it as UTF-8", line, str(path))]
        ) from None
    return parse(text, path=path, env=env, overrides=overrides)


def parse(
    text: str,
    *,
    path: Path,
    env: Mapping[str, str],
    overrides: Mapping[str, str] = _NO_OVERRIDES,
) -> LoadedConfig:
    """As ``load``, of a text; touches no file. ``path`` names it and anchors relative paths.

    Raises:
        ConfigProblems: As ``load``.
    """
    layers = _layers(text, path, env, overrides)
    _check_schema(layers)
    context = {BASE_DIRECTORY: path.parent}
    problems: dict[KeyPath, Problem] = {}
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(layers.raw, context=context)
    except ValidationError as error:
        # The cause holds raw values, secrets written by mistake among them: it goes no further.
        problems = problems_of(error, layers)
        settings = _settings_of_the_rest(layers, tuple(problems), context)
    found = [*layers.problems, *problems.values()]
    if settings is not None:
        relations = (_placed(problem, layers) for problem in check(settings))
        found += [each for each in relations if not _is_clouded(each, tuple(problems))]
    found.sort(key=lambda problem: (problem.line is None, problem.line or 0))
    if settings is None or any(problem.severity is Severity.ERROR for problem in found):
        raise ConfigProblems(found)
    return LoadedConfig(settings, _origins(layers), path, tuple(found))


def located(loaded: LoadedConfig, problems: Iterable[Problem]) -> list[Problem]:
    """``problems`` of a loaded configuration (``check_references``) with their origin as source."""
    return [
        dataclasses.replace(problem, source=loaded.origins.get(problem.path, str(loaded.path)))
        for problem in problems
    ]


def _layers(text: str, path: Path, env: Mapping[str, str], overrides: Mapping[str, str]) -> Layers:
    try:
        raw = tomllib.loads(text)
    except ValueError as error:  # its own error, and what int() says to thousands of digits
        raise ConfigProblems([_syntax_problem(str(error), text, path)]) from None
    except RecursionError:
        raise ConfigProblems([_syntax_problem("nested too deeply", text, path)]) from None
    layers = Layers(raw, path.name, str(path), locate(text))
    layers.merge_env(env)
    layers.merge_overrides(overrides)
    layers.inherit()
    return layers


def _syntax_problem(message: str, text: str, path: Path) -> Problem:
    """The line is in the message: ``tomllib`` (Python 3.11 to 3.13) has no attribute for it."""
    line = None
    if match := _SYNTAX_ERROR.fullmatch(message):
        message, line = match[1], int(match[2])
    elif match := _SYNTAX_ERROR_AT_END.fullmatch(message):
        message, line = f"{match[1]} at the end of the file", text.count("\n") + 1
    message = message[:1].lower() + message[1:]
    return Problem("", f"not valid TOML: {message}", "", line, str(path))


def _check_schema(layers: Layers) -> None:
    """Another schema means other settings: nothing else is worth reporting then."""
    schema = layers.raw.get("schema", SCHEMA)
    if type(schema) is int and schema > SCHEMA:
        source, line = layers.place(("schema",))
        raise ConfigProblems(
            [
                Problem(
                    "schema",
                    f"{schema} is newer than this program, which knows {SCHEMA}",
                    "upgrade s3fanout",
                    line,
                    source,
                )
            ]
        )


def _settings_of_the_rest(
    layers: Layers, wrong: tuple[KeyPath, ...], context: Mapping[str, object]
) -> Settings | None:
    """Settings without what is wrong, so that relations of the rest can be checked as well."""
    rest = dataclasses.replace(
        layers, raw=copy.deepcopy(layers.raw), inherited={}, origins=dict(layers.origins)
    )
    for path in layers.inherited:
        _remove(rest.raw, path)
    for path in wrong:
        _remove(rest.raw, path)
    rest.raw.setdefault("schema", SCHEMA)
    rest.inherit()
    try:
        return Settings.model_validate(rest.raw, context=dict(context))
    except ValidationError:
        return None


def _remove(raw: dict[str, Any], path: KeyPath) -> None:
    """Take out the value at ``path``; the table around it if it is missing, or a list's item."""
    table: Any = raw
    for length, part in enumerate(path):
        is_last = length == len(path) - 1
        below = table.get(part) if isinstance(part, str) else None
        if is_last and part in table:
            del table[part]
        elif is_last and length:
            _remove(raw, path[:-1])
        elif isinstance(below, dict):
            table = below
        elif part in table:
            del table[part]
            return
        else:
            return


def _is_clouded(problem: Problem, wrong: tuple[KeyPath, ...]) -> bool:
    """Whether a relation concerns what is wrong, or a table around it: it may only seem so."""
    concerned = [parse_dotted(path) for path in (problem.path, *problem.related)]
    tables = [*wrong, *(path[:-1] for path in wrong)]
    return any(
        path[: len(table)] == table or table[: len(path)] == path
        for path in concerned
        for table in tables
        if table
    )


def _placed(problem: Problem, layers: Layers) -> Problem:
    """``problem`` where it can be corrected: a setting that is there, not one that is a default."""
    paths = [parse_dotted(path) for path in (problem.path, *problem.related)]
    there = next((path for path in paths if layers.is_set(path)), paths[0])
    source, line = layers.place(there)
    return dataclasses.replace(problem, source=source, line=line)


def _origins(layers: Layers) -> Mapping[str, str]:
    paths = _setting_paths(catalogue(), (), layers.raw)
    return MappingProxyType({dotted(path): layers.origin_of(path) for path in paths})


def _setting_paths(node: Node, path: KeyPath, raw: Mapping[str, Any]) -> Iterable[KeyPath]:
    """Paths of all settings, per destination that there is; a section that is off is one path."""
    for name, child in node.children.items():
        names = list(raw) if name == ANY_NAME else [name]
        for each in names:
            below = raw.get(each, {})
            if child.form is not Form.SECTION or (child.is_switch_by_presence and each not in raw):
                yield (*path, each)
            else:
                yield from _setting_paths(child, (*path, each), below)
