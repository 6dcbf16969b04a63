"""Has an object tags of which its store said nothing? What a store showed → what to do.

Amazon S3 tells the number of tags to those only who may read them (API reference, "HeadObject" and
"GetObject", ``x-amz-tagging-count``, 2026-11), and some stores tell nobody.

| the store's kind | what was heard of late | of a silent object |
|---|---|---|
| knows no tags | anything | it has none |
| any | the store says that it knows no tags | it has none |
| any | its tags may not be read | nobody can say |
| any | anything else, and the object is so large that a request is nothing | its tags are read |
| any | tags were read of which no count had told, and no count since | its tags are read |
| any | a count | it has none |
| tells those who may read tags | that tags may be read | it has none |
| the same | nothing | its tags are read: one answer is enough for all |
| not known | nothing, or that tags may be read | its tags are read |

A policy that hides the tags of some keys only is not seen through.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from s3fanout.model.vendors import Vendor

HEARD_S = 3600.0
"""How long is believed what was heard: permissions change."""
DENIED_S = 60.0
"""The same of a refusal: who grants what is missing wants to see it work."""


class Silence(Enum):
    """What the silence of a store about an object's tags means."""

    NONE = auto()
    """It has none."""
    ASK = auto()
    """Its tags are to be read."""
    ASK_ONCE = auto()
    """The same, and what comes of it holds for others."""
    HIDDEN = auto()
    """They may not be read."""


@dataclass(slots=True)
class Heard:
    """What a store showed; times are monotonic seconds, ``None`` is never.

    Attributes:
        told_s: It told how many tags an object has.
        read_s: Tags could be read.
        denied_s: They could not, since then.
        unknown_s: It said that it knows none.
        hid: It had told no count of tags that were then read, and has told none since.
    """

    told_s: float | None = None
    read_s: float | None = None
    denied_s: float | None = None
    unknown_s: float | None = None
    hid: bool = False

    def told(self, now_s: float) -> None:
        """A count was told: so it tells, and the tags may be read."""
        self.told_s, self.denied_s, self.hid = now_s, None, False

    def read(self, now_s: float, *, any_found: bool) -> None:
        """Tags of an object that it was silent about could be read."""
        self.read_s, self.denied_s = now_s, None
        self.hid |= any_found


def meaning_of_silence(
    vendor: Vendor, heard: Heard, *, now_s: float, is_large: bool = False
) -> Silence:
    """What it means that nothing was said of an object's tags."""
    if vendor.tags is False or _is_fresh(heard.unknown_s, now_s):
        return Silence.NONE
    if _is_fresh(heard.denied_s, now_s, DENIED_S):
        return Silence.HIDDEN
    if heard.hid or is_large:
        return Silence.ASK
    if _is_fresh(heard.told_s, now_s):
        return Silence.NONE
    if not vendor.tells_tags:
        return Silence.ASK
    return Silence.NONE if _is_fresh(heard.read_s, now_s) else Silence.ASK_ONCE


def _is_fresh(at_s: float | None, now_s: float, age_s: float = HEARD_S) -> bool:
    return at_s is not None and now_s - at_s <= age_s
