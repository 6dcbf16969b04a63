"""``s3fanout verify`` behind the command line: what is compared, findings, reports.

Findings wait in a temporary file until the comparison is complete: a comparison that fails reports
nothing, and memory does not grow with the number of differences.
"""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import chain
from types import TracebackType
from typing import IO, Any, Self

from s3fanout import __version__
from s3fanout.config.rules import rule_in
from s3fanout.config.settings import Settings
from s3fanout.decide.compare import Standing, share_wrong_max
from s3fanout.engine.examiner import Depth
from s3fanout.engine.verify import Finding, Tally
from s3fanout.model.objects import Listed
from s3fanout.ports.ledger import Ledger
from s3fanout.ports.system import Clock
from s3fanout.service.logs import printable
from s3fanout.service.status import SCHEMA_VERSION, Json, rfc3339
from s3fanout.wiring import Stores, verifier_of

SPOOLED_BYTES_MAX = 8 * 1024 * 1024


class ReportFormat(StrEnum):
    """How a report is written."""

    TEXT = "text"
    NDJSON = "ndjson"
    CSV = "csv"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class Compared:
    """One destination's outcome.

    Attributes:
        destination, bucket: Name and bucket.
        tally: What was found.
        began_at_ms, took_s: When, and for how long.
    """

    destination: str
    bucket: str
    tally: Tally
    began_at_ms: int
    took_s: float


@dataclass(frozen=True, slots=True)
class Scope:
    """What is compared, and how far.

    Attributes:
        destinations: Names.
        prefix: Of source keys.
        depth, sample, ignored: As of ``Verifier``.
    """

    destinations: Sequence[str]
    prefix: str = ""
    depth: Depth = Depth.LISTING
    sample: float = 1.0
    ignored: Collection[str] = ()


class Findings:
    """Findings of one destination after the other, on disk from ``SPOOLED_BYTES_MAX`` on."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - it is one
            SPOOLED_BYTES_MAX
        )
        self._kept_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    async def add(self, findings: Sequence[Finding]) -> None:
        """Take some in."""
        for finding in findings:
            self._file.write(json.dumps(finding_document(finding)).encode() + b"\n")

    def keep(self) -> None:
        """What was added so far stays."""
        self._kept_bytes = self._file.tell()

    def restart(self) -> None:
        """Forget what was added since ``keep``."""
        self._file.seek(self._kept_bytes)
        self._file.truncate()

    def documents(self) -> Iterator[Json]:
        """All of them; nothing can be added afterwards."""
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)


async def compare_destinations(
    settings: Settings,
    stores: Stores,
    ledger: Ledger | None,
    scope: Scope,
    findings: Findings,
    *,
    clock: Clock,
    progress: Callable[[str, Tally], None],
) -> list[Compared]:
    """Compare each destination of ``scope`` with the source, one after the other.

    Raises:
        StoreError: A listing failed.
    """
    compared = []
    for name in scope.destinations:
        to = settings.destinations[name]
        began_at_ms, began_s = clock.now_ms(), clock.monotonic_s()
        verifier = verifier_of(
            settings,
            stores,
            ledger,
            rule_in(settings, name),
            clock=clock,
            depth=scope.depth,
            sample=scope.sample,
            ignored=scope.ignored,
        )
        tally = await verifier.run(
            scope.prefix,
            findings.add,
            restarted=findings.restart,
            progress=partial(progress, name),
        )
        findings.keep()
        took_s = clock.monotonic_s() - began_s
        compared.append(Compared(name, to.bucket, tally, began_at_ms, took_s))
    return compared


def finding_document(finding: Finding) -> Json:
    """One finding, as in ``docs/json.md``."""
    verdict = finding.verdict
    return {
        "kind": "finding",
        **_key_fields("key", finding.key),
        **_key_fields("replica_key", finding.replica_key),
        "destination": finding.destination,
        "standing": verdict.standing.word,
        "code": verdict.code,
        "evidence": verdict.evidence,
        "drift": verdict.drift,
        "differences": list(verdict.differences),
        "source": _row(finding.source),
        "replica": _row(finding.replica),
    }


def summary_document(compared: Compared, scope: Scope) -> Json:
    """The outcome of one destination."""
    tally = compared.tally
    return {
        "kind": "summary",
        "destination": compared.destination,
        "bucket": compared.bucket,
        "prefix": scope.prefix,
        "depth": str(scope.depth),
        "ignored": sorted(scope.ignored),
        "equal": tally.is_equal,
        **{standing.word: count for standing, count in tally.counts.items()},
        "known_differences": tally.known,
        "compared_bytes": tally.size_bytes,
        "listed_keys": tally.keys,
        "unlooked": tally.unlooked,
        "extras_looked_for": not tally.extras_unlooked,
        "began_at": rfc3339(compared.began_at_ms),
        "took_s": round(compared.took_s, 3),
        "sample": None if scope.depth is Depth.LISTING else _sample(tally, scope),
    }


def report(
    form: ReportFormat, compared: Sequence[Compared], findings: Iterator[Json], scope: Scope
) -> Iterator[str]:
    """The report's text, piece by piece."""
    summaries = [summary_document(each, scope) for each in compared]
    match form:
        case ReportFormat.TEXT:
            yield from _text(summaries, findings)
        case ReportFormat.NDJSON:
            for document in chain(findings, summaries):
                yield json.dumps({"schema_version": SCHEMA_VERSION, **document}) + "\n"
        case ReportFormat.CSV:
            yield from _csv(findings)
        case ReportFormat.HTML:
            yield from _html(summaries, findings)


def _sample(tally: Tally, scope: Scope) -> Json:
    return {
        "share": scope.sample,
        "checked": tally.read,
        "wrong": tally.read_wrong,
        "wrong_share_max_95": (
            0.0
            if scope.sample >= 1 and not tally.read_wrong
            else share_wrong_max(tally.read, tally.read_wrong)
        ),
    }


def _row(row: Listed | None) -> Json | None:
    if row is None:
        return None
    return {
        "size_bytes": row.size_bytes,
        "etag": row.etag,
        "last_modified_at": rfc3339(row.last_modified_at_ms),
        "storage_class": row.storage_class or None,
    }


def _key_fields(name: str, key: str) -> Json:
    if key.isprintable():
        return {name: key}
    raw = base64.b64encode(key.encode("utf-8", "surrogateescape")).decode("ascii")
    return {name: key.encode("utf-8", "replace").decode(), f"{name}_b64": raw}


_SIGNS = {standing.word: standing.value for standing in Standing}


def _text(summaries: Sequence[Json], findings: Iterator[Json]) -> Iterator[str]:
    for found in findings:
        sign = _SIGNS[str(found["standing"])]
        yield (
            f"{sign} {found['destination']}: {printable(str(found['key']))}: "
            f"{printable(str(found['evidence']))}{' (drift)' if found['drift'] else ''}\n"
        )
    for summary in summaries:
        counts = ", ".join(
            f"{sign} {summary[word]} {_WORDS[word]}"
            for word, sign in _SIGNS.items()
            if summary[word] or word == "same"
        )
        known = summary["known_differences"]
        suffix = f" ({known} of the same with a difference that is known)" if known else ""
        yield f"{summary['destination']}: {counts}{suffix}\n"
        if not summary["extras_looked_for"]:
            yield f"{summary['destination']}: extra objects were not looked for: {_NO_EXTRAS}\n"
        sample: Any = summary["sample"]
        if sample is not None and sample["checked"]:
            yield (
                f"{summary['destination']}: {sample['checked']} compared in depth, "
                f"{sample['wrong']} wrong: with 95 % confidence at most "
                f"{sample['wrong_share_max_95']:.4%} are\n"
            )


_NO_EXTRAS = (
    "the key template does not tell whose replica an object is, and there is no ledger that does"
)
_WORDS = {
    "same": "same",
    "differs": "differ",
    "missing": "missing",
    "extra": "extra",
    "unknown": "could not be compared",
    "error": "failed",
}
_COLUMNS = ("standing", "destination", "key", "replica_key", "code", "evidence", "drift")
_SIDES = ("size_bytes", "etag", "last_modified_at", "storage_class")
_EXACT = ("key_b64", "replica_key_b64")
_FORMULAS = ("=", "+", "-", "@", "'")
"""What a cell begins with that a spreadsheet would compute, and what keeps it from that."""


def _csv(findings: Iterator[Json]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    sides = (f"{side}_{name}" for side in ("source", "replica") for name in _SIDES)
    header = [*_COLUMNS, *sides, *_EXACT]
    for row in _chained_rows(header, findings):
        writer.writerow(row)
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _chained_rows(header: Sequence[str], findings: Iterator[Json]) -> Iterator[Sequence[object]]:
    yield header
    for found in findings:
        sides: list[Mapping[str, object]] = [
            side if isinstance(side := found[name], dict) else {} for name in ("source", "replica")
        ]
        yield [
            *(_cell(found[name]) for name in _COLUMNS),
            *(_cell(side.get(name, "")) for side in sides for name in _SIDES),
            *(found.get(name, "") for name in _EXACT),
        ]


def _cell(value: object) -> object:
    """What can do nothing to the terminal or the spreadsheet that shows it."""
    if not isinstance(value, str):
        return value
    shown = printable(value)
    return f"'{shown}" if shown.startswith(_FORMULAS) else shown


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}"
    "td,th{border:1px solid #bbb;padding:.3rem .6rem;text-align:left;vertical-align:top;"
    "overflow-wrap:anywhere}th{background:#eee}.equal{color:#060}.different{color:#a00}"
)


def _html(summaries: Sequence[Json], findings: Iterator[Json]) -> Iterator[str]:
    equal = all(summary["equal"] for summary in summaries)
    verdict = "equal" if equal else "different"
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>s3fanout verify: {verdict}</title><style>{_STYLE}</style></head><body>\n"
        f'<h1>Comparison of replicas: <span class="{verdict}">{verdict}</span></h1>\n'
        f"<p>Written by s3fanout {__version__}. Nothing was changed. What was not proven equal is "
        "listed, and what is the same but for a difference that the ledger knows; what could not "
        "be compared never counts as same.</p>\n<h2>Summary</h2>\n"
    )
    columns = [name for name in summaries[0] if name not in {"kind", "sample"}] if summaries else []
    yield _html_table(columns, ([summary[name] for name in columns] for summary in summaries))
    for summary in summaries:
        name = html.escape(str(summary["destination"]))
        if not summary["extras_looked_for"]:
            yield f"<p>{name}: extra objects were not looked for: {_NO_EXTRAS}.</p>\n"
        sample: Any = summary["sample"]
        if sample is not None:
            yield (
                f"<p>{name}: {sample['checked']} objects, a "
                f"share of {sample['share']:.2%}, were compared in depth and {sample['wrong']} were"
                " wrong. With 95 % confidence at most "
                f"{sample['wrong_share_max_95']:.4%} of all are.</p>\n"
            )
    yield "<h2>Findings</h2>\n<table><tr>"
    yield "".join(f"<th>{name}</th>" for name in _COLUMNS) + "</tr>\n"
    for found in findings:
        yield _html_row([found[name] for name in _COLUMNS])
    yield "</table>\n</body></html>\n"


def _html_table(columns: Sequence[str], rows: Iterator[Sequence[object]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    return f"<table><tr>{head}</tr>\n{''.join(map(_html_row, rows))}</table>\n"


def _html_row(cells: Sequence[object]) -> str:
    shown = "".join(f"<td>{html.escape(printable(str(cell)))}</td>" for cell in cells)
    return f"<tr>{shown}</tr>\n"
