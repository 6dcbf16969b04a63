"""Who may do what with an object may do it with its replica: grants to accounts and groups."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.installation import Installation, Place, until
from tests.e2e.notices import message, put_event
from tests.matrix.replication import new_bucket
from tests.servers.ceph import FRIEND, FRIEND_KEY, FRIEND_SECRET
from tests.servers.server import Server, boto3_client

pytestmark = pytest.mark.stores

LARGE = bytes(6 * 1024 * 1024)
PARTS = 'limits.part_size = "5MiB"\n'
KEEP = {"acl": '"keep"'}
GRANTS = {"GrantRead": f'id="{FRIEND}"'}


def place(server: Server, bucket: str, **settings: str) -> Place:
    """A bucket that has ACLs."""
    new_bucket(server, bucket)
    return Place(server, bucket, settings={**KEEP, **settings})


def write(installation: Installation, source: Place, objects: dict[str, bytes]) -> None:
    """Write objects that ``FRIEND`` may read, and tell of them."""
    rows = []
    client: Any = boto3_client(source.server, "s3")
    with closing(client):
        owner = client.get_bucket_acl(Bucket=source.bucket)["Owner"]["ID"]
        grants = {**GRANTS, "GrantFullControl": f'id="{owner}"'}
        for key, content in objects.items():
            made = client.put_object(Bucket=source.bucket, Key=key, Body=content, **grants)
            rows.append(
                put_event(source.bucket, key, etag=made["ETag"].strip('"'), size_bytes=len(content))
            )
    answer = installation.post(message(*rows))
    assert answer.status == 200, answer.body


def grants_of(place: Place, key: str) -> set[tuple[str, str]]:
    with closing(boto3_client(place.server, "s3")) as client:
        rows = client.get_object_acl(Bucket=place.bucket, Key=key)["Grants"]
        return {(row["Grantee"].get("ID", ""), row["Permission"]) for row in rows}


def differences(installation: Installation, key: str) -> dict[str, list[str]]:
    rows = installation.read("explain", key)["destinations"]
    return {row["name"]: row["record"]["differences"] for row in rows}


def test_an_account_that_may_read_an_object_may_read_its_replicas(
    ceph: Server, install: Install, bucket_name: Callable[[str], str]
) -> None:
    """Copied by the store and streamed, in one piece and in parts; who reads is that account."""
    source = replace(place(ceph, bucket_name("source")), settings={})
    to = {
        "copied": place(ceph, bucket_name("copied")),
        "streamed": place(ceph, bucket_name("streamed"), copy='"stream"'),
        "unkept": place(ceph, bucket_name("unkept"), acl='"none"'),
    }
    installation = install(source=source, destinations=to, settings=PARTS)
    installation.start()
    contents = {"small": b"for a friend", "large": LARGE}
    write(installation, source, contents)
    installation.wait_replicated(2)
    friend: Any = boto3_client(replace(ceph, access_key=FRIEND_KEY, secret_key=FRIEND_SECRET), "s3")
    with closing(friend):
        for key, content in contents.items():
            for name in ("copied", "streamed"):
                assert grants_of(to[name], key) == grants_of(source, key)
                read = friend.get_object(Bucket=to[name].bucket, Key=key)["Body"].read()
                assert read == content, (name, key)
            with pytest.raises(ClientError, match="AccessDenied"):
                friend.get_object(Bucket=to["unkept"].bucket, Key=key)
            assert differences(installation, key) == {name: [] for name in to}


def test_what_a_destination_cannot_grant_is_a_named_difference_or_a_dead_letter(
    *,
    ministack: Server,
    moto: Server,
    install: Install,
    new_place: NewPlace,
    bucket_name: Callable[[str], str],
) -> None:
    """Another store, and buckets whose ACLs are switched off, which AWS makes without being told;
    and what an emulator drops without a word: grants of an upload in parts."""
    source = replace(place(ministack, bucket_name("source")), settings={})
    enforced = {"off": {}, "strict": {"strict": "true"}}
    to = {
        "kept": place(ministack, bucket_name("kept"), copy='"stream"'),
        "elsewhere": place(moto, bucket_name("elsewhere")),
        **{
            name: new_place(ministack, name, settings={**KEEP, **more})
            for name, more in enforced.items()
        },
    }
    with ExitStack() as opened:
        client: Any = opened.enter_context(closing(boto3_client(ministack, "s3")))
        for name in enforced:
            client.put_bucket_ownership_controls(
                Bucket=to[name].bucket,
                OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            )
    installation = install(source=source, destinations=to, settings=PARTS)
    installation.start()
    write(installation, source, {"small": b"for a friend", "large": LARGE})
    installation.wait_replicated(2, "kept", "elsewhere", "off")
    assert grants_of(to["kept"], "small") == grants_of(source, "small")
    assert FRIEND not in {who for who, _ in grants_of(to["off"], "small")}
    found = differences(installation, "small")
    assert {name: found[name] for name in ("kept", "elsewhere", "off")} == {
        "kept": [],
        "elsewhere": ["acl"],
        "off": ["acl"],
    }
    assert differences(installation, "large")["kept"] == ["acl"]
    until(lambda: installation.api_status()["strict"]["failed"] == 2, what="both are dead letters")
    (dead,) = {
        (row["error"]["code"], row["error"]["message"])
        for row in installation.read("failures", "--destination", "strict")["failures"]
    }
    assert dead == ("not-exact", "the destination does not hold: acl")
