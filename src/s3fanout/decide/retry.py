"""An attempt failed: again, when, does it count, or is it a dead letter?

| error | circuit | counted | next |
|---|---|---|---|
| Throttled | any | no | what the store asked, at least the jitter |
| SourceChanged (kept changing for a whole attempt) | any | no | jitter |
| NoSuchBucket | any | no | jitter: the store is to blame, not the object |
| AccessDenied with ``CREDENTIAL_CODES`` | any | no | jitter: likewise |
| Refused with ``REGION_CODES``, or a redirect | any | no | jitter: likewise |
| Refused | any | yes | dead at once: it will never work as it is |
| any other (Unavailable, AccessDenied …) | not closed | no | jitter |
| any other (Unavailable, AccessDenied …) | closed | yes | jitter, or dead at ``attempts_max`` |

Jitter is "full": between 0 and the exponential cap, so that a thousand jobs that failed together do
not come back together (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from s3fanout.model.errors import (
    AccessDenied,
    NoSuchBucket,
    Refused,
    S3FanoutError,
    SourceChanged,
    StoreError,
    Throttled,
    Unavailable,
)
from s3fanout.model.limits import Limits

CREDENTIAL_CODES = frozenset(
    {
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
"""Codes of a 403 that every request with these credentials would get."""


REGION_CODES = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
)
"""Codes of a refusal that every request with this region and endpoint would get."""
_REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """What becomes of the job.

    Attributes:
        dead: It is a dead letter now.
        counted: The attempt counts towards ``attempts_max``.
        delay_s: When it is not dead: how long it waits.
    """

    dead: bool
    counted: bool
    delay_s: float


def decide_retry(
    error: S3FanoutError, *, attempts: int, circuit_closed: bool, jitter: float, limits: Limits
) -> RetryDecision:
    """What becomes of a job after ``error``.

    Args:
        error: Why the attempt failed.
        attempts: Counted attempts before this one.
        circuit_closed: Whether the destination and the source are otherwise working.
        jitter: A random number from 0 to 1.
        limits: Bounds.
    """
    counted = _counts(error, circuit_closed=circuit_closed)
    made = attempts + 1 if counted else attempts
    if counted and (isinstance(error, Refused) or made >= limits.attempts_max):
        return RetryDecision(dead=True, counted=True, delay_s=0.0)
    delay_s = jitter * backoff_cap_s(max(made, 1), limits)
    if isinstance(error, StoreError) and error.retry_after_s is not None:
        delay_s = max(delay_s, min(error.retry_after_s, limits.retry_cap_s))
    return RetryDecision(dead=False, counted=counted, delay_s=delay_s)


def backoff_cap_s(attempt: int, limits: Limits) -> float:
    """Upper bound of the wait after the ``attempt``-th counted failure (from 1)."""
    doublings = min(attempt - 1, 62)  # beyond that the cap has won anyway
    return min(limits.retry_cap_s, limits.retry_base_s * float(1 << doublings))


def blames_store(error: S3FanoutError) -> bool:
    """Every other request to the store would fail the same way."""
    if isinstance(error, AccessDenied):
        return error.s3_code in CREDENTIAL_CODES
    if isinstance(error, Refused):
        return error.s3_code in REGION_CODES or error.status in _REDIRECTS
    return isinstance(error, NoSuchBucket)


def asks_for_bucket(error: S3FanoutError, *, attempts: int, limits: Limits) -> bool:
    """Whether to look if the destination exists before this error makes a dead letter of the job.

    Some stores answer a copy into a missing bucket with 500 (SeaweedFS 4.48, probed): that blames
    the destination, and no object of it.
    """
    return (
        isinstance(error, Unavailable)
        and not error.of_source
        and error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        and attempts + 1 >= limits.attempts_max
    )


def _counts(error: S3FanoutError, *, circuit_closed: bool) -> bool:
    if isinstance(error, Throttled | SourceChanged) or blames_store(error):
        return False
    return circuit_closed or isinstance(error, Refused)
