"""Spans and instants as people write them in options."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from s3fanout.config.units import DURATION_FORM, parse_duration
from s3fanout.wiring import system_clock

INSTANT_FORM = "a time such as 2026-11-24 or 2026-11-24T08:00Z"


class Duration(click.ParamType[float]):
    """A span of time with units, longer than none. Seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            seconds = parse_duration(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        if seconds <= 0:
            self.fail(f"{value!r} is no time at all", param, ctx)
        return seconds


class Instant(click.ParamType[int]):
    """A day or an instant, ISO 8601; without an offset it is UTC. Unix milliseconds."""

    name = "instant"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            return _instant_ms(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time: write {INSTANT_FORM}", param, ctx)


class Ago(click.ParamType[int]):
    """How long ago, or an instant. Unix milliseconds."""

    name = "ago"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        text = str(value)
        try:
            return _instant_ms(text)
        except ValueError:
            pass
        try:
            return system_clock().now_ms() - round(parse_duration(text) * 1000)
        except ValueError:
            self.fail(f"{value!r}: expected {DURATION_FORM}, or {INSTANT_FORM}", param, ctx)


def _instant_ms(text: str) -> int:
    """Unix milliseconds.

    Raises:
        ValueError: It is no instant, or one that no clock here can show.
    """
    at = datetime.fromisoformat(text)
    try:
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except OverflowError as error:
        raise ValueError(text) from error
