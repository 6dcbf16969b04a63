"""Lines of keys in a TOML text."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.config.locate import KeyPath, dotted, locate, parse_dotted

TEXT = '''\
# [comment]
top = 1

[source]   # a table
bucket = "a # b ] }"
"quoted key" = 'x'
dotted . "part.two" = 3
long = """
[not.a.table]
fake = 1 \\""" still """
after_long = \'\'\'
also = "no key"
\'\'\'
items = [
  "one", # comment with ] and "
  [ "inner",
    "second" ],
  { in = 1 },
]
inline = { a = 1, b = { c = [1, 2], "d.e" = 2 } }

[destinations.'pa ris']
x = 2020-01-01T00:00:00Z
y = 1e3
[ "destinations" . "\\u00e9" ]
z = true
[[rules]]
name = 1
[rules.sub]
deep = 1
[[rules]]
name = 2
[rules.sub]
deep = 2
[[rules.more]]
m = 1
[empty]
'''

LINES: dict[KeyPath, int] = {
    ("top",): 2,
    ("source",): 4,
    ("source", "bucket"): 5,
    ("source", "quoted key"): 6,
    ("source", "dotted"): 7,
    ("source", "dotted", "part.two"): 7,
    ("source", "long"): 8,
    ("source", "after_long"): 11,
    ("source", "items"): 14,
    ("source", "items", 0): 15,
    ("source", "items", 1): 16,
    ("source", "items", 1, 0): 16,
    ("source", "items", 1, 1): 17,
    ("source", "items", 2): 18,
    ("source", "items", 2, "in"): 18,
    ("source", "inline"): 20,
    ("source", "inline", "a"): 20,
    ("source", "inline", "b"): 20,
    ("source", "inline", "b", "c"): 20,
    ("source", "inline", "b", "c", 0): 20,
    ("source", "inline", "b", "c", 1): 20,
    ("source", "inline", "b", "d.e"): 20,
    ("destinations", "pa ris"): 22,
    ("destinations", "pa ris", "x"): 23,
    ("destinations", "pa ris", "y"): 24,
    ("destinations", "é"): 25,
    ("destinations", "é", "z"): 26,
    ("rules",): 27,
    ("rules", 0): 27,
    ("rules", 0, "name"): 28,
    ("rules", 0, "sub"): 29,
    ("rules", 0, "sub", "deep"): 30,
    ("rules", 1): 31,
    ("rules", 1, "name"): 32,
    ("rules", 1, "sub"): 33,
    ("rules", 1, "sub", "deep"): 34,
    ("rules", 1, "more"): 35,
    ("rules", 1, "more", 0): 35,
    ("rules", 1, "more", 0, "m"): 36,
    ("empty",): 37,
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_key_is_found_and_nothing_else(newline: str) -> None:
    text = TEXT.replace("\n", newline)
    tomllib.loads(text)  # the scanner's input is valid
    assert locate(text).lines == LINES


def test_what_is_not_there_is_where_its_table_is() -> None:
    locations = locate(TEXT)
    assert locations.line_of(("source", "bucket")) == 5
    assert locations.line_of(("source", "missing", "more")) == 4
    assert locations.line_of(("destinations", "missing")) is None
    assert locations.line_of(()) is None


@pytest.mark.parametrize("text", ["", "\n\n# only\n", 'a = ""', "a = ''''''", 'a = """"""'])
def test_small_texts(text: str) -> None:
    assert locate(text).lines == ({("a",): 1} if text.startswith("a") else {})


@pytest.mark.parametrize(
    ("value", "next_line"),
    [
        ('"""two quotes at the end"""""', 2),
        ("'''two quotes at the end'''''", 2),
        ('"""a \\"""\nb"""', 3),
        ("'''a\n''\nb'''", 4),
        ('"\\\\"', 2),
        ('["]", "#", \'"\', """\n]""", ]', 3),
        ("[ # ]\n\n]", 4),
    ],
)
def test_values_that_are_hard_to_skip(value: str, next_line: int) -> None:
    text = f"a = {value}\nb = 1\n"
    tomllib.loads(text)
    assert locate(text).lines[("b",)] == next_line


def _paths_of(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    below: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        below = list(value.items())
    elif isinstance(value, list):
        below = list(enumerate(value))
    return {path} | {each for name, item in below for each in _paths_of(item, (*path, name))}


_KEYS = st.text(st.sampled_from("ab-_ .\"'\\#[]={}é\n"), max_size=4)
_VALUES = st.recursive(
    st.sampled_from(
        ["1", "true", '"]"', "'#'", '"""\n"x"\n"""', "'''\n]'''", "1979-05-27", '"\\"="', "-1.5e3"]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ",\n".join(items) + " # ]\n]"),
        st.dictionaries(_KEYS, inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{dotted((k,))} = {v}" for k, v in table.items()) + "}"
        ),
    ),
    max_leaves=6,
)


@given(st.dictionaries(_KEYS, st.dictionaries(_KEYS, _VALUES, max_size=4), max_size=3))
def test_the_scanner_sees_what_tomllib_sees(tables: dict[str, dict[str, str]]) -> None:
    """For every text: the same keys, and each top-level key on the line it was written on."""
    text = ""
    expected: dict[KeyPath, int] = {}
    for table, settings in tables.items():
        expected[(table,)] = text.count("\n") + 1
        text += f"[{dotted((table,))}]\n"
        for name, value in settings.items():
            expected[(table, name)] = text.count("\n") + 1
            text += f"{dotted((name,))} = {value}\n"
    lines = locate(text).lines
    assert set(lines) | {()} == _paths_of(tomllib.loads(text))
    assert {path: lines[path] for path in expected} == expected


@given(st.lists(st.text(max_size=6), min_size=1, max_size=4).map(tuple))
def test_dotted_names_are_read_back(path: tuple[str, ...]) -> None:
    try:
        "".join(path).encode()
    except UnicodeEncodeError:
        return  # lone surrogates are no text that TOML could hold
    assert parse_dotted(dotted(path)) == path


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a b", "a = 1", '"a', "a[0]", "ä"])
def test_what_is_no_dotted_name(text: str) -> None:
    with pytest.raises(ValueError, match="not a dotted name"):
        parse_dotted(text)


def test_paths_are_shown_with_quotes_where_needed() -> None:
    assert dotted(("destinations", "a.b", "include", "globs", 1)) == (
        'destinations."a.b".include.globs[1]'
    )
