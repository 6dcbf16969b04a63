"""What an answer that is not a success means: the only place that knows S3's error codes.

The code of the error document decides, the status where there is no code that we know (an answer to
``HEAD`` has no document; proxies and load balancers answer in HTML):

| code, or status without a known code | error | note |
|---|---|---|
| ``SlowDown*``, ``Throttling*`` and their like, 429 | Throttled | |
| 503 with ``Retry-After`` | Throttled | |
| ``PreconditionFailed``, 412 | SourceChanged | of a read, copy or delete; else Refused |
| ``NoSuchVersion`` | SourceChanged | likewise |
| ``NoSuchKey`` | SourceAbsent | of a read, a copy (the source), a pinned delete; else Refused |
| ``NoSuchUpload`` | UploadGone | |
| ``BadDigest``, ``InvalidPart``, ``InvalidPartOrder`` | ReplicaMismatch | of completing an upload |
| ``NoSuchBucket`` | NoSuchBucket | of a copy: source or destination |
| ``KMS.*`` | Refused | the hint is about the key; likewise for a 403 about ``kms:`` |
| 404 | SourceAbsent | of a read, ``s3_code == ""``: the caller confirms it |
| 404 | NoSuchBucket | of a listing or a bucket |
| 404 | Refused | of a write: nothing that S3 knows |
| codes of wrong, expired or unknown credentials, 401, 403 | AccessDenied | a hint for each |
| codes of conflicts and of broken uploads, 408, 425, 5xx | Unavailable | |
| codes of another region, 3xx | Refused | the hint names the region |
| a source beyond the limit of one copy, 413 | Refused | ``s3_code == "EntityTooLarge"`` |
| other 4xx | Refused | |
| no answer, or one that cannot be understood | Unavailable | |

Sources: "Error responses" of the Amazon S3 API reference; MinIO's and Ceph's error tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from s3fanout.adapters.store.http_date import date_ms
from s3fanout.adapters.store.s3_xml import ErrorDocument, parse_error
from s3fanout.model.errors import (
    AccessDenied,
    NoSuchBucket,
    Refused,
    ReplicaMismatch,
    SourceAbsent,
    SourceChanged,
    StoreError,
    Throttled,
    Unavailable,
    UploadGone,
)

if TYPE_CHECKING:
    from s3fanout.adapters.store.transport import Response


class Operation(StrEnum):
    """The S3 operations that we use, as AWS spells them."""

    HEAD_OBJECT = "HeadObject"
    GET_OBJECT = "GetObject"
    GET_TAGGING = "GetObjectTagging"
    GET_ACL = "GetObjectAcl"
    GET_BUCKET_ACL = "GetBucketAcl"
    LIST_ANNOTATIONS = "ListObjectAnnotations"
    GET_ANNOTATION = "GetObjectAnnotation"
    PUT_ANNOTATION = "PutObjectAnnotation"
    PUT_OBJECT = "PutObject"
    COPY_OBJECT = "CopyObject"
    DELETE_OBJECT = "DeleteObject"
    LIST_OBJECTS = "ListObjectsV2"
    HEAD_BUCKET = "HeadBucket"
    CREATE_UPLOAD = "CreateMultipartUpload"
    UPLOAD_PART_COPY = "UploadPartCopy"
    UPLOAD_PART = "UploadPart"
    LIST_PARTS = "ListParts"
    COMPLETE_UPLOAD = "CompleteMultipartUpload"
    ABORT_UPLOAD = "AbortMultipartUpload"
    LIST_UPLOADS = "ListMultipartUploads"
    LIST_VERSIONS = "ListObjectVersions"
    GET_VERSIONING = "GetBucketVersioning"


@dataclass(frozen=True, slots=True)
class Target:
    """What a request was about, for error texts."""

    operation: Operation
    bucket: str
    key: str = ""


_WRITES = frozenset(
    {
        Operation.PUT_OBJECT,
        Operation.COPY_OBJECT,
        Operation.DELETE_OBJECT,
        Operation.COMPLETE_UPLOAD,
    }
)
"""Operations after which the bucket may hold another object."""
_OF_BUCKET = (
    Operation.LIST_OBJECTS,
    Operation.LIST_UPLOADS,
    Operation.LIST_VERSIONS,
    Operation.GET_VERSIONING,
    Operation.GET_BUCKET_ACL,
    Operation.HEAD_BUCKET,
)
_READS = frozenset(
    {
        Operation.HEAD_OBJECT,
        Operation.GET_OBJECT,
        Operation.GET_TAGGING,
        Operation.GET_ACL,
        Operation.LIST_ANNOTATIONS,
        Operation.GET_ANNOTATION,
    }
)
_HAS_SOURCE = _READS | {Operation.COPY_OBJECT, Operation.UPLOAD_PART_COPY}
_PINNED = _HAS_SOURCE | {Operation.DELETE_OBJECT, Operation.PUT_ANNOTATION}

_ACTIONS = {
    Operation.HEAD_OBJECT: "s3:GetObject, and s3:ListBucket so that a missing object shows as such",
    Operation.GET_OBJECT: "s3:GetObject (s3:GetObjectVersion for versions)",
    Operation.GET_TAGGING: "s3:GetObjectTagging (s3:GetObjectVersionTagging if versioned)",
    Operation.GET_ACL: "s3:GetObjectAcl",
    Operation.GET_BUCKET_ACL: "s3:GetBucketAcl",
    Operation.LIST_ANNOTATIONS: "s3:ListObjectAnnotations",
    Operation.GET_ANNOTATION: "s3:GetObjectAnnotation",
    Operation.PUT_ANNOTATION: "s3:PutObjectAnnotation",
    Operation.PUT_OBJECT: "s3:PutObject, and s3:PutObjectTagging for objects with tags",
    Operation.COPY_OBJECT: "s3:PutObject and s3:PutObjectTagging here, and s3:GetObject and "
    "s3:GetObjectTagging on the source",
    Operation.DELETE_OBJECT: "s3:DeleteObject (s3:DeleteObjectVersion for versions)",
    Operation.LIST_OBJECTS: "s3:ListBucket",
    Operation.HEAD_BUCKET: "s3:ListBucket",
    Operation.CREATE_UPLOAD: "s3:PutObject, s3:PutObjectTagging for objects with tags, and "
    "kms:GenerateDataKey and kms:Decrypt on the key of a bucket that KMS encrypts",
    Operation.UPLOAD_PART: "s3:PutObject, and kms:GenerateDataKey and kms:Decrypt on the key of a "
    "bucket that KMS encrypts",
    Operation.LIST_PARTS: "s3:ListMultipartUploadParts",
    Operation.COMPLETE_UPLOAD: "s3:PutObject, and kms:Decrypt on the key of a bucket that KMS "
    "encrypts",
    Operation.LIST_UPLOADS: "s3:ListBucketMultipartUploads",
    Operation.UPLOAD_PART_COPY: "s3:PutObject here, and s3:GetObject on the source",
    Operation.ABORT_UPLOAD: "s3:AbortMultipartUpload",
    Operation.LIST_VERSIONS: "s3:ListBucketVersions",
    Operation.GET_VERSIONING: "s3:GetBucketVersioning",
}

_THROTTLED = re.compile(
    r"SlowDown|Throttl|RequestThrottled|RequestLimitExceeded|TooManyRequests"
    r"|BandwidthLimitExceeded|PriorRequestNotComplete"
)
_ARCHIVED_HINT = "the object is archived: restore it, then: s3fanout redrive"
_CLOCK_HINT = "set this machine's clock (NTP): the store compares it with its own"
_TOKEN_HINT = "renew the session credentials: their token expired or is not valid"  # noqa: S105
_KMS_HINT = (
    "the encryption key must exist, be enabled and in the bucket's region, and its policy grant "
    "these credentials kms:Decrypt (source), kms:GenerateDataKey and kms:Decrypt (destination)"
)
_CREDENTIAL_HINTS = {
    "InvalidAccessKeyId": "the store does not know this access key: right endpoint, right account?",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key, or a proxy changed "
    "the request on its way",
    "RequestTimeTooSkewed": _CLOCK_HINT,
    "RequestExpired": _CLOCK_HINT,
    "ExpiredToken": _TOKEN_HINT,
    "TokenRefreshRequired": _TOKEN_HINT,
    "InvalidToken": _TOKEN_HINT,
}
_TRANSIENT = {
    "InternalError": None,
    "ServiceUnavailable": None,
    "OperationAborted": None,
    "ConditionalRequestConflict": None,
    "RequestTimeout": None,
    "BadDigest": None,
    "IncompleteBody": None,
    "XAmzContentSHA256Mismatch": None,
    "TemporaryRedirect": "the bucket is new and its name not known everywhere yet; wait",
    "QuotaExceeded": "the destination's quota is used up: raise it or free space",
}
_FINAL: dict[str, tuple[type[StoreError], str | None]] = {
    "NoSuchBucket": (NoSuchBucket, None),
    "NoSuchUpload": (UploadGone, None),
    "InvalidObjectState": (Refused, _ARCHIVED_HINT),
    "ObjectNotInActiveTierError": (Refused, _ARCHIVED_HINT),  # Of a copy, API reference, 2026-11.
    **{code: (AccessDenied, hint) for code, hint in _CREDENTIAL_HINTS.items()},
}
"""Codes that mean the same whatever was asked."""
_OTHER_PARTS = frozenset({"BadDigest", "InvalidPart", "InvalidPartOrder"})
"""The parts that the store has are not those that were sent: completing them again cannot help."""
_OTHER_REGION = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
_TRANSIENT_STATUS = frozenset({408, 425})
_COPY_TOO_LARGE = "larger than the maximum allowable size for a copy source"
_RETRY_AFTER_MAX_S = 3600.0
_TEXT_CHARS_MAX = 300
_SECRETS = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}|(?i:signature=|credential=)\S+")


def classify(target: Target, answer: Response | Unavailable, *, now_ms: int) -> StoreError:
    """The error that ``answer`` is, to be raised by the caller.

    Args:
        target: What was asked.
        answer: An answer that is not the operation's success, or what the transport raised, or
            ``Unavailable`` for a success that could not be understood.
        now_ms: Wall clock, for a ``Retry-After`` that is a date.
    """
    if isinstance(answer, Unavailable):
        return type(answer)(
            _text(answer.message, target),
            operation=target.operation,
            status=answer.status,
            maybe_applied=answer.maybe_applied and target.operation in _WRITES,
        )
    document = parse_error(answer.body) or ErrorDocument("", "", "")
    return classify_document(target, answer, document, now_ms=now_ms)


def classify_document(
    target: Target, answer: Response, document: ErrorDocument, *, now_ms: int
) -> StoreError:
    """As ``classify``, for a document that was parsed already (an error inside a 200)."""
    retry_after_s = _retry_after_s(answer.headers.get("retry-after", ""), now_ms)
    error_type, hint = _verdict(target, answer, document, asked_to_wait=retry_after_s is not None)
    code = _printable(document.code)
    if error_type is Refused and (answer.status == 413 or _COPY_TOO_LARGE in document.message):  # noqa: PLR2004
        code = "EntityTooLarge"
    request_id = _printable(answer.headers.get("x-amz-request-id", "") or document.request_id)
    facts = f"store said no status={answer.status}"
    if code:
        facts += f" code={code}"
    facts = _text(facts, target)
    if error_type is NoSuchBucket and target.operation is Operation.COPY_OBJECT:
        missing = document.resource_bucket or "source or destination"
        facts += f" missing_bucket={_printable(missing)!r}"
    if request_id:
        facts += f" request_id={request_id}"
    if document.message:
        facts += f" message={_printable(document.message)!r}"
    return error_type(
        facts,
        operation=target.operation,
        status=answer.status,
        s3_code=code,
        request_id=request_id,
        maybe_applied=error_type is Unavailable
        and target.operation in _WRITES
        and (answer.status >= 500 or answer.status < 300),  # noqa: PLR2004 -- HTTP classes
        retry_after_s=retry_after_s,
        hint=hint,
    )


def _verdict(
    target: Target, answer: Response, document: ErrorDocument, *, asked_to_wait: bool
) -> tuple[type[StoreError], str | None]:
    code, operation = document.code, target.operation
    if _THROTTLED.match(code):
        return Throttled, None
    if operation is Operation.COMPLETE_UPLOAD and code in _OTHER_PARTS:
        return ReplicaMismatch, None
    if code in _TRANSIENT and not (asked_to_wait and answer.status == 503):  # noqa: PLR2004
        return Unavailable, _TRANSIENT[code]
    if code in _FINAL:
        return _FINAL[code]
    if code in _OTHER_REGION:
        return Refused, _region_hint(answer, document)
    match code:
        case "NoSuchKey" | "NoSuchAnnotation":
            return (SourceAbsent if operation in _PINNED else Refused), None
        case "NoSuchVersion" | "PreconditionFailed":
            return (SourceChanged if operation in _PINNED else Refused), None
        case "AccessDenied":
            return AccessDenied, _grant_hint(operation, document.message)
        case _ if code.startswith("KMS."):
            return Refused, _KMS_HINT
        case _:
            return _verdict_of_status(target, answer, document, asked_to_wait=asked_to_wait)


def _verdict_of_status(
    target: Target, answer: Response, document: ErrorDocument, *, asked_to_wait: bool
) -> tuple[type[StoreError], str | None]:
    operation = target.operation
    match answer.status:
        case 429:
            return Throttled, None
        case 503 if asked_to_wait:
            return Throttled, None
        case 401 | 403:
            return AccessDenied, _grant_hint(operation, document.message)
        case 404 if operation in _READS:
            return SourceAbsent, None
        case 404 if operation in _OF_BUCKET:
            return NoSuchBucket, None
        case 412 if operation in _PINNED:
            return SourceChanged, None
        case status if 300 <= status < 400:  # noqa: PLR2004 -- HTTP classes
            return Refused, _region_hint(answer, document)
        case status if 400 <= status < 500 and status not in _TRANSIENT_STATUS:  # noqa: PLR2004
            region = answer.headers.get("x-amz-bucket-region")
            return Refused, _region_hint(answer, document) if region else None
        case _:
            return Unavailable, None


def _grant_hint(operation: Operation, message: str) -> str:
    if "kms:" in message:
        return _KMS_HINT
    return f"grant to these credentials: {_ACTIONS[operation]}"


def _region_hint(answer: Response, document: ErrorDocument) -> str:
    region = answer.headers.get("x-amz-bucket-region", "") or document.region
    if region:
        return f"set region = {_printable(region)!r}: x-amz-bucket-region names the bucket's region"
    return "set the bucket's own region and endpoint; the store redirects to another one"


def _retry_after_s(value: str, now_ms: int) -> float | None:
    """Seconds that a ``Retry-After`` asks for (RFC 9110, both forms), 0 to an hour."""
    if not value:
        return None
    if value.isdecimal():
        return min(float(value), _RETRY_AFTER_MAX_S)
    at_ms = date_ms(value)
    return None if at_ms is None else min(max((at_ms - now_ms) / 1000, 0.0), _RETRY_AFTER_MAX_S)


def _text(fact: str, target: Target) -> str:
    text = f"{fact} operation={target.operation} bucket={_printable(target.bucket)}"
    return f"{text} key={target.key!r}" if target.key else text


def _printable(text: str) -> str:
    """Text of a store, fit for a log line: one line, short, no access keys, no signatures."""
    shown = _SECRETS.sub("***", " ".join(text.split()))[:_TEXT_CHARS_MAX]
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in shown
    )
