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
