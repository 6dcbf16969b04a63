"""What an answer that is not a success means. Each row of the table in ``classify`` is here."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.adapters.store.classify import Operation, Target, classify, classify_document
from s3fanout.adapters.store.s3_xml import ErrorDocument, parse_copy_result
from s3fanout.adapters.store.transport import Response
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

NOW_MS = 1_795_395_600_000
READS = (
    Operation.HEAD_OBJECT,
    Operation.GET_OBJECT,
    Operation.GET_TAGGING,
    Operation.GET_ACL,
    Operation.LIST_ANNOTATIONS,
    Operation.GET_ANNOTATION,
)
WRITES = (
    Operation.PUT_OBJECT,
    Operation.COPY_OBJECT,
    Operation.DELETE_OBJECT,
    Operation.COMPLETE_UPLOAD,
)
OF_BUCKET = (
    Operation.LIST_OBJECTS,
    Operation.LIST_UPLOADS,
    Operation.LIST_VERSIONS,
    Operation.GET_VERSIONING,
    Operation.GET_BUCKET_ACL,
    Operation.HEAD_BUCKET,
)
OF_ANNOTATIONS = (Operation.PUT_ANNOTATION,)
OF_UPLOADS = (
    Operation.CREATE_UPLOAD,
    Operation.UPLOAD_PART,
    Operation.UPLOAD_PART_COPY,
    Operation.LIST_PARTS,
    Operation.ABORT_UPLOAD,
)
ALL = (*READS, *WRITES, *OF_BUCKET, *OF_UPLOADS, *OF_ANNOTATIONS)
COMPLETING = (Operation.COMPLETE_UPLOAD,)
WITH_SOURCE = (*READS, Operation.COPY_OBJECT, Operation.UPLOAD_PART_COPY)
PINNED = (*WITH_SOURCE, Operation.DELETE_OBJECT, *OF_ANNOTATIONS)
NOT_PINNED = tuple(operation for operation in ALL if operation not in PINNED)
TOO_LARGE = (
    "The specified copy source is larger than the maximum allowable size for a copy source: "
    "5368709120"
)


def test_the_table_covers_every_operation() -> None:
    assert set(ALL) == set(Operation)


def document(code: str, message: str = "", rest: str = "") -> bytes:
    return f"<Error><Code>{code}</Code><Message>{message}</Message>{rest}</Error>".encode()


def verdict(
    operation: Operation,
    status: int,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> StoreError:
    target = Target(operation, "bucket", "key")
    return classify(target, Response(status, headers or {}, body), now_ms=NOW_MS)


ROWS: list[tuple[str, int, tuple[Operation, ...], type[StoreError]]] = [
    ("SlowDown", 503, ALL, Throttled),
    ("SlowDownRead", 503, ALL, Throttled),
    ("SlowDownWrite", 503, ALL, Throttled),
    ("Throttling", 400, ALL, Throttled),
    ("ThrottlingException", 400, ALL, Throttled),
    ("RequestThrottled", 400, ALL, Throttled),
    ("RequestLimitExceeded", 503, ALL, Throttled),
    ("TooManyRequests", 429, ALL, Throttled),
    ("BandwidthLimitExceeded", 503, ALL, Throttled),
    ("PriorRequestNotComplete", 400, ALL, Throttled),
    ("", 429, ALL, Throttled),
    ("PreconditionFailed", 412, PINNED, SourceChanged),
    ("PreconditionFailed", 412, NOT_PINNED, Refused),
    ("", 412, PINNED, SourceChanged),
    ("", 412, NOT_PINNED, Refused),
    ("NoSuchVersion", 404, PINNED, SourceChanged),
    ("NoSuchVersion", 404, NOT_PINNED, Refused),
    ("NoSuchKey", 404, PINNED, SourceAbsent),
    ("NoSuchKey", 404, NOT_PINNED, Refused),
    ("NoSuchBucket", 404, ALL, NoSuchBucket),
    ("NoSuchUpload", 404, ALL, UploadGone),
    ("KMS.NotFoundException", 400, ALL, Refused),
    ("KMS.DisabledException", 400, ALL, Refused),
    ("", 404, READS, SourceAbsent),
    ("", 404, OF_BUCKET, NoSuchBucket),
    ("", 404, (*WRITES, *OF_UPLOADS), Refused),
    ("", 401, ALL, AccessDenied),
    ("", 403, ALL, AccessDenied),
    ("AccessDenied", 403, ALL, AccessDenied),
    ("AllAccessDisabled", 403, ALL, AccessDenied),
    ("InvalidAccessKeyId", 403, ALL, AccessDenied),
    ("SignatureDoesNotMatch", 403, ALL, AccessDenied),
    ("RequestTimeTooSkewed", 403, ALL, AccessDenied),
    ("RequestExpired", 400, ALL, AccessDenied),
    ("ExpiredToken", 400, ALL, AccessDenied),
    ("TokenRefreshRequired", 400, ALL, AccessDenied),
    ("InvalidToken", 400, ALL, AccessDenied),
    ("InternalError", 500, ALL, Unavailable),
    ("ServiceUnavailable", 503, ALL, Unavailable),
    ("OperationAborted", 409, ALL, Unavailable),
    ("ConditionalRequestConflict", 409, ALL, Unavailable),
    ("RequestTimeout", 400, ALL, Unavailable),
    ("BadDigest", 400, tuple(each for each in ALL if each not in COMPLETING), Unavailable),
    ("BadDigest", 400, COMPLETING, ReplicaMismatch),
    ("InvalidPart", 400, COMPLETING, ReplicaMismatch),
    ("InvalidPartOrder", 400, COMPLETING, ReplicaMismatch),
    ("IncompleteBody", 400, ALL, Unavailable),
    ("XAmzContentSHA256Mismatch", 400, ALL, Unavailable),
    ("TemporaryRedirect", 307, ALL, Unavailable),
    ("QuotaExceeded", 403, ALL, Unavailable),
    ("", 408, ALL, Unavailable),
    ("", 425, ALL, Unavailable),
    ("", 500, ALL, Unavailable),
    ("", 502, ALL, Unavailable),
    ("", 503, ALL, Unavailable),
    ("NewCodeOfTomorrow", 599, ALL, Unavailable),
    ("PermanentRedirect", 301, ALL, Refused),
    ("AuthorizationHeaderMalformed", 400, ALL, Refused),
    ("IllegalLocationConstraintException", 400, ALL, Refused),
    ("", 301, ALL, Refused),
    ("", 307, ALL, Refused),
    ("EntityTooLarge", 400, ALL, Refused),
    ("InvalidObjectState", 403, ALL, Refused),
    ("InvalidArgument", 400, ALL, Refused),
    ("NotImplemented", 405, ALL, Refused),
    ("", 400, ALL, Refused),
    ("", 200, ALL, Unavailable),
    ("", 204, ALL, Unavailable),
]


@pytest.mark.parametrize(
    ("code", "status", "operations", "expected"),
    ROWS,
    ids=[f"{code or 'none'}-{status}-{error.__name__}" for code, status, _, error in ROWS],
)
def test_a_row_of_the_table(
    code: str, status: int, operations: tuple[Operation, ...], expected: type[StoreError]
) -> None:
    for operation in operations:
        error = verdict(operation, status, document(code) if code else b"<html>busy</html>")
        assert (operation, type(error)) == (operation, expected)
        assert (error.status, error.s3_code, error.operation) == (status, code, operation)


def test_every_code_of_the_rows_is_decided_before_the_status() -> None:
    """A code that we know means the same under a status that does not fit it."""
    for code, _, operations, expected in ROWS:
        if expected in (Throttled, SourceChanged, SourceAbsent, NoSuchBucket):
            for operation in operations if code else ():
                assert type(verdict(operation, 400, document(code))) is expected


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("AccessDenied", "User is not authorized to perform: kms:GenerateDataKey on this resource"),
        ("KMS.DisabledException", "the key is disabled"),
    ],
)
def test_a_key_without_grants_is_named(code: str, message: str) -> None:
    error = verdict(Operation.PUT_OBJECT, 403, document(code, message))
    assert "kms:GenerateDataKey" in error.hint


@pytest.mark.parametrize("operation", ALL)
@pytest.mark.parametrize("body", [b"", document("ServiceUnavailable"), b"<html>overloaded</html>"])
def test_a_503_that_says_when_to_come_back_is_throttling(operation: Operation, body: bytes) -> None:
    error = verdict(operation, 503, body, {"retry-after": "7"})
    assert (type(error), error.retry_after_s) == (Throttled, 7.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("999999", 3600.0),
        ("9" * 5000, 3600.0),
        (formatdate(NOW_MS / 1000 + 90, usegmt=True), 90.0),
        (formatdate(NOW_MS / 1000 - 90, usegmt=True), 0.0),
        (formatdate(NOW_MS / 1000 + 90, localtime=False), 90.0),
        (formatdate(NOW_MS / 1000 + 86_400, usegmt=True), 3600.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Mon, 99 Nov 2026 01:00:00 GMT", None),
        ("Mon, 23 Nov 2026 01:00:00 +99999999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_an_hour(
    value: str, seconds: float | None
) -> None:
    assert (
        verdict(Operation.GET_OBJECT, 429, headers={"retry-after": value}).retry_after_s == seconds
    )


@given(st.text())
def test_no_retry_after_breaks_the_verdict(value: str) -> None:
    seconds = verdict(Operation.GET_OBJECT, 429, headers={"retry-after": value}).retry_after_s
    assert seconds is None or 0 <= seconds <= 3600


def test_an_error_inside_a_200_is_what_its_code_says_and_may_have_been_applied() -> None:
    body = document("InternalError", "We encountered an internal error.")
    found = parse_copy_result(body)
    assert isinstance(found, ErrorDocument)
    target, answer = Target(Operation.COPY_OBJECT, "b", "k"), Response(200, {}, body)
    error = classify_document(target, answer, found, now_ms=NOW_MS)
    assert (type(error), error.status, error.maybe_applied) == (Unavailable, 200, True)
    slow = classify_document(target, answer, ErrorDocument("SlowDown", "", ""), now_ms=NOW_MS)
    assert (type(slow), slow.maybe_applied) == (Throttled, False)


@pytest.mark.parametrize(
    ("status", "code", "maybe_applied"),
    [
        (500, "InternalError", True),
        (502, "", True),
        (503, "", True),
        (504, "", True),
        (200, "", True),
        (400, "RequestTimeout", False),
        (409, "OperationAborted", False),
        (503, "SlowDown", False),
        (403, "AccessDenied", False),
        (404, "NoSuchBucket", False),
        (400, "InvalidArgument", False),
    ],
)
def test_only_a_write_that_a_server_may_have_begun_may_have_been_applied(
    status: int, code: str, maybe_applied: bool
) -> None:
    body = document(code) if code else b""
    for operation in WRITES:
        assert verdict(operation, status, body).maybe_applied is maybe_applied
    for operation in (*READS, *OF_BUCKET):
        assert verdict(operation, status, body).maybe_applied is False


@pytest.mark.parametrize("maybe_applied", [True, False])
@pytest.mark.parametrize("operation", ALL)
def test_no_answer_keeps_what_the_transport_knew(operation: Operation, maybe_applied: bool) -> None:
    raised = Unavailable("no answer error=TimeoutError", maybe_applied=maybe_applied)
    error = classify(Target(operation, "b", "k"), raised, now_ms=NOW_MS)
    assert isinstance(error, Unavailable)
    assert error.maybe_applied is (maybe_applied and operation in WRITES)
    assert str(error) == f"no answer error=TimeoutError operation={operation} bucket=b key='k'"


@pytest.mark.parametrize("status", [400, 413])
def test_a_source_beyond_the_limit_of_one_copy_has_one_code(status: int) -> None:
    body = document("InvalidRequest", TOO_LARGE)
    error = verdict(Operation.COPY_OBJECT, status, body)
    assert (type(error), error.s3_code) == (Refused, "EntityTooLarge")
    assert verdict(Operation.PUT_OBJECT, status).s3_code == ("EntityTooLarge" * (status == 413))
    assert (
        verdict(Operation.COPY_OBJECT, 400, document("InvalidRequest")).s3_code == "InvalidRequest"
    )


@pytest.mark.parametrize(
    ("body", "bucket"),
    [
        (document("NoSuchBucket", rest="<BucketName>gone</BucketName>"), "'gone'"),
        (document("NoSuchBucket"), "'source or destination'"),
    ],
)
def test_a_copy_names_the_bucket_that_is_missing(body: bytes, bucket: str) -> None:
    assert f"missing_bucket={bucket}" in str(verdict(Operation.COPY_OBJECT, 404, body))
    assert "missing_bucket" not in str(verdict(Operation.GET_OBJECT, 404, body))


@pytest.mark.parametrize(
    ("status", "body", "headers", "part"),
    [
        (301, b"", {"x-amz-bucket-region": "eu-west-1"}, "region = 'eu-west-1'"),
        (400, b"", {"x-amz-bucket-region": "eu-west-1"}, "region = 'eu-west-1'"),
        (
            400,
            document("AuthorizationHeaderMalformed", rest="<Region>eu-west-2</Region>"),
            {},
            "region = 'eu-west-2'",
        ),
        (301, document("PermanentRedirect"), {}, "region and endpoint"),
        (403, document("AccessDenied"), {}, "s3:PutObjectTagging"),
        (403, document("RequestTimeTooSkewed"), {}, "clock"),
        (400, document("ExpiredToken"), {}, "renew"),
        (403, document("InvalidAccessKeyId"), {}, "access key"),
        (403, document("SignatureDoesNotMatch"), {}, "secret key"),
        (403, document("InvalidObjectState"), {}, "restore"),
        (403, document("ObjectNotInActiveTierError"), {}, "restore"),
        (403, document("QuotaExceeded"), {}, "quota"),
        (307, document("TemporaryRedirect"), {}, "wait"),
        (400, document("InvalidArgument"), {}, Refused.default_hint),
    ],
)
def test_a_hint_says_what_to_do(
    status: int, body: bytes, headers: Mapping[str, str], part: str
) -> None:
    assert part in verdict(Operation.COPY_OBJECT, status, body, headers).hint


@pytest.mark.parametrize("operation", ALL)
def test_a_denial_names_the_permission_that_is_missing(operation: Operation) -> None:
    permission = {
        Operation.GET_TAGGING: "s3:GetObjectTagging",
        Operation.GET_ACL: "s3:GetObjectAcl",
        Operation.GET_BUCKET_ACL: "s3:GetBucketAcl",
        Operation.LIST_ANNOTATIONS: "s3:ListObjectAnnotations",
        Operation.GET_ANNOTATION: "s3:GetObjectAnnotation",
        Operation.PUT_ANNOTATION: "s3:PutObjectAnnotation",
        Operation.PUT_OBJECT: "s3:PutObject",
        Operation.COPY_OBJECT: "s3:PutObject",
        Operation.DELETE_OBJECT: "s3:DeleteObject",
        Operation.LIST_OBJECTS: "s3:ListBucket",
        Operation.HEAD_BUCKET: "s3:ListBucket",
        Operation.CREATE_UPLOAD: "s3:PutObject",
        Operation.UPLOAD_PART_COPY: "s3:PutObject",
        Operation.ABORT_UPLOAD: "s3:AbortMultipartUpload",
        Operation.UPLOAD_PART: "s3:PutObject",
        Operation.COMPLETE_UPLOAD: "s3:PutObject",
        Operation.LIST_PARTS: "s3:ListMultipartUploadParts",
        Operation.LIST_UPLOADS: "s3:ListBucketMultipartUploads",
        Operation.LIST_VERSIONS: "s3:ListBucketVersions",
        Operation.GET_VERSIONING: "s3:GetBucketVersioning",
    }.get(operation, "s3:GetObject")
    assert verdict(operation, 403).hint.startswith(f"grant to these credentials: {permission}")


def test_a_text_says_all_that_support_asks_for() -> None:
    body = document("InvalidArgument", "Bad\n value", "<RequestId>R1</RequestId>")
    assert str(verdict(Operation.PUT_OBJECT, 400, body)) == (
        "store said no status=400 code=InvalidArgument operation=PutObject bucket=bucket key='key' "
        "request_id=R1 message='Bad value'"
    )
    error = verdict(Operation.HEAD_OBJECT, 500, headers={"x-amz-request-id": "R2"})
    assert error.request_id == "R2"


NASTY = (
    "\x1b[31m\n\r\x00\x7f\u202eAKIAIOSFODNN7EXAMPLE Signature=0123456789abcdef Credential=ASIAX/2"
)


def test_texts_are_one_short_line_without_credentials() -> None:
    """Stores repeat requests in their messages; logs and the ledger keep ours."""
    found = ErrorDocument(f"Code{NASTY}", NASTY + "x" * 5000, f"id{NASTY}", NASTY, NASTY)
    headers = {"x-amz-bucket-region": NASTY}
    for operation in ALL:
        for status in (200, 301, 400, 403, 404, 500, 503):
            error = classify_document(
                Target(operation, "bucket", f"key{NASTY[:7]}"),
                Response(status, headers, b""),
                found,
                now_ms=NOW_MS,
            )
            shown = (str(error), error.hint, error.s3_code, error.request_id)
            for text in shown:
                assert text.isprintable()
                assert len(text) < 2000
                assert "IOSFODNN7" not in text
                assert "0123456789abcdef" not in text
                assert "ASIAX" not in text


def test_a_credential_that_the_limit_would_cut_is_hidden_before_the_cut() -> None:
    message = "x" * 285 + " AKIAIOSFODNN7EXAMPLE"
    assert "AKIA" not in str(verdict(Operation.PUT_OBJECT, 400, document("X", message)))
