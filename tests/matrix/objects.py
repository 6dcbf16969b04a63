"""Writing and reading an object with all that belongs to it, by boto3, which is not ours."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.matrix.attributes import Case
from tests.matrix.checksums import checksum

PART_BYTES = 5 * 1024 * 1024
SMALL = b"small object of the matrix"
LARGE = bytes(range(256)) * (PART_BYTES // 256) + b"second part"
"""Two parts; the first is as small as a part may be."""
CONTENTS: Mapping[str, bytes] = {"small": SMALL, "multipart": LARGE}

_HEADERS = {
    "content-type": "ContentType",
    "content-encoding": "ContentEncoding",
    "content-disposition": "ContentDisposition",
    "content-language": "ContentLanguage",
    "cache-control": "CacheControl",
    "expires": "ExpiresString",
    "redirect": "WebsiteRedirectLocation",
    "storage-class": "StorageClass",
    "sse": "ServerSideEncryption",
    "sse-c": "SSECustomerAlgorithm",
    "legal-hold": "ObjectLockLegalHoldStatus",
}


def key_of(case: Case, size: str) -> str:
    """Where the case's object of that size is."""
    return case.key or f"{size}/{case.name}"


@dataclass(frozen=True, slots=True)
class Row:
    """An object that was written, as an event tells it."""

    key: str
    etag: str
    size_bytes: int


def write(client: Any, bucket: str, case: Case, size: str) -> list[Row]:
    """Write the case's object, and the one beside it.

    Raises:
        ClientError, BotoCoreError: The store refuses it.
    """
    key, content = key_of(case, size), CONTENTS[size]
    rows = []
    if case.beside:
        made = client.put_object(Bucket=bucket, Key=case.beside, Body=content)
        rows.append(Row(case.beside, made["ETag"].strip('"'), len(content)))
    if any(name.startswith("Grant") for name in case.put):
        # Explicit grants take the owner's away.
        owner = client.get_bucket_acl(Bucket=bucket)["Owner"].get("ID")
        own = {"GrantFullControl": f'id="{owner}"'} if owner else {}
        case = replace(case, put={**case.put, **own})
    made = (
        _write_parts(client, bucket, key, case, content)
        if size == "multipart"
        else client.put_object(
            Bucket=bucket, Key=key, Body=content, **case.put, **_sent(case.algorithm, content)
        )
    )
    etag = made.get("ETag") or client.head_object(Bucket=bucket, Key=key, **case.read)["ETag"]
    return [*rows, Row(key, etag.strip('"'), len(content))]


def _sent(algorithm: str, content: bytes) -> dict[str, str]:
    return {f"Checksum{algorithm}": checksum(algorithm, content)} if algorithm else {}


def _write_parts(client: Any, bucket: str, key: str, case: Case, content: bytes) -> dict[str, Any]:
    target = {"Bucket": bucket, "Key": key}
    kind: dict[str, str] = {}
    if case.algorithm:
        whole = case.algorithm == "CRC64NVME"
        kind = {
            "ChecksumAlgorithm": case.algorithm,
            "ChecksumType": "FULL_OBJECT" if whole else "COMPOSITE",
        }
    upload = client.create_multipart_upload(**target, **case.put, **kind)["UploadId"]
    parts = []
    for number, piece in enumerate((content[:PART_BYTES], content[PART_BYTES:]), 1):
        sent = _sent(case.algorithm, piece)
        done = client.upload_part(
            **target, UploadId=upload, PartNumber=number, Body=piece, **case.read, **sent
        )
        parts.append({"PartNumber": number, "ETag": done["ETag"], **sent})
    answer: dict[str, Any] = client.complete_multipart_upload(
        **target, UploadId=upload, MultipartUpload={"Parts": parts}, **case.read
    )
    return answer


def read(client: Any, bucket: str, case: Case, size: str) -> dict[str, Any]:
    """All fields of the case's object, as boto3 sees them.

    Raises:
        ClientError: It is not there.
    """
    target = {"Bucket": bucket, "Key": key_of(case, size)}
    got = client.get_object(**target, **case.read)
    with got["Body"] as stream:
        content = stream.read()
    fields: dict[str, Any] = {
        "bytes": f"{len(content)} {hashlib.sha256(content).hexdigest()}",
        "metadata": {name.lower(): value for name, value in got["Metadata"].items()},
        "tags": _tags(client, target),
        "acl": _grants(client, target),
        "checksum": _checksum(client, target, case),
        "listed": _is_listed(client, bucket, target["Key"]) if case.key else None,
    }
    fields |= {name: got.get(header) for name, header in _HEADERS.items()}
    if fields["storage-class"] == "STANDARD":
        fields["storage-class"] = None
    until = got.get("ObjectLockRetainUntilDate")
    fields["retention"] = f"{got.get('ObjectLockMode')} {until:%FT%TZ}" if until else None
    return fields


def _tags(client: Any, target: Mapping[str, str]) -> dict[str, str]:
    rows = client.get_object_tagging(**target).get("TagSet", ())
    return {row["Key"]: row["Value"] for row in rows}


def _grants(client: Any, target: Mapping[str, str]) -> list[str]:
    """To others than the owner."""
    try:
        answer = client.get_object_acl(**target)
    except ClientError:
        return []
    owner = answer.get("Owner", {}).get("ID") or ""
    rows = ((row["Grantee"], row["Permission"]) for row in answer.get("Grants", ()))
    return sorted(
        f"{grantee.get('URI', '').rpartition('/')[2] or grantee['ID']} {permission}"
        for grantee, permission in rows
        if "URI" in grantee or (grantee.get("ID") or "") != owner
    )


def _checksum(client: Any, target: Mapping[str, str], case: Case) -> str:
    head = client.head_object(**target, ChecksumMode="ENABLED", **case.read)
    found = sorted(
        f"{name.removeprefix('Checksum')}={value}"
        for name, value in head.items()
        if name.startswith("Checksum") and name != "ChecksumType"
    )
    return " ".join([*found, head.get("ChecksumType", "")]).strip() if found else ""


def _is_listed(client: Any, bucket: str, key: str) -> bool:
    rows = client.list_objects_v2(Bucket=bucket).get("Contents", ())
    return key in {row["Key"] for row in rows}


def held(case: Case, size: str, fields: Mapping[str, Any]) -> bool:
    """Whether a store that answered ``fields`` holds what the case wrote there."""
    content = CONTENTS[size]
    if fields["bytes"] != f"{len(content)} {hashlib.sha256(content).hexdigest()}":
        return False
    return all(
        # Which checksum; its value is the store's business, and its type too.
        fields[name].startswith(f"{wanted}=") if name == "checksum" else fields[name] == wanted
        for name, wanted in case.expects.items()
    )


def refusal(error: Exception) -> str:
    """How a store refuses, as the table names it."""
    if isinstance(error, ClientError):
        return f"refused: {error.response['Error']['Code']}"
    assert isinstance(error, BotoCoreError), error
    return f"refused: {type(error).__name__}"
