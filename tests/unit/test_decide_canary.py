"""The canary's key fits the rules, or is known not to exist."""

from __future__ import annotations

import pytest

from s3fanout.decide.canary import canary_keys
from s3fanout.decide.match import refusal
from s3fanout.model.rules import KeyFilter, KeyMap, Rule


def rule(name: str, key_filter: KeyFilter | None = None, strip: str = "") -> Rule:
    return Rule(name, key_filter or KeyFilter(), KeyMap(strip_prefix=strip))


@pytest.mark.parametrize(
    "wanted",
    [
        rule("a"),
        rule("a", KeyFilter(include_prefixes=("raw/", "b/"))),
        rule("a", KeyFilter(include_suffixes=(".jpg",))),
        rule("a", KeyFilter(include_globs=("img/**/*.png",))),
        rule("a", strip="photos/"),
        rule("a", KeyFilter(include_suffixes=(".jpg",)), strip="photos/"),
        rule("a", KeyFilter(size_bytes_min=5000)),
    ],
)
def test_the_rule_wants_its_canary(wanted: Rule) -> None:
    key, size_bytes = canary_keys([wanted], ".canary")["a"]
    assert refusal(wanted, key, size_bytes) is None
    assert ".canary" in key


def test_destinations_share_a_key_where_one_fits_all() -> None:
    rules = [rule("a"), rule("b", KeyFilter(include_prefixes=("raw/",))), rule("c", strip="raw/")]
    keys = canary_keys(rules, ".canary")
    assert keys["b"] == keys["c"]
    assert set(keys) == {"a", "b", "c"}


def test_a_rule_that_no_small_object_fits_has_none() -> None:
    rules = [
        rule("a", KeyFilter(size_bytes_min=2**30)),
        rule("b", KeyFilter(exclude_globs=("**",))),
    ]
    assert canary_keys(rules, ".canary") == {}
