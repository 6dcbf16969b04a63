"""What is every setting, and who said so?

Settings hold no secrets, only references to them; the references are shown as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from s3fanout.config.catalogue import ANY_NAME, Node, catalogue, toml_text
from s3fanout.config.load import LoadedConfig
from s3fanout.config.locate import KeyPath, dotted
from s3fanout.config.values import AWS, Form

SCHEMA_VERSION: Final = 1
"""Version of ``to_json``; fields are only added."""

NOT_SET: Final = "(not set)"
OFF: Final = "(off)"


@dataclass(frozen=True, slots=True)
class ExplainedValue:
    """One setting as it counts.

    Attributes:
        path: Dotted path, as flags take it.
        value_text: As TOML writes it; ``(not set)`` for no value, ``(off)`` for a section that is
            on only if present.
        origin: See ``LoadedConfig.origins``.
        help: One sentence.
    """

    path: str
    value_text: str
    origin: str
    help: str


def explain(loaded: LoadedConfig) -> list[ExplainedValue]:
    """Every setting with its value and origin, in the order of the reference."""
    return [
        ExplainedValue(dotted(path), text, loaded.origins[dotted(path)], node.help)
        for path, node, text in _values((), catalogue(), loaded.settings)
    ]


def to_json(values: Iterable[ExplainedValue]) -> dict[str, Any]:
    """The values as the command line prints them with ``--json``; absent values are ``null``."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "config",
        "settings": [
            {
                "path": each.path,
                "value": None if each.value_text in {NOT_SET, OFF} else each.value_text,
                "origin": each.origin,
                "help": each.help,
            }
            for each in values
        ],
    }


def _values(path: KeyPath, node: Node, value: object) -> Iterator[tuple[KeyPath, Node, str]]:
    """Walk the tree of nodes and the tree of values side by side."""
    if node.form is not Form.SECTION:
        if value is None and node.name == "endpoint":
            value = AWS
        yield path, node, toml_text(value, node.form) or NOT_SET
    elif value is None:
        yield path, node, OFF
    elif isinstance(value, Mapping):
        for name, below in value.items():
            yield from _values((*path, name), node.children[ANY_NAME], below)
    else:
        for name, child in node.children.items():
            yield from _values((*path, name), child, getattr(value, child.attribute))
