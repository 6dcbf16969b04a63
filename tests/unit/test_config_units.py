"""Durations and sizes as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.config.units import (
    DURATION_MS_MAX,
    SIZE_BYTES_MAX,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0.0),
        ("500ms", 0.5),
        ("30s", 30.0),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1d", 86_400.0),
        ("1m30s", 90.0),
        ("1m1ms", 60.001),
        ("1d2h3m4s5ms", 93_784.005),
        ("3650d", 315_360_000.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "30",
        "-1s",
        "+1s",
        "1.5s",
        "1 s",
        " 1s",
        "1s ",
        "1s\n",
        "30s1m",
        "1s1s",
        "1S",
        "1w",
        "s",
        "٣s",
        "3651d",
        "9" * 5000 + "s",
    ],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0B", 0),
        ("1B", 1),
        ("1KB", 1000),
        ("512KiB", 524_288),
        ("8MiB", 8_388_608),
        ("1GB", 1_000_000_000),
        ("5GiB", 5_368_709_120),
        ("2TB", 2 * 10**12),
        ("2TiB", 2**41),
        ("9223372036854775807B", SIZE_BYTES_MAX),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    ["", "0", "8", "-1B", "1.5GiB", "8 MiB", "8MiB ", "MiB", "٣B", "1PiB", "8M", "8388608TiB"],
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


def test_a_size_in_the_wrong_case_is_named_right() -> None:
    with pytest.raises(ValueError, match='did you mean "8MiB"'):
        parse_size("8mib")


@given(st.integers(0, DURATION_MS_MAX))
def test_durations_are_read_back(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, SIZE_BYTES_MAX))
def test_sizes_are_read_back(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0B"), (1, "1B"), (1000, "1KB"), (1024, "1KiB"), (1_500_000, "1500KB"), (2**30, "1GiB")],
)
def test_sizes_are_written_short(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text
