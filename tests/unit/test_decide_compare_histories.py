"""Whether a replica has every version of its source, in order."""

from __future__ import annotations

import pytest

from s3fanout.decide.compare_histories import compare_histories
from s3fanout.model.objects import Version

A, B, C = (letter * 32 for letter in "abc")


def history(*etags: str) -> list[Version]:
    """Newest first; ``-`` is a delete marker, ``A/5`` has 5 bytes."""
    found = []
    for number, text in enumerate(etags):
        etag, _, size = text.partition("/")
        found.append(Version(f"v{number}", etag == "-", int(size or 1), etag))
    return found


@pytest.mark.parametrize(
    ("source", "replica", "lacking"),
    [
        (history(A, B), history(A, B), None),
        (history(), history(A), None),
        (history(A, B), history(A, C, B, C), None),
        (history(A, B), history(A, B, B), None),
        (history(A, A), history(A), "1 of 2 … v1"),
        (history("-", "-", A), history("-", A), "1 of 3 … v1"),
        (history(A, "-", B), history(A, "-", B), None),
        (history(A, "-", B), history(A, B), "1 of 3 … v1"),
        (history(A, B), history(B, A), "1 of 2 … v1"),
        (history(A, B, C), history(A), "2 of 3 … v1"),
        (history(A), history(B), "1 of 1 … v0"),
        (history("x-2", B), history("y-3", B), None),
        (history("x-2/7", B), history("y-3/8", B), "1 of 2 … v0"),
    ],
)
def test_what_is_lacking(
    source: list[Version], replica: list[Version], lacking: str | None
) -> None:
    verdict = compare_histories(source, replica, etags_are_hashes=True)
    shown = verdict and f"{verdict.evidence[:6]} … {verdict.evidence.rpartition(' ')[2]}"
    assert shown == lacking


def test_where_etags_are_no_hashes_sizes_have_to_do() -> None:
    assert compare_histories(history(A), history(B), etags_are_hashes=False) is None
    assert compare_histories(history(A), history("b/2"), etags_are_hashes=False) is not None
