"""Buckets of another account, and buckets, topics, queues and ledger that KMS encrypts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.account import Account
from tests.e2e.installation import until
from tests.servers.server import Server

pytestmark = pytest.mark.stores

OTHER = "111122223333"
"""Another account: the emulator takes an access key of twelve digits for the root of that one."""


@pytest.fixture
def account(aws: Server, tmp_path: Path) -> Iterator[Account]:
    account = Account(aws, tmp_path)
    yield account
    account.close()


@pytest.fixture
def name(account: Account, bucket_name: Callable[[str], str]) -> str:
    return account.create_bucket(bucket_name("guarded"))


def new_key(account: Account, *, access_key: str = "test") -> str:
    return str(account.client_of("kms", access_key, "test").create_key()["KeyMetadata"]["Arn"])


def encrypt(s3: Any, bucket: str, key: str) -> None:
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = [{"ApplyServerSideEncryptionByDefault": default}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def failure_of(account: Account, key: str) -> str:
    """What is said of a key that could not be copied, once it is a dead letter."""

    def look() -> str | None:
        for each in account.run_json("failures")["failures"]:
            if each["key"] == key:
                return f"{each['error']['code']} {each['error']['message']} {each['error']['hint']}"
        return None

    return until(look, what=f"the dead letter of {key}")


def wait_for_replica(s3: Any, bucket: str, key: str) -> dict[str, Any]:
    until(
        lambda: key in [e["Key"] for e in s3.list_objects_v2(Bucket=bucket).get("Contents", ())],
        what=f"the replica {key}",
    )
    found: dict[str, Any] = s3.get_object(Bucket=bucket, Key=key)
    return found


IMPATIENT = 'limits.attempts_max = 5\nlimits.retry_base = "1ms"\nlimits.retry_cap = "10ms"\n'


def test_a_bucket_of_another_account_takes_replicas_once_it_has_the_printed_policies(
    account: Account, name: str
) -> None:
    theirs = f"{name}-theirs"
    other, other_kms = (account.client_of(each, OTHER, "test") for each in ("s3", "kms"))
    other.create_bucket(Bucket=theirs)
    key = new_key(account, access_key=OTHER)
    encrypt(other, theirs, key)
    account.configuration(
        f'source.bucket = "{name}"\naws.topology = "durable"\n{IMPATIENT}'
        f'destinations.theirs = {{ bucket = "{theirs}", account = "{OTHER}", kms_key = "{key}", '
        'add_prefix = "x/" }\n'
    )
    (needed,) = account.run_json("plan")["other_accounts"]
    assert (needed["account"], needed["bucket"]) == (OTHER, theirs)
    account.run("deploy", "--yes")
    account.client("s3").put_object(
        Bucket=name, Key="ü", Body=b"content", Tagging="t=1", Metadata={"m": "1"}
    )
    assert "kms:GenerateDataKey" in failure_of(account, "ü")

    policy = json.loads(other_kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    policy["Statement"].append(needed["kms_key_statement"])
    other_kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
    assert account.run_json("redrive")["redriven"] == 1
    assert "s3:PutObject" in failure_of(account, "ü"), "the key is theirs to use, the bucket not"

    other.put_bucket_policy(Bucket=theirs, Policy=json.dumps(needed["bucket_policy"]))
    assert account.run_json("redrive")["redriven"] == 1
    found = wait_for_replica(other, theirs, "x/ü")
    assert (found["Body"].read(), found["Metadata"]) == (b"content", {"m": "1"})
    account.run("destroy", "--yes")


def test_encrypted_source_destination_topic_queues_and_ledger_work_with_what_is_generated(
    account: Account, name: str
) -> None:
    s3, iam = account.client("s3"), account.client("iam")
    account.create_bucket(f"{name}-a")
    keys = {bucket: new_key(account) for bucket in (name, f"{name}-a")}
    for bucket, key in keys.items():
        encrypt(s3, bucket, key)
    account.configuration(
        f'source = {{ bucket = "{name}", kms_key = "{keys[name]}" }}\naws.topology = "durable"\n'
        f'destinations.a = {{ bucket = "{name}-a", kms_key = "{keys[f"{name}-a"]}" }}\n'
        f'aws.kms_key = "new"\n{IMPATIENT}'
    )
    before = account.inventory()
    account.run("deploy", "--yes")
    s3.put_object(Bucket=name, Key="first", Body=b"x")
    wait_for_replica(s3, f"{name}-a", "first")

    role = {"RoleName": f"{name}-fanout-a-role", "PolicyName": "s3fanout"}
    whole = iam.get_role_policy(**role)["PolicyDocument"]
    for sid, action in (
        ("DecryptSource", "kms:Decrypt"),
        ("EncryptReplicas", "kms:GenerateDataKey"),
    ):
        rest = [each for each in whole["Statement"] if each["Sid"] != sid]
        iam.put_role_policy(**role, PolicyDocument=json.dumps({**whole, "Statement": rest}))
        s3.put_object(Bucket=name, Key=sid, Body=b"x")
        assert action in failure_of(account, sid)
        iam.put_role_policy(**role, PolicyDocument=json.dumps(whole))
        assert account.run_json("redrive")["redriven"] == 1
        wait_for_replica(s3, f"{name}-a", sid)
    key = account.client("kms").describe_key(KeyId=f"alias/s3fanout-{name}")["KeyMetadata"]["Arn"]
    assert may_use(account, role["RoleName"], key) == {"GenerateDataKey", "Decrypt"}
    rest = [each for each in whole["Statement"] if each["Sid"] != "UseQueueKey"]
    iam.put_role_policy(**role, PolicyDocument=json.dumps({**whole, "Statement": rest}))
    assert may_use(account, role["RoleName"], key) == set()
    account.run("destroy", "--yes")
    assert account.inventory() == before


def may_use(account: Account, role: str, key: str) -> set[str]:
    """What the role's own credentials may do with a key."""
    arn = account.client("iam").get_role(RoleName=role)["Role"]["Arn"]
    session = account.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    kms = account.client_of(
        "kms", session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]
    )
    sealed = account.client("kms").encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    attempts: dict[str, Callable[[], object]] = {
        "GenerateDataKey": lambda: kms.generate_data_key(KeyId=key, KeySpec="AES_256"),
        "Decrypt": lambda: kms.decrypt(KeyId=key, CiphertextBlob=sealed),
        "Encrypt": lambda: kms.encrypt(KeyId=key, Plaintext=b"x"),
        "PutKeyPolicy": lambda: kms.put_key_policy(KeyId=key, PolicyName="default", Policy="{}"),
        "DisableKey": lambda: kms.disable_key(KeyId=key),
    }
    done = set()
    for action, attempt in attempts.items():
        try:
            attempt()
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
        else:
            done.add(action)
    return done
