"""Objects that may not be read as they are: each is a dead letter that says what to do, and then
nothing but that has to be done."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.account import Account
from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import check_equal
from tests.e2e.installation import Installation, Place, until
from tests.e2e.notices import message, put_event
from tests.servers.server import Server, boto3_client

pytestmark = pytest.mark.stores

IMPATIENT = """\
limits.attempts_max = 3
limits.retry_base = "50ms"
limits.circuit_failures = 1000
"""
CONTENT = b"out of reach"


def write_and_tell(installation: Installation, source: Place, client: Any, **put: str) -> None:
    made = client.put_object(Bucket=source.bucket, Key="key", Body=CONTENT, **put)
    etag = made["ETag"].strip('"')
    event = put_event(source.bucket, "key", etag=etag, size_bytes=len(CONTENT))
    assert installation.post(message(event)).status == 200


def failures(installation: Installation, count: int) -> dict[str, dict[str, str]]:
    """The errors by destination, once there are so many dead letters."""
    until(
        lambda: sum(row["failed"] for row in installation.api_status().values()) == count,
        what="the job is a dead letter",
    )
    rows = installation.read("failures")["failures"]
    return {row["destination"]: row["error"] for row in rows}


def test_an_archived_object_waits_for_somebody_to_restore_it(
    moto: Server, seaweedfs: Server, install: Install, new_place: NewPlace
) -> None:
    """moto gives an object of such a class out only when it was restored, as AWS does."""
    source = new_place(moto, "source")
    to = {
        "copied": new_place(moto, "copied"),
        "unseen": new_place(moto, "unseen", settings={"attributes": '"copied"'}),
        "streamed": new_place(seaweedfs, "streamed"),
    }
    installation = install(source=source, destinations=to, settings=IMPATIENT)
    installation.start()
    with closing(boto3_client(moto, "s3")) as client:
        write_and_tell(installation, source, client, StorageClass="GLACIER")
        found = failures(installation, len(to))
        assert {name: error["code"] for name, error in found.items()} == {
            "copied": "archived",
            # Who does not look is told by the store.
            "unseen": "refused:ObjectNotInActiveTierError",
            "streamed": "refused:InvalidObjectState",
        }
        assert all("restore" in error["hint"] for error in found.values())
        client.restore_object(Bucket=source.bucket, Key="key", RestoreRequest={"Days": 1})
    assert installation.read("redrive")["redriven"] == len(to)
    installation.wait_replicated(1)
    with closing(boto3_client(seaweedfs, "s3")) as client:
        replica = client.get_object(Bucket=to["streamed"].bucket, Key="key")
        assert (replica["Body"].read(), replica["StorageClass"]) == (CONTENT, "GLACIER")


def test_a_kms_key_without_grants_is_named_and_once_granted_all_is_copied(
    *, aws: Server, tmp_path: Path, install: Install, bucket_name: Callable[[str], str]
) -> None:
    """The user may do everything in S3, and does not need the key for the other destination."""
    account = Account(aws, tmp_path)
    user = bucket_name("user")
    with ExitStack() as opened:
        opened.callback(account.close)
        iam, s3 = account.client("iam"), account.client("s3")
        key = account.client("kms").create_key()["KeyMetadata"]["Arn"]

        def allow(*actions: str) -> None:
            statement = {"Effect": "Allow", "Action": ["s3:*", *actions], "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=policy)

        iam.create_user(UserName=user)
        allow()
        made = iam.create_access_key(UserName=user)["AccessKey"]
        server = replace(aws, access_key=made["AccessKeyId"], secret_key=made["SecretAccessKey"])
        source, plain, sealed = (
            Place(server, account.create_bucket(bucket_name(purpose)))
            for purpose in ("source", "plain", "sealed")
        )
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        s3.put_bucket_encryption(
            Bucket=sealed.bucket,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": default}]
            },
        )
        to = {"plain": plain, "sealed": sealed}
        installation = install(source=source, destinations=to, settings=IMPATIENT)
        installation.start()
        write_and_tell(installation, source, s3)
        (error,) = failures(installation, 1).values()
        assert error["code"].startswith("access-denied")
        assert "kms:GenerateDataKey" in error["hint"]
        installation.wait_replicated(1, "plain")
        assert "Contents" not in s3.list_objects_v2(Bucket=sealed.bucket)

        allow("kms:GenerateDataKey", "kms:Decrypt")
        assert installation.read("redrive")["redriven"] == 1
        installation.wait_replicated(1)
        head = s3.head_object(Bucket=sealed.bucket, Key="key")
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
    check_equal(source, plain, sealed)
