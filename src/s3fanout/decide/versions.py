"""A key's history in the source and in a destination → what the destination lacks, in order.

Versions can only be added on top. So what counts is what lies above the *base*: the newest version
of the replica that the ledger knows as ours.

| replica, above the base | source, above the base's source version | answer |
|---|---|---|
| nothing | nothing | nothing to do |
| nothing | versions and delete markers | each is copied, oldest first |
| equals the first of the source's | more | those are ours: a crash lost the record |
| anything else | any | Foreign: somebody else wrote there, and the order would be another |
| without a base: ends like the source's begins | any | as many are ours, the rest is copied |
| without a base: anything else | any | all of it is copied on top; what is there is the base |

Equal are two delete markers; and two versions of equal size, if their etags are equal or the ledger
knows that this very version was being written.

A source version that is filtered (its size, or a marker where deletes are ignored) is not there at
all. Markers that are gone from the source are taken away from the top of the replica if that shows
what the source shows; a version that is gone is deleted only where the rule asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from s3fanout.decide.match import refusal
from s3fanout.model.histories import BELOW, MARKER_ETAG, VersionRecord
from s3fanout.model.objects import Version
from s3fanout.model.rules import Deletes, Rule


@dataclass(frozen=True, slots=True)
class Adopt:
    """A version of the replica is known for what it is, ours or not: to be recorded."""

    record: VersionRecord


@dataclass(frozen=True, slots=True)
class CopyVersion:
    """To be written on top of the replica."""

    version: Version


@dataclass(frozen=True, slots=True)
class PutMarker:
    """A delete marker to be put on top; ``hides`` if nothing follows it."""

    version: Version
    hides: bool


@dataclass(frozen=True, slots=True)
class RemoveVersion:
    """To be removed from the replica for good, because its source is gone."""

    record: VersionRecord


Step = Adopt | CopyVersion | PutMarker | RemoveVersion


@dataclass(frozen=True, slots=True)
class Foreign:
    """Somebody else's version lies above ours."""

    version: Version


@dataclass(frozen=True, slots=True)
class HistoryPlan:
    """What an attempt is to do.

    Attributes:
        steps: In order.
        newest: What the source's history ends with, of what the rule wants; ``None`` if nothing.
        top_etag: Of the object that the replica ends with now; ``""`` if it ends with none.
    """

    steps: tuple[Step, ...]
    newest: Version | None
    top_etag: str = ""


def wanted(versions: Sequence[Version], key: str, rule: Rule) -> list[Version]:
    """The part of a history that ``rule`` wants."""
    return [
        version
        for version in versions
        if (
            rule.deletes is Deletes.REPLICATE
            if version.is_marker
            else refusal(rule, key, version.size_bytes) is None
        )
    ]


def base_of(replica: Sequence[Version], records: Sequence[VersionRecord]) -> tuple[int, int] | None:
    """Where the base is: its index in ``replica`` and in ``records``, both newest first.

    ``None``: none of the versions is known as ours.
    """
    places: dict[str, int] = {}
    for place, record in enumerate(records):
        if record.replica_version_id:
            places.setdefault(record.replica_version_id, place)
    for index, version in enumerate(replica):
        if version.version_id in places:
            return index, places[version.version_id]
    return None


def end_of_new(
    source: Sequence[Version], records: Sequence[VersionRecord], base: int | None
) -> int | None:
    """How many of the source's versions (newest first) are not in the replica, as far as is known.

    ``None``: all of ``source`` are; if there are older ones, they have to be looked at too.

    Args:
        source: Newest first.
        records: Newest first.
        base: Index of the base's record.
    """
    if base is None:
        return None
    done = {
        (record.source_version_id, record.source_etag)
        for record in records[base:]
        if record.replica_version_id
    }
    for index, version in enumerate(source):
        if (version.version_id, _etag(version)) in done:
            return index
    return None


def plan_history(
    source: Sequence[Version],
    replica: Sequence[Version],
    records: Sequence[VersionRecord],
    *,
    key: str,
    rule: Rule,
    source_is_whole: bool,
) -> HistoryPlan | Foreign:
    """What makes the replica's history equal to the source's.

    Args:
        source: Newest first, at least down to what ``end_of_new`` finds.
        replica: Newest first, at least down to the base.
        records: What is known of the key, newest first.
        key: Source key.
        rule: What the destination wants.
        source_is_whole: No older version of the source is left out.
    """
    found = base_of(replica, records)
    above, base = (len(replica), None) if found is None else found
    end = end_of_new(source, records, base)
    new = [_record_of(version) for version in wanted(source[:end], key, rule)[::-1]]
    unknown = replica[:above][::-1]
    begun = [record for record in records[::-1] if not record.replica_version_id]
    there = {version.version_id for version in source}
    # What was being written may be gone from the source by now, and is ours all the same.
    chances = [new, *([record, *new] for record in begun if record.source_version_id not in there)]
    expected = max(chances, key=lambda chance: _overlap(unknown, chance, begun))
    ours = _overlap(unknown, expected, begun)
    if base is not None and ours < len(unknown):
        return Foreign(unknown[-1 - ours])
    adopted = [
        replace(record, replica_version_id=written.version_id)
        for record, written in zip(expected, unknown[len(unknown) - ours :], strict=False)
    ]
    left = new[ours - (len(expected) - len(new)) if ours else 0 :]
    steps: list[Step] = [Adopt(record) for record in adopted]
    if base is None and unknown and not ours and left:
        # Else a later look would take it for what was being written, if it had the same size.
        steps.append(Adopt(VersionRecord(BELOW, "below", 0, replica[0].version_id)))
    versions = {version.version_id: version for version in source}
    for record in left:
        version = versions[record.source_version_id]
        steps.append(
            PutMarker(version, hides=record is left[-1])
            if version.is_marker
            else CopyVersion(version)
        )
    top = base if not expected else None
    known = [*adopted[::-1], *records]
    removed = _removed(source, known, top, rule, whole=source_is_whole)
    newest = next(iter(wanted(source, key, rule)), None)
    top_etag = replica[0].etag if replica and not replica[0].is_marker else ""
    return HistoryPlan((*steps, *(RemoveVersion(record) for record in removed)), newest, top_etag)


def _removed(
    source: Sequence[Version],
    records: Sequence[VersionRecord],
    top: int | None,
    rule: Rule,
    *,
    whole: bool,
) -> list[VersionRecord]:
    """Records whose source version is gone and whose replica version has to go.

    ``top`` is the index of the record of what the replica ends with, if nothing comes on top.
    """
    there = {(version.version_id, _etag(version)) for version in source}

    def is_gone(record: VersionRecord) -> bool:
        return (record.source_version_id, record.source_etag) not in there

    if rule.version_deletes is Deletes.REPLICATE and whole:
        gone = [
            record
            for record in records
            if record.replica_version_id and not record.is_below and is_gone(record)
        ]
        return gone[::-1]  # Oldest first: nothing is shown that a marker above it hides.
    markers: list[VersionRecord] = []
    if rule.deletes is Deletes.REPLICATE and top is not None and source:
        shown = (source[0].version_id, _etag(source[0]))
        for record in records[top:]:
            if record.is_marker and is_gone(record):
                markers.append(record)
            elif (record.source_version_id, record.source_etag) == shown:
                return markers
            else:
                break
    return []


def _overlap(
    unknown: Sequence[Version], expected: Sequence[VersionRecord], begun: Sequence[VersionRecord]
) -> int:
    """The longest end of ``unknown`` that is the beginning of ``expected``; both oldest first."""
    for length in range(min(len(unknown), len(expected)), 0, -1):
        at = len(unknown) - length
        if all(_is_made_of(unknown[at + n], expected[n], begun) for n in range(length)):
            return length
    return 0


def _is_made_of(replica: Version, source: VersionRecord, begun: Sequence[VersionRecord]) -> bool:
    if replica.is_marker or source.is_marker:
        return replica.is_marker and source.is_marker
    return replica.size_bytes == source.size_bytes and (
        replica.etag == source.source_etag
        or any(source.source_version_id == record.source_version_id for record in begun)
    )


def _record_of(version: Version) -> VersionRecord:
    return VersionRecord(version.version_id, _etag(version), version.size_bytes, "")


def _etag(version: Version) -> str:
    return MARKER_ETAG if version.is_marker else version.etag
