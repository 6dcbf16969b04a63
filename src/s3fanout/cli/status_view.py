"""How the status document looks to a person; used by ``status``, ``run`` and ``demo``."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from s3fanout.cli.output import human_seconds, make_table
from s3fanout.service.logs import printable
from s3fanout.service.status import Json

HEALTH_STYLE = {"ok": "green", "behind": "yellow", "failing": "red", "paused": "magenta"}

COLUMNS = (
    ("destination", "left"),
    ("bucket", "left"),
    ("health", "left"),
    ("lag", "right"),
    ("backlog", "right"),
    ("replicated", "right"),
    ("failed", "right"),
    ("different", "right"),
    ("last error", "left"),
)


def status_table(document: Json) -> Table:
    """One row per destination."""
    destinations: Any = document["destinations"]
    return make_table(COLUMNS, [_row(row) for row in destinations])


DEPLOYMENT_COLUMNS = (
    ("destination", "left"),
    ("trigger", "left"),
    ("waiting", "right"),
    ("in flight", "right"),
    ("dead letters", "right"),
    ("runs (1h)", "right"),
    ("failed runs", "right"),
    ("alarms", "left"),
)


def deployment_table(document: Json) -> Table:
    """What AWS says of each destination's queues, function and alarms."""
    destinations: Any = document["destinations"]
    return make_table(
        DEPLOYMENT_COLUMNS,
        [_deployment_row(row["name"], row["aws"]) for row in destinations if row["aws"]],
    )


def _deployment_row(name: str, aws: dict[str, Any]) -> list[Text | str]:
    queue, dead = aws["queue"], aws["dead_letters"]
    ringing = [alarm["name"] for alarm in aws["alarms"] if alarm["state"] == "ALARM"]
    return [
        name,
        Text(aws["trigger"], style="green" if aws["trigger"] == "on" else "magenta"),
        "-" if queue is None else f"{queue['waiting']:,}",
        "-" if queue is None else f"{queue['in_flight']:,}",
        "-" if dead is None else f"{dead['waiting'] + dead['in_flight']:,}",
        f"{aws['runs_last_hour']:,}",
        f"{aws['failed_runs_last_hour']:,}",
        Text(", ".join(ringing) or "-", style="red" if ringing else ""),
    ]


def sweep_lines(document: Json) -> list[str]:
    """What the sweep did and does; nothing where none is configured."""
    sweep: Any = document["sweep"]
    if sweep is None:
        return []
    late = (
        "once each destination had a pass, it can say how late"
        if sweep["worst_lag_s"] is None
        else f"at the latest {human_seconds(sweep['worst_lag_s'])} later"
    )
    lines = [f"sweep: {sweep['healed_total']:,} healed; a change without an event heals {late}"]
    recent = sweep["recent"]
    if recent is not None and recent["worst_lag_s"] is not None:
        failed = f"; the last look failed: {printable(recent['failure'])}"
        lines.append(
            f"  what was written within a day: at the latest "
            f"{human_seconds(recent['worst_lag_s'])} later; {recent['last_keys']:,} keys in "
            f"{human_seconds(recent['last_took_s'])}, {recent['healed']:,} healed"
            + (failed if recent["failure"] else "")
        )
    destinations: Any = document["destinations"]
    lines += [f"  {row['name']}: {_passes(row['sweep'])}" for row in destinations if row["sweep"]]
    return lines


def _passes(passes: dict[str, Any]) -> str:
    parts = []
    if passes["running"]:
        share = "" if passes["share"] is None else f" ({passes['share']:.0%})"
        parts.append(f"pass under way, {passes['keys']:,} keys{share}")
    if passes["failure"]:
        parts.append(f"the last pass failed: {printable(passes['failure'])}")
    if passes["last_ended_at"] is not None:
        parts.append(
            f"{passes['last_keys']:,} keys in {human_seconds(passes['last_took_s'])}, ended "
            f"{passes['last_ended_at']}: {passes['healed']:,} healed, {passes['drifted']:,} "
            f"drifted and left, {passes['foreign']:,} of somebody else"
        )
    return "; ".join(parts)


def _row(row: dict[str, Any]) -> list[Text | str]:
    health = str(row["health"])
    error = row["last_error"]
    shown = "-" if error is None else f"{error['code']}: {error['message']}"
    if row["paused_reason"]:
        left_s = row["pause_left_s"]
        left = "" if left_s is None else f" for {human_seconds(left_s)}"
        shown = f"paused{left}: {row['paused_reason']}"
    elif row["deletes_held_reason"]:
        held, name = row["deletes_held_reason"], row["name"]
        shown = f"deletes held: {held}; s3fanout release-deletes -d {name}"
    return [
        row["name"],
        row["bucket"] or "(not configured)",
        Text(health, style=HEALTH_STYLE[health]),
        human_seconds(row["lag_s"]) if row["backlog_jobs"] else "-",
        f"{row['backlog_jobs']:,}",
        f"{row['replicated']:,}",
        f"{row['failed']:,}",
        f"{row['different']:,}",
        printable(shown)[:120],
    ]
