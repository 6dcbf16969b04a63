"""Key templates: how a replica's key is written from the parts of its source key.

A template is text with fields in braces; ``{{`` and ``}}`` are braces themselves. Nothing else has
a meaning: no formats, no attributes, no code.

| field | of the source key, after ``strip_prefix`` | of ``a/b/c.tar.gz`` |
|---|---|---|
| ``{key}`` | all of it | ``a/b/c.tar.gz`` |
| ``{path}`` | up to and with the last ``/``; empty without one | ``a/b/`` |
| ``{name}`` | behind the last ``/`` | ``c.tar.gz`` |
| ``{stem}`` | the name before its last ``.``, unless it begins with that | ``c.tar`` |
| ``{ext}`` | the rest of the name, with the ``.`` | ``.gz`` |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

FIELDS = ("key", "path", "name", "stem", "ext")
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")


@dataclass(frozen=True, slots=True)
class KeyTemplate:
    """A template, taken apart.

    Attributes:
        literals: Text before each field, and behind the last one: one more than fields.
        fields: Names of fields, in order; at least one.
    """

    literals: tuple[str, ...]
    fields: tuple[str, ...]

    def render(self, key: str) -> str:
        """The replica's key of ``key`` (stripped)."""
        name_at = key.rfind("/") + 1
        dot = key.rfind(".")
        # A dot that begins the name is no extension: ".profile" has none.
        ext_at = dot if dot > name_at else len(key)
        values = {
            "key": key,
            "path": key[:name_at],
            "name": key[name_at:],
            "stem": key[name_at:ext_at],
            "ext": key[ext_at:],
        }
        text = self.literals[0]
        for field, literal in zip(self.fields, self.literals[1:], strict=True):
            text += values[field] + literal
        return text

    def source_of(self, replica_key: str) -> str | None:
        """The key (stripped) whose replica key this is; ``None`` if no key has it.

        Only of a template that is lossless: with another one many keys may have it.
        """
        for pattern in _patterns(self):
            found = pattern.fullmatch(replica_key)
            key = "".join(found.groups()) if found else None
            if key is not None and self.render(key) == replica_key:
                return key
        return None

    @property
    def is_lossless(self) -> bool:
        """Whether two keys surely never get the same replica key.

        The whole key is in it, or its path and then its name: the last ``/`` is then at a place
        that the literals give, so the two can be told apart again. A name in two pieces is whole
        if what stands between them can be mistaken neither for a path nor for an extension.
        """
        match self.fields:
            case ("key",) | ("path", "name"):
                return True
            case ("path", "stem", "ext"):
                return not {".", "/"} & set(self.literals[2])
            case _:
                return False


_VALUES = {"key": ".*", "path": "(?:.*/)?", "name": "[^/]*", "stem": "[^/]*"}


@lru_cache(maxsize=256)
def _patterns(template: KeyTemplate) -> tuple[re.Pattern[str], ...]:
    """What replica keys look like: of names with an extension, and without."""

    def pattern(ext: str) -> re.Pattern[str]:
        text = re.escape(template.literals[0])
        for field, literal in zip(template.fields, template.literals[1:], strict=True):
            text += f"({ext if field == 'ext' else _VALUES[field]}){re.escape(literal)}"
        return re.compile(text, re.DOTALL)

    return (pattern(r"\.[^./]*"), pattern("")) if "ext" in template.fields else (pattern(""),)


@lru_cache(maxsize=256)
def parse_template(text: str) -> KeyTemplate:
    """Take a template apart.

    Raises:
        ValueError: A brace without its other, a field that is not known, or no field at all.
    """
    literals, fields = [""], []
    for token in _TOKEN.finditer(text):
        found = token.group()
        if found in {"{{", "}}"}:
            literals[-1] += found[0]
        elif token[1] is not None:
            if token[1] not in FIELDS:
                known = ", ".join(f"{{{name}}}" for name in FIELDS)
                raise ValueError(f"there is no field {found} (there are {known})")
            fields.append(token[1])
            literals.append("")
        elif found in {"{", "}"}:
            raise ValueError(f"a {found} stands alone (write {found}{found} for the character)")
        else:
            literals[-1] += found
    if not fields:
        raise ValueError("has no field: every object would be written to one key")
    return KeyTemplate(tuple(literals), tuple(fields))
