"""The table of ``decide.versions``: two histories and what is known of them → steps."""

from __future__ import annotations

import pytest

from s3fanout.decide.versions import (
    Adopt,
    CopyVersion,
    Foreign,
    HistoryPlan,
    PutMarker,
    RemoveVersion,
    Step,
    plan_history,
)
from s3fanout.model.histories import BELOW, MARKER_ETAG, VersionRecord
from s3fanout.model.objects import Version
from s3fanout.model.rules import Deletes, KeyFilter, Rule, Versions

RULE = Rule("a", deletes=Deletes.REPLICATE, versions=Versions.ALL)
PURGING = Rule(
    "a", deletes=Deletes.REPLICATE, versions=Versions.ALL, version_deletes=Deletes.REPLICATE
)


def histories(text: str, *, ours: bool = False) -> list[Version]:
    """A history, newest first, of ``name=content`` oldest first; a marker is ``name=-``.

    The replicas' versions have other ids: ``r.`` in front.
    """
    versions = []
    for item in text.split():
        name, _, content = item.partition("=")
        version_id = f"r.{name}" if ours else name
        if content == "-":
            versions.append(Version(version_id, is_marker=True))
        else:
            versions.append(
                Version(version_id, is_marker=False, size_bytes=len(content), etag=content)
            )
    return versions[::-1]


def known(text: str) -> list[VersionRecord]:
    """Records, newest first, of ``name=content`` oldest first; ``name=content!`` is pending.

    ``name=below`` is somebody else's.
    """
    records = []
    for item in text.split():
        name, _, content = item.removesuffix("!").partition("=")
        etag = MARKER_ETAG if content == "-" else content
        size_bytes = len(etag)
        written = "" if item.endswith("!") else f"r.{name}"
        if content == "below":
            records.append(VersionRecord(BELOW, content, 0, written))
            continue
        records.append(VersionRecord(name, etag, size_bytes, written))
    return records[::-1]


def said(step: Step) -> str:
    match step:
        case Adopt():
            ours = step.record.source_version_id or "below"
            return f"{ours} is {step.record.replica_version_id}"
        case CopyVersion():
            return f"copy {step.version.version_id}"
        case PutMarker():
            return f"{'hide' if step.hides else 'mark'} {step.version.version_id}"
        case RemoveVersion():
            return f"remove {step.record.replica_version_id}"


def decided(
    source: str, replica: str, records: str, rule: Rule = RULE, *, whole: bool = True
) -> str:
    plan = plan_history(
        histories(source),
        histories(replica, ours=True),
        known(records),
        key="key",
        rule=rule,
        source_is_whole=whole,
    )
    if isinstance(plan, Foreign):
        return f"foreign {plan.version.version_id}"
    return ", ".join(map(said, plan.steps))


@pytest.mark.parametrize(
    ("source", "replica", "records", "expected"),
    [
        ("", "", "", ""),
        ("1=A 2=B 3=-", "", "", "copy 1, copy 2, hide 3"),
        ("1=A 2=- 3=B", "", "", "copy 1, mark 2, copy 3"),
        # Above the base.
        ("1=A 2=B", "1=A 2=B", "1=A 2=B", ""),
        ("1=A 2=B 3=C", "1=A 2=B", "1=A 2=B", "copy 3"),
        ("1=A 2=B 3=- 4=- 5=C", "1=A 2=B", "1=A 2=B", "mark 3, mark 4, copy 5"),
        # A crash lost the record of what is there.
        ("1=A 2=B 3=C", "1=A 2=B", "1=A", "2 is r.2, copy 3"),
        ("1=A 2=- 3=C", "1=A 2=-", "1=A", "2 is r.2, copy 3"),
        ("1=A 2=B", "1=A", "", "1 is r.1, copy 2"),
        ("1=A 2=A 3=A", "1=A 2=A", "1=A", "2 is r.2, copy 3"),
        # The copy has another etag: only what was being written is taken for ours.
        ("1=A 2=B 3=C", "1=A 2=x", "1=A 2=B!", "2 is r.2, copy 3"),
        ("1=A 2=B 3=C", "1=A 2=x", "1=A", "foreign r.2"),
        ("1=A 2=B 3=C", "1=A 2=xx", "1=A 2=B!", "foreign r.2"),
        ("1=A 2=B", "1=A", "1=A 2=B!", "copy 2"),
        # What was being written is gone from the source by now: it is ours all the same.
        ("3=C", "2=x", "2=B!", "2 is r.2, copy 3"),
        ("1=A 3=C", "1=A 2=x 3=C", "1=A 2=B!", "2 is r.2, 3 is r.3"),
        ("1=A 3=C", "1=A 2=xx", "1=A 2=B!", "foreign r.2"),
        # Somebody else's.
        ("1=A 2=B", "1=A f=x", "1=A", "foreign r.f"),
        ("1=A 2=B", "1=A f=-", "1=A", "foreign r.f"),
        ("1=A", "1=A f=x", "1=A", "foreign r.f"),
        ("1=A 2=B 3=C", "1=A 2=B f=x", "1=A", "foreign r.f"),
        ("1=A 2=B 3=C", "1=A f=x 2=B", "1=A", "foreign r.f"),
        ("1=A 2=B", "f=x 1=A", "1=A", "copy 2"),
        # Nothing is known: what was there before stays below.
        ("1=A 2=B", "f=x", "", "below is r.f, copy 1, copy 2"),
        ("1=A 2=B", "f=x g=-", "", "below is r.g, copy 1, copy 2"),
        ("", "f=x", "", ""),
        # Even if it has the size of what was to be written first.
        ("1=A 2=B", "f=x", "f=below 1=A!", "copy 1, copy 2"),
        ("1=A 2=B", "f=x 1=y", "f=below 1=A!", "1 is r.1, copy 2"),
        ("1=A 2=B", "f=x g=yy", "f=below 1=A!", "foreign r.g"),
        ("1=A 2=B 3=C", "f=x 1=A 2=B", "", "1 is r.1, 2 is r.2, copy 3"),
        ("1=A 2=B 3=A 4=C", "1=A", "", "1 is r.1, copy 2, copy 3, copy 4"),
        ("1=A 2=B 3=C", "1=A 3=C", "", "below is r.3, copy 1, copy 2, copy 3"),
        # Ours was removed from the top.
        ("1=A 2=B 3=C", "1=A", "1=A 2=B", "copy 2, copy 3"),
        # The source lost versions, and nobody asked to follow.
        ("1=A 3=C", "1=A 2=B", "1=A 2=B", "copy 3"),
        ("1=A", "1=A 2=B", "1=A 2=B", ""),
        ("3=C", "1=A 2=B", "1=A 2=B", "copy 3"),
        ("", "1=A 2=B", "1=A 2=B", ""),
        # The version null is another one by now.
        ("1=A null=C", "null=B 1=A", "null=B 1=A", "copy null"),
        ("null=C", "null=B", "null=B", "copy null"),
        # The object is there again.
        ("1=A", "1=A 2=-", "1=A 2=-", "remove r.2"),
        ("1=A", "1=A 2=- 3=-", "1=A 2=- 3=-", "remove r.3, remove r.2"),
        ("1=A 2=-", "1=A 2=- 3=-", "1=A 2=- 3=-", "remove r.3"),
        ("1=A 4=B", "1=A 2=-", "1=A 2=-", "copy 4"),
        ("", "1=A 2=-", "1=A 2=-", ""),
        ("1=A", "1=A 2=B 3=-", "1=A 2=B 3=-", ""),
    ],
)
def test_what_the_destination_lacks_is_added_in_order(
    source: str, replica: str, records: str, expected: str
) -> None:
    assert decided(source, replica, records) == expected


@pytest.mark.parametrize(
    ("source", "records", "expected"),
    [
        ("1=A 3=C", "1=A 2=B 3=C", "remove r.2"),
        ("1=A", "1=A 2=B 3=C", "remove r.2, remove r.3"),
        ("", "1=A 2=B 3=-", "remove r.1, remove r.2, remove r.3"),
        ("4=D", "1=A 2=B", "copy 4, remove r.1, remove r.2"),
        ("1=A", "1=A 2=B!", ""),
        ("1=A", "1=A 2=B! 3=C!", ""),
        ("null=C", "null=B", "copy null, remove r.null"),
    ],
)
def test_versions_that_are_gone_are_removed_where_that_is_asked_for(
    source: str, records: str, expected: str
) -> None:
    replica = " ".join(item for item in records.split() if not item.endswith("!"))
    assert decided(source, replica, records, PURGING) == expected


def test_a_version_that_was_being_written_is_removed_if_its_source_is_gone() -> None:
    assert decided("1=A", "1=A 2=x", "1=A 2=B!", PURGING) == "2 is r.2, remove r.2"


def test_a_history_that_was_not_read_to_its_end_shows_nothing_to_be_gone() -> None:
    assert decided("3=C", "1=A 2=B 3=C", "1=A 2=B 3=C", PURGING, whole=False) == ""


def test_what_the_rule_does_not_want_is_not_there() -> None:
    rule = Rule("a", KeyFilter(size_bytes_max=2), versions=Versions.ALL)
    assert decided("1=A 2=BBB 3=- 4=C", "", "", rule) == "copy 1, copy 4"
    plan = plan_history(
        histories("1=A 2=BBB 3=-"), [], [], key="key", rule=rule, source_is_whole=True
    )
    assert isinstance(plan, HistoryPlan)
    assert plan.newest == histories("1=A")[0]
