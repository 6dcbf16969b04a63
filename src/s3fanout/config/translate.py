"""What pydantic found wrong, in our words, at our lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from s3fanout.config.catalogue import Node, catalogue, find
from s3fanout.config.layers import Layers, unknown_hint
from s3fanout.config.locate import KeyPath, dotted
from s3fanout.config.problems import Problem, nearest
from s3fanout.config.values import Form, kind_of

_EXPECTED: Final = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "bool_type": "expected true or false",
    "tuple_type": "expected a list",
    "model_type": "expected a table",
    "dict_type": "expected a table",
}
_SECRET_WORDS: Final = ("key", "secret", "token", "password")
_REFERENCE_HINTS: Final = {
    "credentials": "secrets are never written here; refer to them, as in "
    '{ env = "PROD" } or { profile = "prod" }',
    "token": 'a token is never written here; refer to it, as in { env = "S3FANOUT_TOKEN" }',
}


def problems_of(error: ValidationError, layers: Layers) -> dict[KeyPath, Problem]:
    """One problem per wrong place.

    Values that were inherited are wrong where they stand, not again where they are inherited.
    """
    problems: dict[KeyPath, Problem] = {}
    for detail in error.errors(include_url=False):
        path = tuple(part for part in detail["loc"] if part != "[key]")
        if any(path[:length] in layers.inherited for length in range(len(path) + 1)):
            continue
        message, hint = _words(path, detail)
        source, line = layers.place(path)
        problems.setdefault(path, Problem(dotted(path), message, hint, line, source))
    return problems


def _words(path: KeyPath, detail: ErrorDetails) -> tuple[str, str]:
    """Message and hint. No value is quoted but those of choices."""
    kind = detail["type"]
    node = find(path)
    if kind == "extra_forbidden":
        return _unknown(path, detail["input"])
    if kind == "missing":
        return _missing(path, node)
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind]}, not a {kind_of(detail['input'])}", _reference_hint(path)
    if kind == "enum" and node is not None:
        return _unknown_choice(detail["input"], node)
    if kind in {"greater_than_equal", "less_than_equal"} and node is not None and node.bounds:
        low, high = node.bounds
        return f"must be between {low} and {high}", ""
    if kind == "value_error":
        return str(detail["ctx"]["error"]), ""
    return detail["msg"][:1].lower() + detail["msg"][1:], ""


def _unknown(path: KeyPath, value: object) -> tuple[str, str]:
    table = find(path[:-1]) or catalogue()
    name = str(path[-1])
    if table.form is Form.TABLE and any(word in name.lower() for word in _SECRET_WORDS):
        return "unknown setting", _reference_hint(path)
    is_section = isinstance(value, dict) and table.form is Form.SECTION
    return f"unknown {'section' if is_section else 'setting'}", unknown_hint(name, table.children)


def _missing(path: KeyPath, node: Node | None) -> tuple[str, str]:
    if node is None or node.form is Form.SECTION:
        return "this section is required", f"add [{dotted(path)}]"
    return "required", f"add {node.name} = {node.example}"


def _reference_hint(path: KeyPath) -> str:
    named = (str(part) for part in path)
    return next((_REFERENCE_HINTS[part] for part in named if part in _REFERENCE_HINTS), "")


def _unknown_choice(value: object, node: Node) -> tuple[str, str]:
    choices: Sequence[str] = node.choices
    listed = ", ".join(f"'{choice}'" for choice in choices)
    if not isinstance(value, str):
        return f"expected one of {listed}, not a {kind_of(value)}", ""
    near = nearest(value, choices)
    meant = f"did you mean '{near}'?" if near else ""
    return f"{value!r} is not one of {listed}", meant
