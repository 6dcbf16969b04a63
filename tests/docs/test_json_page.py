"""docs/json.md lists the fields of every document."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from s3fanout.adapters.journal.memory_histories import MemoryHistories
from s3fanout.adapters.store.credentials import Credentials
from s3fanout.adapters.store.memory import MemoryStores, StoredObject
from s3fanout.adapters.system import SystemClock
from s3fanout.cli.logs import line_document
from s3fanout.cli.main import root
from s3fanout.cli.validate import validation_document
from s3fanout.config.explain import explain, to_json
from s3fanout.config.load import LoadedConfig, parse
from s3fanout.decide.compare import Standing, Verdict
from s3fanout.deploy.blueprint import blueprint
from s3fanout.deploy.changes import Change, Difference, ResourceChange, permissions
from s3fanout.deploy.code import CodeStore
from s3fanout.deploy.function_logs import LogLine
from s3fanout.deploy.needs import needs_of
from s3fanout.deploy.notifications import Merge, Overlap
from s3fanout.deploy.prices import shipped_prices
from s3fanout.deploy.report import plan_document
from s3fanout.deploy.session import AwsSession
from s3fanout.deploy.status import vitals_document
from s3fanout.deploy.survey import Survey
from s3fanout.deploy.template import template_of
from s3fanout.deploy.triggers import Trigger, TriggerState
from s3fanout.deploy.validate import Arrival
from s3fanout.deploy.vitals import Alarm, DestinationVitals, QueueVitals
from s3fanout.engine.backfill import BackfillTally
from s3fanout.engine.examiner import Depth
from s3fanout.engine.lane import LaneView
from s3fanout.engine.receive import Receipt
from s3fanout.engine.sweep import Repairs
from s3fanout.engine.verify import Finding as VerifyFinding
from s3fanout.engine.verify import Tally
from s3fanout.model import errors
from s3fanout.model.abilities import Ability, AbilityRecord
from s3fanout.model.errors import Unavailable
from s3fanout.model.events import ChangeKind
from s3fanout.model.histories import VersionRecord
from s3fanout.model.jobs import (
    DestinationSummary,
    ErrorRecord,
    JobState,
    MalformedRecord,
    ReplicaRecord,
)
from s3fanout.model.objects import Listed
from s3fanout.model.removals import DELETES_HELD
from s3fanout.model.sweeps import SweepRecord
from s3fanout.service.backfill import BackfillRequest, backfill_document
from s3fanout.service.check import Finding, Grade
from s3fanout.service.explain import _seen, explain_key
from s3fanout.service.http import _receipt_document
from s3fanout.service.reconcile import Reconciled, reconcile_document
from s3fanout.service.status import (
    SweepView,
    malformed_document,
    record_document,
    status_document,
)
from s3fanout.service.verify import Compared, Scope, finding_document, summary_document
from s3fanout.wiring import open_ledger
from tests.configurations import DAEMON
from tests.docs.pages import first_spans, page, sections

SECTIONS = sections(page("json.md"))
HEAD = {"schema_version", "kind"}
AWS_CONFIG = """\
schema = 1
source.bucket = "photos"
destinations.paris.bucket = "photos-paris"
destinations.paris.account = "210987654321"
aws.topology = "durable"
"""
NO_AWS = AwsSession(
    boto3.Session("test", "test"), Credentials("test", "test"), "us-east-1", "http://127.0.0.1:1"
)
KEY = "line\nfeed"
SHOWN = AbilityRecord("http://here/photos", Ability.TAGS, "yes", 1, "check", "0.1.0", "")
ERROR = ErrorRecord("unavailable", "no answer", "wait")
RECORD = ReplicaRecord(
    destination="paris",
    key=KEY,
    fence=1,
    state=JobState.DEAD,
    kind=ChangeKind.CREATED,
    event_at_ms=1,
    accepted_at_ms=2,
    due_at_ms=0,
    attempts=8,
    order=None,
    etag="e",
    size_bytes=1,
    version_id=None,
    reason="no answer",
    settled_at_ms=3,
    source_etag=None,
    source_version_id=None,
    replica_etag=None,
    error=ERROR,
)


def fields(value: object, path: str = "") -> set[str]:
    """The paths of all leaves: ``a.b`` in objects, ``a[].b`` in the objects of lists."""
    if isinstance(value, dict):
        below = [fields(each, f"{path}.{name}" if path else name) for name, each in value.items()]
        return set().union(*below)
    if isinstance(value, list):
        return set().union(
            {f"{path}[]"} if not value else set(), *(fields(v, path + "[]") for v in value)
        )
    return {path}


def listed(section: str) -> set[str]:
    """The fields of a section, without objects whose own fields are listed too."""
    found = set(first_spans(SECTIONS[section]))
    return {name for name in found if not any(other.startswith(name + ".") for other in found)}


def loaded() -> LoadedConfig:
    return parse(DAEMON, path=Path("s3fanout.toml"), env={})


def test_status() -> None:
    summary = DestinationSummary("paris", waiting=1, last_error=ERROR, last_error_at_ms=5)
    document = status_document(
        source="photos",
        buckets={"paris": "photos-paris"},
        summaries=[summary],
        views=[
            LaneView(
                "paris",
                1,
                32,
                circuit_open=False,
                source_circuit_open=False,
                circuit_retry_in_s=0.0,
            )
        ],
        malformed=0,
        daemon_pid=None,
        now_ms=6,
        sweep=SweepView(60.0, 1.0, {"paris": SweepRecord(is_running=True)}, recent_s=1.0),
        abilities={"paris": [SHOWN]},
    )
    assert fields(document) == listed("status")


def test_status_has_the_same_fields_without_a_daemon_or_an_error() -> None:
    document = status_document(
        source="photos",
        buckets={"paris": "photos-paris"},
        summaries=[],
        views=[],
        malformed=0,
        daemon_pid=None,
        now_ms=6,
    )
    missing = listed("status") - fields(document)
    assert {name.rpartition(".")[0] for name in missing} == {
        "destinations[].abilities[]",
        "destinations[].last_error",
        "destinations[].sweep",
        "sweep",
        "sweep.recent",
    }


def test_a_record() -> None:
    assert fields(record_document(RECORD)) == listed("Record")


def test_malformed() -> None:
    message = malformed_document(MalformedRecord(1, 2, "webhook", "not-json", "detail", b"x"))
    assert fields({"messages": [message]}) | HEAD == listed("malformed")


def test_check() -> None:
    finding = Finding("source", "reach", Grade.OK, "answers")
    assert fields({"findings": [asdict(finding)]}) | HEAD | {"ok"} == listed("check")


def test_config() -> None:
    assert fields(to_json(explain(loaded()))) == listed("config")


async def test_explain() -> None:
    config = DAEMON + 'destinations.paris.versions = "all"\n'
    settings = parse(config, path=Path("s3fanout.toml"), env={}).settings
    stores = MemoryStores(SystemClock())
    opened = {
        to.bucket: stores.create_bucket(to.bucket)
        for to in (settings.source, *settings.enabled.values())
    }
    for store in opened.values():
        store.objects[KEY] = StoredObject.of(b"x")

    class Opened:
        def open(self, to: Any) -> object:
            return opened[to.bucket]

    histories = MemoryHistories()
    await histories.keep_versions("paris", KEY, [VersionRecord("v1", "etag", 1, "r1")])
    document: Any = await explain_key(
        settings,
        Opened(),  # type: ignore[arg-type]
        [RECORD],
        KEY,
        histories=histories,
    )
    assert fields(document["destinations"][0].pop("record")) == listed("Record")
    unknown = _seen(Unavailable("no answer"))
    document["source"] |= unknown
    document["destinations"][0]["replica"] |= unknown
    assert fields(document) | {"destinations[].record"} == listed("explain")


def test_a_receipt() -> None:
    receipt = Receipt(1, 1, 0, 0, 0, 0, 0, notes=("note",))
    assert fields(_receipt_document(receipt)) == listed("Receipt")


@pytest.mark.parametrize(
    ("section", "arguments"),
    [
        ("version", ["version", "--json"]),
        ("redrive", ["redrive", "--json"]),
        ("pause", ["pause", "paris", "--json"]),
        ("resume", ["resume", "paris", "--json"]),
        ("release-deletes", ["release-deletes", "-d", "paris", "--json"]),
    ],
)
def test_what_a_command_prints(
    section: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fields(printed(arguments, tmp_path, monkeypatch)) == listed(section)


@pytest.mark.parametrize(
    ("section", "arguments"),
    [("failures", ["failures", "--json"]), ("status", ["status", "--json"])],
)
def test_what_a_command_prints_of_an_empty_ledger(
    section: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = fields(printed(arguments, tmp_path, monkeypatch))
    assert found > HEAD
    empty = {
        "destinations[].abilities[]",
        "destinations[].last_error",
        "destinations[].sweep",
        "sweep",
    }
    assert found - empty <= listed(section)


def printed(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """What the command prints where there is a configuration and an empty ledger."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3fanout.toml").write_text(DAEMON, "utf-8")

    async def make_ledger() -> None:
        settings = parse(DAEMON, path=tmp_path / "s3fanout.toml", env={}).settings
        await (await open_ledger(settings, exclusive=True)).close()

    asyncio.run(make_ledger())
    answer = CliRunner().invoke(root, arguments, catch_exceptions=False, standalone_mode=False)
    return json.loads(answer.stdout)


def test_every_error_code_is_listed() -> None:
    classes = [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.S3FanoutError)
    ]
    codes = {each.code for each in classes}
    codes |= {
        "too-large",
        "defect",
        "foreign-replica",
        "foreign-version",
        "history-too-long",
        "not-versioned",
        "key-collision",
        "key-conflict",
        "key-not-held",
        DELETES_HELD,
    }
    assert set(first_spans(SECTIONS["Error codes"])) == codes


def test_status_on_aws() -> None:
    vitals = DestinationVitals(
        destination="paris",
        queue=QueueVitals("url", 1, 2),
        dead_letters=QueueVitals("url", 0, 0),
        oldest_s=None,
        trigger=Trigger(TriggerState.ON),
        runs=1,
        failed_runs=0,
        run_ms=None,
        events=None,
        alarms=(Alarm("a", "OK", "fine"),),
    )
    row = fields({"destinations": [{"aws": vitals_document(vitals)}]})
    place = {f"deployment.{name}" for name in ("stack", "region", "topology")}
    assert row | place == listed("Status on AWS")


def test_validate() -> None:
    arrival = Arrival("paris", "photos-paris", "key", log_lines=["line"])
    assert fields(validation_document([arrival])) == listed("validate")


def test_a_log_line() -> None:
    assert fields(line_document(LogLine(1, "paris", "id", "text"))) == listed("logs")


def test_doctor() -> None:
    finding = Finding("source", "region", Grade.OK, "is there")
    assert fields({"findings": [asdict(finding)]}) | HEAD | {"ok"} == listed("doctor")


def test_cost() -> None:
    arguments = ["cost", "--from", "us-east-1", "--to", "nowhere-1", "--json"]
    answer = CliRunner().invoke(root, arguments, catch_exceptions=False, standalone_mode=False)
    document = json.loads(answer.stdout)
    assert fields(document) == listed("cost")


def test_fields_are_read_from_documents() -> None:
    assert fields({"a": {"b": 1}, "c": [{"d": None}], "e": []}) == {"a.b", "c[].d", "e[]"}


def test_verify() -> None:
    key = "line\nfeed"
    row = Listed(key, 1, "e", 5)
    verdict = Verdict(Standing.DIFFERS, "etag", "etags differ")
    finding = finding_document(VerifyFinding("paris", key, key, verdict, row, row))
    compared = Compared("paris", "photos-paris", Tally(), 1, 2.0)
    summary = summary_document(compared, Scope(["paris"], depth=Depth.BYTES))
    assert fields(finding) | fields(summary) | {"schema_version"} == listed("verify")


def test_plan() -> None:
    settings = parse(AWS_CONFIG, path=Path("s3fanout.toml"), env={}).settings
    template = template_of(settings)
    plan = blueprint(settings)
    document = plan_document(
        Survey(
            plan=plan,
            account="1",
            template=template,
            deployed=None,
            resources=[ResourceChange(Change.CHANGE, "T", "n", "N", (Difference("p", "", "1"),))],
            permissions_before={},
            permissions_after=permissions(template, "1"),
            notifications={},
            merge=Merge({"EventBridgeConfiguration": {}}, True, (Overlap("a", "b", "c"),)),
            flag_was_ours=False,
            flag_is_ours=False,
            needs=needs_of(plan, "1", "code", deployed=None),
            code=CodeStore(NO_AWS, bucket="code", stack="s", is_ours=True),
        )
    )
    for name in ("bucket_policy", "kms_key_statement"):
        document["other_accounts"][0][name] = None
    document |= {"needs_policy": None, "own_key_statements": None, "notes": [""]}
    document["notifications"]["configuration"] = None
    assert fields(document) == listed("plan")


def test_backfill() -> None:
    tally = BackfillTally()
    document = backfill_document(
        loaded().settings, tally, BackfillRequest(["paris"]), prices=shipped_prices(), took_s=1.0
    )
    assert fields(document) == listed("backfill")


def test_reconcile() -> None:
    done = [Reconciled("paris", Tally(), Repairs())]
    assert fields(reconcile_document(done, "", dry_run=True, depth=Depth.LISTING)) == listed(
        "reconcile"
    )
