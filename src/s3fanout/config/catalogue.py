"""Every setting there is, read from the models: names, forms, defaults, help.

Hints, environment variables, ``explain``, the template and the reference all walk this tree, so
none of them can drift from what is accepted.
"""

from __future__ import annotations

import functools
import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from s3fanout.config.credentials import Credentials, SecretReference
from s3fanout.config.settings import Settings
from s3fanout.config.values import Form, text_of

ANY_NAME: Final = "*"
"""Stands for the name of a destination in a path of the catalogue."""

_REFERENCES: Final = (Credentials, SecretReference)
"""Written as one inline table, and shown as one setting."""


@dataclass(frozen=True, slots=True)
class Node:
    """A section or a setting.

    Attributes:
        name: As in the file; ``*`` for any destination.
        attribute: As in the model.
        form: How it is written. ``SECTION`` and ``TABLE`` have children; a table is one setting
            whose children are written inside it.
        help: One sentence.
        required: Has no default.
        is_switch_by_presence: A section that is off unless it is there.
        default: As in the model; ``None`` where nothing is the default.
        example: TOML text of a valid value, ``""`` where the default is a good example.
        choices: The words that can be chosen from.
        bounds: Lowest and highest value as text without quotes, for numbers, durations and sizes.
        children: By name, in the order of the models.
    """

    name: str
    attribute: str
    form: Form
    help: str
    required: bool
    is_switch_by_presence: bool
    default: object
    example: str
    choices: tuple[str, ...]
    bounds: tuple[str, str] | None
    children: Mapping[str, Node]

    @property
    def has_settings(self) -> bool:
        """Whether this is a section with settings of its own, not only with sections."""
        return self.form is Form.SECTION and any(
            child.form is not Form.SECTION for child in self.children.values()
        )

    def child(self, name: str) -> Node | None:
        """The node below this one for a name of the file."""
        return self.children.get(name) or self.children.get(ANY_NAME)

    def walk(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
        """All sections and settings below, with their paths, parents first.

        The insides of tables are not walked into.
        """
        for name, node in self.children.items():
            yield (*path, name), node
            if node.form is Form.SECTION:
                yield from node.walk((*path, name))


@functools.cache
def catalogue() -> Node:
    """The root of all settings."""
    return Node(
        name="",
        attribute="",
        form=Form.SECTION,
        help="",
        required=True,
        is_switch_by_presence=False,
        default=None,
        example="",
        choices=(),
        bounds=None,
        children=_children(Settings),
    )


def find(path: tuple[str | int, ...]) -> Node | None:
    """The node of a path of the file; indexes into lists lead to the list."""
    node: Node | None = catalogue()
    for part in path:
        if isinstance(part, str) and node is not None:
            node = node.child(part)
    return node


def toml_text(value: object, form: Form) -> str:
    """``value`` of the models as TOML writes it; ``""`` for ``None``."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_quoted(str(item)) for item in value) + "]"
    if isinstance(value, BaseModel):
        pairs = [f"{name} = {_quoted(str(item))}" for name, item in value if item is not None]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    if form is Form.NUMBER:
        return str(value)
    return _quoted(text_of(value, form))


def _quoted(text: str) -> str:
    """A basic string of TOML: JSON's escapes are a subset of it, but JSON leaves DEL as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _children(model: type[BaseModel]) -> Mapping[str, Node]:
    nodes = (_node(attribute, field) for attribute, field in model.model_fields.items())
    return {node.name: node for node in nodes}


def _node(attribute: str, field: FieldInfo) -> Node:
    kind, is_optional = _kind_of(field.annotation)
    form = _form_of(kind, field)
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    return Node(
        name=field.alias or attribute,
        attribute=attribute,
        form=form,
        help=field.description or "",
        required=field.is_required(),
        is_switch_by_presence=form is Form.SECTION and is_optional,
        default=default,
        example=str((field.examples or [""])[0]),
        choices=_choices(kind),
        bounds=_bounds(field, form),
        children=_children_of(kind, field),
    )


def _children_of(kind: object, field: FieldInfo) -> Mapping[str, Node]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _children(kind)
    if get_origin(kind) is not Mapping and not _is_mapping(kind):
        return {}
    model = get_args(kind)[1]
    return {
        ANY_NAME: Node(
            name=ANY_NAME,
            attribute="",
            form=Form.SECTION,
            help=field.description or "",
            required=False,
            is_switch_by_presence=False,
            default=None,
            example="",
            choices=(),
            bounds=None,
            children=_children(model),
        )
    }


def _is_mapping(kind: object) -> bool:
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _kind_of(annotation: object) -> tuple[object, bool]:
    """The type without ``Annotated`` and ``| None``, and whether ``None`` is allowed."""
    if get_origin(annotation) is Annotated:
        return _kind_of(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        kinds = [kind for kind in get_args(annotation) if kind is not types.NoneType]
        return _kind_of(kinds[0])[0], True
    return annotation, False


def _form_of(kind: object, field: FieldInfo) -> Form:
    marks = [mark for mark in field.metadata if isinstance(mark, Form)]
    if marks:
        return marks[0]
    if _is_mapping(kind):
        return Form.SECTION
    if get_origin(kind) is tuple:
        return Form.LIST
    if isinstance(kind, type):
        if issubclass(kind, BaseModel):
            return Form.TABLE if kind in _REFERENCES else Form.SECTION
        if issubclass(kind, StrEnum):
            return Form.CHOICE
        if issubclass(kind, bool):
            return Form.SWITCH
    if kind is int:
        return Form.NUMBER
    return Form.TEXT


def _choices(kind: object) -> tuple[str, ...]:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return tuple(choice.value for choice in kind)
    return ()


def _bounds(field: FieldInfo, form: Form) -> tuple[str, str] | None:
    limits = {
        name: cast(Any, mark)
        for mark in field.metadata
        for name in ("ge", "le")
        if hasattr(mark, name)
    }
    if set(limits) != {"ge", "le"}:
        return None
    low, high = getattr(limits["ge"], "ge"), getattr(limits["le"], "le")  # noqa: B009 - untyped
    return text_of(low, form), text_of(high, form)
