"""How far is what a store once showed believed? Records, and what is so now → yes or no.

| the record | it is current |
|---|---|
| found by another version of s3fanout, which may have asked otherwise | no |
| older than ``AGE_S``, or from the future | no |
| else | yes |

| of copy conditions | the store's copies are taken at its word |
|---|---|
| no record, or one that is not current | no |
| the store does not answer now, or calls itself by another name than then | no |
| ignored | no |
| honoured | yes |

Wrongly "no" costs a look at the source after a copy; wrongly "yes" could settle a replica of
another state than was pinned. So everything that is not certain is "no".
"""

from __future__ import annotations

from s3fanout.model.abilities import YES, AbilityRecord

AGE_S = 30 * 24 * 3600.0


def is_current(record: AbilityRecord, *, program: str, now_ms: int) -> bool:
    """Whether ``program``, this version of s3fanout, goes by the record."""
    age_ms = now_ms - record.found_at_ms
    return record.program == program and 0 <= age_ms <= AGE_S * 1000


def trusts_conditions(
    record: AbilityRecord | None, *, server: str | None, program: str, now_ms: int
) -> bool:
    """Whether an answered copy proves that it was of the pinned state.

    ``server`` is what the store calls itself now; ``None`` until it has answered.
    """
    return (
        record is not None
        and record.value == YES
        and record.server == server
        and is_current(record, program=program, now_ms=now_ms)
    )
