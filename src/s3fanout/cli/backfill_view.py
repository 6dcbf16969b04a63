"""What ``s3fanout backfill`` shows a person, while it works and at its end."""

from __future__ import annotations

from typing import Any

from s3fanout.cli.output import Ticker, human_bytes, human_seconds, print_line, print_note
from s3fanout.decide.backfill import Choice
from s3fanout.decide.progress import Sample, speed
from s3fanout.engine.backfill import BackfillTally
from s3fanout.ports.system import Clock


class BackfillProgress(Ticker):
    """Rate, bytes, and how long it will take."""

    def __init__(self, clock: Clock, *, dry_run: bool) -> None:
        super().__init__()
        self._clock = clock
        self._dry_run = dry_run
        self._first: Sample | None = None

    def tell(self, tally: BackfillTally) -> None:
        """Show where it is, if it is time to."""
        sample = Sample(
            self._clock.monotonic_s(),
            tally.items,
            tally.count(Choice.QUEUE),
            sum(tally.queued_bytes.values()),
            tally.left,
            tally.left_bytes,
            tally.share,
        )
        if self._first is None:
            self._first = sample
        if self.is_due(sample.at_s):
            self.show(
                progress_line(
                    self._first, sample, equal=tally.count(Choice.EQUAL), dry_run=self._dry_run
                )
            )


def progress_line(first: Sample, now: Sample, *, equal: int, dry_run: bool) -> str:
    """One line: what was read, what was copied, how fast, and how long it will take."""
    pace = speed(first, now)
    left = "unknown" if pace.left_s is None else human_seconds(pace.left_s)
    share = "" if now.share is None else f", about {now.share:.0%}"
    copied = (
        f" {now.left:,} left ({human_bytes(now.left_bytes)}), {pace.jobs_per_s:,.0f}/s "
        f"({human_bytes(round(pace.bytes_per_s))}/s),"
    )
    return (
        f"{now.items:,} objects seen{share}, {pace.items_per_s:,.0f}/s; "
        f"{now.queued:,} jobs ({human_bytes(now.queued_bytes)}), {equal:,} equal;"
        f"{'' if dry_run else copied} done in {left}"
    )


def print_backfill(document: dict[str, Any]) -> None:
    """A line for each destination, and what it costs."""
    verb = "would be queued" if document["dry_run"] else "queued"
    rows = document["destinations"]
    for row in rows:
        passed = ", ".join(
            f"{row[choice]} {choice.replace('_', ' ')}"
            for choice in Choice
            if choice is not Choice.QUEUE and row[choice]
        )
        dollars = "" if row["dollars"] is None else f", {row['dollars']:.2f} dollars"
        print_line(
            f"{row['name']}: {row['queue']} {verb} ({human_bytes(row['queued_bytes'])}, about "
            f"{row['requests'] + row['looks']} requests{dollars})"
            + (f"; {passed}" if passed else "")
        )
    listing = document["listing"]
    if listing["requests"]:
        dollars = "" if listing["dollars"] is None else f", {listing['dollars']:.2f} dollars"
        print_line(f"listing of the source: {listing['requests']} requests{dollars}")
    again = ", gone on from a checkpoint" if document["resumed"] else ""
    print_note(f"{document['items']} objects in {human_seconds(document['took_s'])}{again}")
    if not document["dry_run"]:
        return
    priced = [row["name"] for row in rows if row["dollars"] is not None]
    others = ", ".join(row["name"] for row in rows if row["dollars"] is None)
    if priced:
        print_note(
            f"dollars: requests and transfer between Regions, AWS list prices read on "
            f"{document['prices_read_on']}"
        )
    if others:
        print_note(f"no dollars for {others}: only copies within AWS are priced")
