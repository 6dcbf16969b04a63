"""Facts → what to do about one replica now, with a reason a person can read.

| source facts | way | size | plan |
|---|---|---|---|
| not read, no etag or no size hint | any | – | Probe |
| not read, hinted size not wanted by the rule | any | – | Probe (a hint is not believed) |
| not read, and its attributes must be known | server | any | Probe |
| hinted or read | server | ≤ 5 GiB | ServerCopy pinned to the etag |
| hinted or read | stream | ≤ one part | Stream pinned to the etag |
| hinted | any | larger | Probe (its attributes have to be sent) |
| read | any | larger | InParts |
| read, and it is archived | any | – | Refuse ``archived`` |
| absent, and the rule ignores deletes | any | – | Skip ``source-absent`` |
| absent, and the rule replicates deletes | any | – | Delete |
| not read, the change is a removal | any | – | Probe |
| read, not wanted by the rule | any | – | Skip ``filtered-…`` |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from s3fanout.decide.match import refusal
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import Job
from s3fanout.model.limits import Limits
from s3fanout.model.objects import Absent, Present, Probe
from s3fanout.model.rules import Deletes, Rule


class Way(StrEnum):
    """How bytes get from the source to a destination."""

    SERVER = "server"
    """The store copies by itself: one endpoint, credentials that reach both buckets."""
    STREAM = "stream"
    """Read from one store, written to the other."""


@dataclass(frozen=True, slots=True)
class ProbeFirst:
    """Read the source's facts, then plan again."""


class ServerCopy(NamedTuple):
    """One CopyObject, pinned; ``facts`` if they were read."""

    etag: str
    size_bytes: int
    facts: Present | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """One pinned read (shared with other destinations), one write."""

    etag: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class InParts:
    """A multipart upload, every part pinned to the facts' etag."""

    facts: Present


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to do, and that is final."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Delete:
    """The source object is confirmed absent: the replica has to go."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Cannot be done: a dead letter."""

    code: str
    reason: str
    hint: str


CopyPlan = ProbeFirst | ServerCopy | Stream | InParts | Delete | Skip | Refuse


def plan_copy(
    job: Job,
    facts: Probe | None,
    *,
    rule: Rule,
    way: Way,
    limits: Limits,
    must_look: bool = False,
) -> CopyPlan:
    """What the attempt should do next.

    ``facts`` is ``None`` until the source was read; ``must_look`` says that a copy by the store
    needs them.
    """
    if isinstance(facts, Absent):
        if rule.deletes is Deletes.REPLICATE:
            return Delete()
        return Skip("source-absent", "the source object was deleted before it was copied")
    if facts is not None:
        etag, size_bytes = facts.etag, facts.size_bytes
    elif job.kind is not ChangeKind.REMOVED and job.etag and job.size_bytes is not None:
        etag, size_bytes = job.etag, job.size_bytes
    else:
        return ProbeFirst()

    limit_bytes = limits.copy_bytes_max if way is Way.SERVER else limits.part_bytes
    unwanted = refusal(rule, job.key, size_bytes)
    if facts is None and (must_look or unwanted is not None or size_bytes > limit_bytes):
        return ProbeFirst()
    if unwanted is not None:
        return Skip(unwanted, "the rule of this destination does not want the object")
    if facts is not None and facts.archived:
        return Refuse(
            "archived",
            "the source object is archived: its bytes cannot be read",
            "restore it (RestoreObject), then: s3fanout redrive",
        )
    if facts is not None and size_bytes > limit_bytes:
        return InParts(facts)
    if way is Way.STREAM:
        return Stream(etag, size_bytes)
    return ServerCopy(etag, size_bytes, facts)


class Verdict(StrEnum):
    """What a server-side copy's answer proves."""

    PROVEN = "proven"
    """The copy is of the pinned state."""
    LOOK = "look"
    """The answer alone does not say: read the source again."""


def judge_copy(
    *, pinned_etag: str, answered_etag: str, conditions_honoured: Callable[[], bool]
) -> Verdict:
    """Whether a successful pinned copy proves what was copied.

    Some vendors ignore copy conditions without a word (Ceph RGW 16, moto: probed). Where the
    store is not known to honour them, only an equal etag proves the copy. A copy of a multipart
    or KMS-encrypted object has another etag by design.
    """
    if answered_etag == pinned_etag or conditions_honoured():
        return Verdict.PROVEN
    return Verdict.LOOK
