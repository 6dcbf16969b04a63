"""Key templates: what each field is, what is refused, and when two keys can meet."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3fanout.decide.key_template import parse_template
from s3fanout.decide.match import may_collide, refusal, replica_key
from s3fanout.model.rules import KeyMap, Rule

_KEYS = st.text("ab./{\n", max_size=6)
_LITERALS = st.one_of(st.text("ab./", max_size=2), st.sampled_from(["{{", "}}"]))
_TEMPLATES = st.builds(
    "".join,
    st.tuples(
        _LITERALS,
        st.sampled_from(["{path}", "{key}", "{stem}", ""]),
        _LITERALS,
        st.sampled_from(["{name}", "{stem}", "{stem}{ext}"]),
        _LITERALS,
        st.sampled_from(["{ext}", ""]),
        _LITERALS,
    ),
)


@pytest.mark.parametrize(
    ("template", "key", "replica"),
    [
        ("{key}", "a/b/c.tar.gz", "a/b/c.tar.gz"),
        ("archive/{path}{name}", "a/b/c.tar.gz", "archive/a/b/c.tar.gz"),
        ("{name}", "a/b/c.tar.gz", "c.tar.gz"),
        ("{name}", "a", "a"),
        ("{path}", "a", ""),
        ("{path}|{name}", "a/", "a/|"),
        ("{path}{stem}-copy{ext}", "a/b/c.tar.gz", "a/b/c.tar-copy.gz"),
        ("{stem}|{ext}", ".profile", ".profile|"),
        ("{stem}|{ext}", "a.b/c", "c|"),
        ("{stem}|{ext}", "a/.b.c", ".b|.c"),
        ("{stem}|{ext}", "a.", "a|."),
        ("{{{key}}}", "k", "{k}"),
        ("{key}{key}", "{name}", "{name}{name}"),  # a key is never read as a template
    ],
)
def test_a_template_writes_the_replica_key(template: str, key: str, replica: str) -> None:
    assert parse_template(template).render(key) == replica


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("plain", "has no field"),
        ("{{key}}", "has no field"),
        ("{nme}", "there is no field {nme} (there are {key}, {path}, {name}, {stem}, {ext})"),
        ("{}", "there is no field {}"),
        ("{key.__class__}", "there is no field"),
        ("{key!r}", "there is no field"),
        ("{0}", "there is no field"),
        ("a{key", "a { stands alone"),
        ("a}{key}", "a } stands alone"),
    ],
)
def test_what_is_no_template_is_refused(template: str, fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)):
        parse_template(template)


@pytest.mark.parametrize(
    ("template", "may"),
    [
        ("", False),
        ("x/{key}.bak", False),
        ("{path}v/{name}", False),
        ("{path}{stem}-copy{ext}", False),
        ("{path}{stem}.copy{ext}", True),  # a + .b and a.copy + .b
        ("{name}", True),
        ("{name}/{path}", True),
        ("{path}", True),
        ("{key}{key}", True),  # not proved, so asked at run time
    ],
)
def test_which_templates_may_give_two_keys_one(template: str, may: bool) -> None:
    assert may_collide(KeyMap(template=template)) == may


@given(_TEMPLATES, _KEYS, _KEYS)
@example("{path}{stem}b{ext}", ".b", "b.b")
def test_keys_meet_only_where_that_is_known(template: str, one: str, other: str) -> None:
    key_map = KeyMap(template=template)
    meet = one != other and replica_key(key_map, one) == replica_key(key_map, other)
    assert not meet or may_collide(key_map)


def test_the_prefix_is_stripped_first_and_an_empty_replica_key_is_not_wanted() -> None:
    key_map = KeyMap(strip_prefix="raw/", template="{path}x{name}")
    assert replica_key(key_map, "raw/a/b") == "a/xb"
    assert refusal(Rule("d", key_map=key_map), "raw/a/b", None) is None
    assert refusal(Rule("d", key_map=key_map), "other/a", None) == "filtered-key"
    folder = KeyMap(template="{name}")
    assert refusal(Rule("d", key_map=folder), "a/", None) == "filtered-key"


@given(_TEMPLATES, _KEYS)
@example("{path}a/{name}", "a/a")
@example("{path}{stem}-c{ext}", "a-c.b")
@example("{path}{stem}-c{ext}", "a/.profile")
def test_a_lossless_template_tells_the_source_key(template: str, key: str) -> None:
    try:
        parsed = parse_template(template)
    except ValueError:
        return
    if parsed.is_lossless:
        assert parsed.source_of(parsed.render(key)) == key


@pytest.mark.parametrize(
    ("template", "replica"),
    [("v1/{key}", "v2/a"), ("{path}v1-{name}", "a/v2-b"), ("{path}{stem}-c{ext}", "a/b.txt")],
)
def test_no_key_has_what_the_template_does_not_write(template: str, replica: str) -> None:
    assert parse_template(template).source_of(replica) is None
