"""Which destinations want an event, what they call it, and what globs mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.decide.match import Unwanted, glob_pattern, match, refusal, replica_key
from s3fanout.model.events import ChangeEvent, ChangeKind, OrderPoint, Route
from s3fanout.model.jobs import NewJob
from s3fanout.model.rules import KeyFilter, KeyMap, Rule

EVENT = ChangeEvent(
    Route.S3,
    "ObjectCreated:Put",
    ChangeKind.CREATED,
    "source",
    "dir/key.txt",
    1_000,
    version_id="v1",
    etag="e1",
    size_bytes=10,
    order=OrderPoint("s3", "01", trusted=True),
)
KEYS = st.text(st.sampled_from("ab/.[]*?!^\\-\n"), max_size=12)


def changed(**fields: Any) -> ChangeEvent:
    return EVENT._replace(**fields)


def test_every_rule_is_a_job_or_a_reason_in_the_order_of_the_rules() -> None:
    rules = [
        Rule("b"),
        Rule("key", KeyFilter(exclude_suffixes=(".txt",))),
        Rule("size", KeyFilter(size_bytes_max=9)),
        Rule("a"),
    ]
    matched = match(EVENT, source_bucket="source", rules=rules)
    assert [job.destination for job in matched.jobs] == ["b", "a"]
    assert matched.unwanted == (Unwanted("key", "filtered-key"), Unwanted("size", "filtered-size"))


def test_a_job_carries_all_that_the_event_said() -> None:
    (job,) = match(EVENT, source_bucket="source", rules=[Rule("a")]).jobs
    assert job == NewJob(
        destination="a",
        key="dir/key.txt",
        kind=ChangeKind.CREATED,
        event_at_ms=1_000,
        order=OrderPoint("s3", "01", trusted=True),
        etag="e1",
        size_bytes=10,
        version_id="v1",
    )


def test_an_event_of_another_bucket_concerns_no_destination() -> None:
    matched = match(EVENT, source_bucket="other", rules=[Rule("a"), Rule("b")])
    assert (matched.jobs, matched.unwanted) == ((), (Unwanted(None, "other-bucket"),))


def test_a_removal_is_ignored_by_every_destination() -> None:
    removed = changed(kind=ChangeKind.REMOVED)
    matched = match(removed, source_bucket="source", rules=[Rule("a"), Rule("b")])
    assert matched.jobs == ()
    assert [(of.destination, of.reason) for of in matched.unwanted] == [
        ("a", "deletes-ignored"),
        ("b", "deletes-ignored"),
    ]


@pytest.mark.parametrize(
    ("key_filter", "key", "wanted"),
    [
        (KeyFilter(), "any", True),
        (KeyFilter(include_prefixes=("a/", "b/")), "b/1", True),
        (KeyFilter(include_prefixes=("a/", "b/")), "c/1", False),
        (KeyFilter(include_suffixes=(".jpg",)), "x.jpg", True),
        (KeyFilter(include_suffixes=(".jpg",)), "x.JPG", False),
        (KeyFilter(include_globs=("*/x",)), "a/x", True),
        (KeyFilter(include_globs=("*/x",)), "a/b/x", False),
        (KeyFilter(include_prefixes=("a/",), include_suffixes=(".jpg",)), "b/x.jpg", True),
        (KeyFilter(exclude_prefixes=("tmp/",)), "tmp/x", False),
        (KeyFilter(exclude_prefixes=("tmp/",)), "x", True),
        (KeyFilter(exclude_suffixes=(".tmp",)), "x.tmp", False),
        (KeyFilter(exclude_globs=("**/_*",)), "a/b/_x", False),
        (KeyFilter(include_prefixes=("a/",), exclude_globs=("a/b*",)), "a/bc", False),
        (KeyFilter(include_prefixes=("a/",), exclude_globs=("a/b*",)), "a/c", True),
    ],
)
def test_excludes_are_stronger_than_any_include(
    key_filter: KeyFilter, key: str, wanted: bool
) -> None:
    assert refusal(Rule("a", key_filter), key, None) == (None if wanted else "filtered-key")


@pytest.mark.parametrize(
    ("low", "high", "size_bytes", "wanted"),
    [
        (5, 9, 4, False),
        (5, 9, 5, True),
        (5, 9, 9, True),
        (5, 9, 10, False),
        (5, 9, None, True),
        (None, 9, 0, True),
        (5, None, 1 << 50, True),
        (0, 0, 0, True),
        (0, 0, 1, False),
    ],
)
def test_size_limits_are_inclusive_and_an_unknown_size_passes(
    low: int | None, high: int | None, size_bytes: int | None, wanted: bool
) -> None:
    rule = Rule("a", KeyFilter(size_bytes_min=low, size_bytes_max=high))
    assert refusal(rule, "key", size_bytes) == (None if wanted else "filtered-size")


@pytest.mark.parametrize(
    ("key_map", "key", "replica"),
    [
        (KeyMap(), "a/b", "a/b"),
        (KeyMap("a/"), "a/b", "b"),
        (KeyMap("", "x/"), "a/b", "x/a/b"),
        (KeyMap("a/", "x/"), "a/a/b", "x/a/b"),
        (KeyMap("a/", "x/"), "a/", "x/"),
        (KeyMap("a/"), "a/", None),  # would be the empty key
        (KeyMap("a/", "x/"), "b/a/", None),
    ],
)
def test_the_key_map_strips_then_adds(key_map: KeyMap, key: str, replica: str | None) -> None:
    if replica is None:
        assert refusal(Rule("a", key_map=key_map), key, None) == "filtered-key"
    else:
        assert refusal(Rule("a", key_map=key_map), key, None) is None
        assert replica_key(key_map, key) == replica


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("*", ["", "a", "a.b\n"], ["a/", "/a"]),
        ("**", ["", "a", "a/b", "a\n/b"], []),
        ("**/a", ["a", "x/a", "x/y/a"], ["xa", "a/x"]),
        ("a/**", ["a/", "a/x/y"], ["a", "b/a/x"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]),
        ("a**b", ["ab", "a/x/b"], ["a"]),
        ("a?c", ["abc", "a\nc"], ["ac", "a/c", "abbc"]),
        ("[abc]", ["a", "c"], ["d", "", "ab"]),
        ("[a-c]x", ["bx"], ["dx", "-x"]),
        ("[!abc]", ["d"], ["a", "/", ""]),
        ("[]]", ["]"], ["["]),
        ("[!]]", ["["], ["]", "/"]),
        ("[[]", ["["], ["]"]),
        ("[^a]", ["^", "a"], ["b"]),
        ("[\\]", ["\\"], ["/", "]"]),
        ("a.b+(c)$", ["a.b+(c)$"], ["axb+(c)$"]),
        ("A", ["A"], ["a"]),
    ],
)
def test_globs(glob: str, matching: list[str], others: list[str]) -> None:
    pattern = glob_pattern(glob)
    assert [key for key in matching if not pattern.fullmatch(key)] == []
    assert [key for key in others if pattern.fullmatch(key)] == []


@pytest.mark.parametrize("glob", ["[", "a[b", "[!", "[]", "[!]"])
def test_a_glob_with_an_open_class_is_an_error(glob: str) -> None:
    with pytest.raises(ValueError, match="without its"):
        glob_pattern(glob)


@given(KEYS)
def test_a_glob_without_special_characters_matches_itself_alone(key: str) -> None:
    literal = "".join(f"[{of}]" if of in "*?[" else of for of in key)
    assert glob_pattern(literal).fullmatch(key)
    assert not glob_pattern(literal).fullmatch(key + "x")


@given(KEYS, KEYS)
def test_star_is_a_double_star_that_stops_at_slashes(prefix: str, key: str) -> None:
    literal = "".join(f"[{of}]" if of in "*?[" else of for of in prefix)
    rest = key.removeprefix(prefix) if key.startswith(prefix) else None
    # A second star, or a slash behind the stars, would give the glob another meaning.
    assert bool(glob_pattern(literal + "*").fullmatch(key)) == (
        rest is not None and "/" not in rest
    )
    assert bool(glob_pattern(literal + "**").fullmatch(key)) == (rest is not None)


@given(KEYS, KEYS, st.integers(0, 99))
def test_what_is_excluded_is_never_wanted(prefix: str, key: str, size_bytes: int) -> None:
    included = KeyFilter(include_prefixes=(prefix,), size_bytes_max=50)
    excluded = KeyFilter(include_prefixes=(prefix,), exclude_prefixes=(prefix,))
    wanted = key.startswith(prefix) and size_bytes <= 50
    assert (refusal(Rule("a", included), key, size_bytes) is None) == wanted
    assert refusal(Rule("a", excluded), key, size_bytes) == "filtered-key"
