"""Is a replica what the source object is? Two rows of listings and a record → verdict.

| source | replica | further | verdict |
|---|---|---|---|
| not wanted, or none | none | – | nothing to say (``None``) |
| not wanted, or none | there | – | EXTRA |
| wanted | none | – | MISSING |
| wanted | there | the ledger wrote it, of an earlier state | DIFFERS ``outdated`` |
| wanted | there | sizes differ | DIFFERS ``size`` |
| wanted | there | etags are equal and not empty | SAME ``etag`` |
| wanted | there | the ledger wrote exactly these two etags | SAME ``ledger`` |
| wanted | there | the ledger says that the source has moved since | DIFFERS ``outdated`` |
| wanted | there | the ledger says that only the replica has moved | DIFFERS ``replica-changed`` |
| wanted | there | both etags look like an MD5 | DIFFERS ``etag`` |
| wanted | there | otherwise (in parts, encrypted, none sent) | UNKNOWN ``etag-says-nothing`` |
| wanted | there | so far SAME or UNKNOWN; told another class | DIFFERS ``storage-class`` |
| wanted | there | so far SAME; likewise, but the ledger knows it | SAME ``known-difference`` |

An etag is no hash by contract: objects written in parts or encrypted with KMS have others for equal
bytes (Amazon S3 API reference, "Object", read 2026-11-24). Equal etags prove equal bytes all the
same, because stores make them from the bytes or at random. Two unequal ones that look like MD5 are
taken for a difference: that errs on the side that somebody looks, and ``--deep`` decides.

What the ledger wrote is *drift* when the replica alone changed: somebody else wrote into it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from s3fanout.decide.match import refusal
from s3fanout.model.jobs import JobState, ReplicaRecord
from s3fanout.model.keeping import Carry, Difference, Keeping
from s3fanout.model.objects import Listed
from s3fanout.model.rules import Rule

_OWN_CODES = frozenset(Difference)
_MD5 = re.compile(r"[0-9a-f]{32}")
_CONFIDENCE = 0.95
_BISECTIONS = 60


class Standing(StrEnum):
    """How a replica stands to its source object; the value is its sign in reports."""

    SAME = "="
    DIFFERS = "*"
    MISSING = "+"
    EXTRA = "-"
    UNKNOWN = "?"
    ERROR = "!"

    @property
    def word(self) -> str:
        """For JSON and people."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A standing and what speaks for it.

    Attributes:
        standing: The answer.
        code: Stable slug of the evidence.
        evidence: One sentence for people.
        drift: Somebody else than us changed or removed the replica.
        differences: What differs beside the bytes, by ``Difference`` or name of a content header.
    """

    standing: Standing
    code: str
    evidence: str
    drift: bool = False
    differences: tuple[str, ...] = ()

    @property
    def is_plainly_same(self) -> bool:
        """Nothing at all is to be told."""
        return self.standing is Standing.SAME and not self.differences


SAME_ETAG = Verdict(Standing.SAME, "etag", "equal etags")
OUTDATED = Verdict(
    Standing.DIFFERS,
    "outdated",
    "the replica is an older state: the source changed after it was written",
)


def compare(
    source: Listed | None,
    replica: Listed | None,
    record: ReplicaRecord | None,
    *,
    rule: Rule,
    ignored: Collection[str] = (),
) -> Verdict | None:
    """The verdict; ``None`` where there is no replica and should be none.

    ``ignored`` names what may differ.
    """
    unwanted = None if source is None else refusal(rule, source.key, source.size_bytes)
    if source is None or unwanted is not None:
        return None if replica is None else _extra(unwanted, record)
    settled = record is not None and record.state is JobState.SETTLED
    was_equal = (
        record is not None and settled and bool(record.source_etag == source.etag and source.etag)
    )
    if replica is None:
        if was_equal:
            return Verdict(
                Standing.MISSING, "replica-gone", "was copied, and removed by somebody else", True
            )
        return Verdict(Standing.MISSING, "missing", _state_of(record))
    if settled and _is_older(source, replica, record):
        return OUTDATED
    if source.size_bytes != replica.size_bytes:
        drift = was_equal and record is not None and record.replica_etag != replica.etag
        return Verdict(
            Standing.DIFFERS,
            "size",
            f"{source.size_bytes} bytes at the source, {replica.size_bytes} in the replica",
            drift,
        )
    if source.etag == replica.etag and source.etag:
        verdict = SAME_ETAG
    else:
        known = record if settled else None
        verdict = _by_ledger(source, replica, known) or _by_etags(source, replica)
    if verdict.standing not in {Standing.SAME, Standing.UNKNOWN}:
        return verdict
    evidence = class_difference(source, replica, rule.keeping)
    if not evidence or Difference.STORAGE_CLASS in ignored:
        return verdict
    known_names = known_differences(record, source, replica, rule.keeping)
    return with_differences(verdict, {Difference.STORAGE_CLASS: evidence}, known_names)


def class_difference(source: Listed, replica: Listed, keeping: Keeping) -> str:
    """How a replica's storage class is not the one that it is to have, where both are told.

    Where objects are only ``COPIED``, the store chooses it.
    """
    if keeping.attributes is Carry.COPIED and not keeping.storage_class:
        return ""
    wants, has = keeping.storage_class or source.storage_class, replica.storage_class
    return f"storage class {wants} wanted, {has} found" if wants and has and wants != has else ""


def known_differences(
    record: ReplicaRecord | None, source: Listed, replica: Listed, keeping: Keeping
) -> frozenset[str]:
    """What the ledger recorded that this replica of this source object lacks.

    A strict destination has none: there they count.
    """
    if (
        record is None
        or keeping.strict
        or (record.source_etag, record.replica_etag) != (source.etag, replica.etag)
    ):
        return frozenset()
    return frozenset(record.differences)


def with_differences(verdict: Verdict, found: Mapping[str, str], known: Collection[str]) -> Verdict:
    """``verdict`` on the bytes, and what differs beside them: sentences by name.

    What is known does not make a replica differ, but is told.
    """
    news = {name: text for name, text in found.items() if name not in known}
    if news:
        code = next(iter(news))
        return Verdict(
            Standing.DIFFERS,
            code if code in _OWN_CODES else "headers",
            "; ".join(news.values()),
            differences=tuple(news),
        )
    if found and verdict.standing is Standing.SAME:
        return Verdict(
            Standing.SAME,
            "known-difference",
            f"known difference: {', '.join(sorted(found))}",
            differences=tuple(sorted(found)),
        )
    return verdict


def _extra(unwanted: str | None, record: ReplicaRecord | None) -> Verdict:
    if unwanted is not None:
        return Verdict(Standing.EXTRA, unwanted, "the rule does not want the source object")
    if record is not None and record.replica_etag:
        return Verdict(Standing.EXTRA, "source-gone", "our replica of an object that is gone")
    return Verdict(Standing.EXTRA, "foreign", "no source object, and not known to the ledger")


def _state_of(record: ReplicaRecord | None) -> str:
    if record is None:
        return "never copied, and no event of it is known"
    return f"not copied; the ledger says {record.state}" + (
        f": {record.reason}" if record.reason else ""
    )


def _is_older(source: Listed, replica: Listed, record: ReplicaRecord | None) -> bool:
    """Whether the replica is what the ledger wrote of another state, or of an earlier one."""
    if record is None or not replica.etag or replica.etag == source.etag:
        return False
    written = record.replica_etag == replica.etag and record.source_etag != source.etag
    return written or replica.etag in record.earlier_etags


def _by_ledger(source: Listed, replica: Listed, record: ReplicaRecord | None) -> Verdict | None:
    if record is None or not record.source_etag or not record.replica_etag:
        return None
    if record.source_etag != source.etag:
        return OUTDATED
    if record.replica_etag != replica.etag:
        return Verdict(
            Standing.DIFFERS, "replica-changed", "somebody else wrote the replica since", True
        )
    return Verdict(Standing.SAME, "ledger", "the ledger copied this etag and was answered that one")


def _by_etags(source: Listed, replica: Listed) -> Verdict:
    if is_md5(source.etag) and is_md5(replica.etag):
        return Verdict(
            Standing.DIFFERS,
            "etag",
            f"etags {source.etag} and {replica.etag} of equal sizes",
        )
    return Verdict(
        Standing.UNKNOWN,
        "etag-says-nothing",
        "equal sizes, and etags that say nothing about the bytes: use --attributes or --deep",
    )


def is_md5(etag: str) -> bool:
    """Whether an etag looks like one."""
    return _MD5.fullmatch(etag) is not None


def share_wrong_max(checked: int, wrong: int) -> float:
    """Upper end of the share of wrong objects, with 95 % confidence, after a random sample.

    The one-sided bound of Clopper and Pearson: the share at which so few wrong ones or fewer would
    be found in 5 % of all samples.
    """
    if checked == 0 or wrong >= checked:
        return 1.0
    low, high = wrong / checked, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _at_most(wrong, checked, middle) > 1 - _CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _at_most(wrong: int, checked: int, share: float) -> float:
    """Probability of ``wrong`` or fewer in ``checked`` draws."""
    if share <= 0.0 or share >= 1.0:
        return 1.0 if share <= 0.0 else 0.0
    return math.fsum(
        math.exp(
            math.lgamma(checked + 1)
            - math.lgamma(found + 1)
            - math.lgamma(checked - found + 1)
            + found * math.log(share)
            + (checked - found) * math.log1p(-share)
        )
        for found in range(wrong + 1)
    )
