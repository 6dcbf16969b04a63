"""What a person says to ``pause``, ``redrive`` and ``failures``, and what they answer."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from s3fanout.cli.main import root
from s3fanout.config.load import parse
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import ErrorRecord, JobState, NewJob, Settlement
from s3fanout.wiring import open_ledger, system_clock
from tests.configurations import DAEMON

if TYPE_CHECKING:
    from pathlib import Path

HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two dead letters: one stopped five hours ago, one an hour ago."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3fanout.toml").write_text(DAEMON, "utf-8")
    now_ms = system_clock().now_ms()

    async def fill() -> None:
        config = parse(DAEMON, path=tmp_path / "s3fanout.toml", env={}).settings
        journal = await open_ledger(config, exclusive=True)
        for key, hours in (("old", 5), ("young", 1)):
            at_ms = now_ms - hours * HOUR_MS
            await journal.accept([NewJob("paris", key, ChangeKind.CREATED, at_ms)], now_ms=at_ms)
            (job,) = await journal.claim("paris", 1, now_ms=at_ms)
            error = ErrorRecord("refused", "no", "hint")
            await journal.settle([Settlement(job, JobState.DEAD, at_ms, "no", 1, error=error)])
        await journal.close()

    asyncio.run(fill())


def run(*arguments: str) -> str:
    return CliRunner().invoke(root, arguments, standalone_mode=False, catch_exceptions=False).stdout


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def refused(*arguments: str) -> str:
    with pytest.raises(click.UsageError) as raised:
        run(*arguments)
    return raised.value.format_message()


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ((), {"old", "young"}),
        (("--since", "2h"), {"young"}),
        (("--older-than", "2h"), {"old"}),
        (("--since", "6h", "--older-than", "30m"), {"old", "young"}),
        (("--older-than", "2020-01-01"), set()),
        (("--since", "2020-01-01T08:00+01:00"), {"old", "young"}),
    ],
)
def test_dead_letters_are_chosen_by_age(arguments: tuple[str, ...], keys: set[str]) -> None:
    listed = run_json("failures", *arguments)["failures"]
    assert {record["key"] for record in listed} == keys
    assert run_json("redrive", *arguments)["redriven"] == len(keys)
    left = run_json("failures")["failures"]
    assert {record["key"] for record in left} == {"old", "young"} - keys


@pytest.mark.parametrize("when", ["2", "", "yesterday", "-2h", "2 h", "2026-13-01", "99999d"])
@pytest.mark.parametrize("option", ["--since", "--older-than"])
def test_an_age_that_is_none_is_refused_with_the_form(option: str, when: str) -> None:
    text = refused("redrive", option, when)
    assert option in text
    assert '"1h"' in text
    assert "2026-11-24T08:00Z" in text


@pytest.mark.parametrize(
    "span", ["2", "", "0s", "-1h", "two hours", "1h30", "99999d", "2026-11-24"]
)
def test_a_pause_for_no_duration_is_refused_and_pauses_nothing(span: str) -> None:
    assert "--for" in refused("pause", "paris", "--for", span)
    assert run_json("status")["destinations"][0]["paused_at"] is None


@pytest.mark.parametrize("instant", ["2h", "", "tomorrow", "2020-01-01", "0001-01-01T00:00+14:00"])
def test_a_pause_until_a_time_that_is_none_or_past_is_refused(instant: str) -> None:
    assert "--until" in refused("pause", "paris", "--until", instant)


def test_a_pause_has_one_end() -> None:
    assert "give one" in refused("pause", "paris", "--for", "1h", "--until", "2999-01-01")


def test_a_pause_for_a_time_says_how_long_it_lasts() -> None:
    document = run_json("pause", "paris", "--for", "2h", "--reason", "moving")
    assert document["pause_ends_at"] is not None
    (row,) = run_json("status")["destinations"]
    assert (row["health"], row["paused_reason"]) == ("paused", "moving")
    assert row["pause_ends_at"] == document["pause_ends_at"]
    assert 7100 < row["pause_left_s"] <= 7200
    assert "paused for 2h00m: moving" in run("status") or "paused for 1h59m: moving" in run(
        "status"
    )
    assert "paused for" in run("pause", "paris", "--until", "2999-01-01")
    assert run_json("status")["destinations"][0]["pause_ends_at"] == "2999-01-01T00:00:00.000Z"
    assert run_json("resume", "paris")["was_paused"] is True
    assert run_json("resume", "paris")["was_paused"] is False
