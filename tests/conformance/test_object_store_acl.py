"""ACLs of stores that have them: what boto3 writes is read, and what we write boto3 reads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from s3fanout.decide.keeping import blamed, is_certain
from s3fanout.model.acls import CANNED, FULL_CONTROL, AclGrant
from s3fanout.model.errors import StoreError
from s3fanout.model.keeping import Difference
from s3fanout.model.objects import Extras, ObjectAttributes, Written
from tests.conformance.object_stores import body_of, open_s3
from tests.servers.ceph import FRIEND
from tests.servers.server import Server, boto3_client

WRITTEN = {
    "private": (),
    "public-read": CANNED["public-read"],
    "authenticated-read": CANNED["authenticated-read"],
    "bucket-owner-full-control": (),  # the bucket's owner is who wrote it
}
GROUP = AclGrant("http://acs.amazonaws.com/groups/global/AuthenticatedUsers", "READ_ACP")
GRANTED = (AclGrant(FRIEND, "READ"), AclGrant(FRIEND, "WRITE_ACP"), GROUP)


@pytest.fixture(params=["moto", "ministack", "ceph"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


def new_bucket(client: Any, server: Server, bucket: str) -> None:
    """AWS needs to be told that its buckets have ACLs; Ceph does not know how."""
    told = {} if server.name == "ceph" else {"ObjectOwnership": "ObjectWriter"}
    client.create_bucket(Bucket=bucket, **told)


@pytest.mark.stores
async def test_an_acl_that_boto3_writes_is_read_as_it_is(
    server: Server, bucket_name: Callable[[str], str]
) -> None:
    bucket = bucket_name("acl")
    reader = open_s3(server, bucket, "routed")
    client: Any = boto3_client(server, "s3")
    with closing(client):
        new_bucket(client, server, bucket)
        for acl in WRITTEN:
            client.put_object(Bucket=bucket, Key=acl, Body=b"x", ACL=acl)
        client.put_object(
            Bucket=bucket,
            Key="grants",
            Body=b"x",
            GrantRead=f'id="{FRIEND}"',
            GrantWriteACP=f'id="{FRIEND}"',
            GrantReadACP=f'uri="{GROUP.grantee}"',
        )
    seen = {acl: await reader.get_acl(acl) for acl in WRITTEN}
    owner = await reader.bucket_owner()
    assert {name: acl.grants for name, acl in seen.items()} == WRITTEN
    assert {acl.owner for acl in seen.values()} == {owner}
    assert (await reader.get_acl("grants")).grants == GRANTED
    await reader.close()


@pytest.mark.stores
async def test_grants_that_are_written_are_what_boto3_reads(
    server: Server, bucket_name: Callable[[str], str]
) -> None:
    bucket = bucket_name("acl")
    store = open_s3(server, bucket, "routed")
    client: Any = boto3_client(server, "s3")
    with closing(client):
        new_bucket(client, server, bucket)
        client.put_object(Bucket=bucket, Key="source", Body=b"x")
        own = AclGrant(await store.bucket_owner(), FULL_CONTROL)
        extras = Extras(grants=(own, *GRANTED))
        await store.put("put", body_of(b"x"), ObjectAttributes(extras=extras))
        await store.copy(
            "copied", source_bucket=bucket, source_key="source", if_match=None, extras=extras
        )
        for key in ("put", "copied"):
            rows = client.get_object_acl(Bucket=bucket, Key=key)["Grants"]
            granted = {
                AclGrant(row["Grantee"].get("URI") or row["Grantee"]["ID"], row["Permission"])
                for row in rows
            }
            assert (key, granted) == (key, {own, *GRANTED})
    await store.close()


REFUSES = {"ministack": "InvalidArgument", "ceph": "NoSuchKey"}
"""What they say of an account that is gone; moto knows no accounts."""


@pytest.mark.stores
async def test_an_account_that_is_gone_is_refused_with_a_code_that_is_understood(
    server: Server, bucket_name: Callable[[str], str]
) -> None:
    """``decide.keeping`` takes either for the ACL's fault, by every way of writing."""
    bucket = bucket_name("acl")
    store = open_s3(server, bucket, "routed")
    with closing(boto3_client(server, "s3")) as client:
        new_bucket(client, server, bucket)
        client.put_object(Bucket=bucket, Key="source", Body=b"x")
    attributes = ObjectAttributes(extras=Extras(grants=(AclGrant("nobody", "READ"),)))

    async def copy() -> Written:
        return await store.copy(
            "copied",
            source_bucket=bucket,
            source_key="source",
            if_match=None,
            extras=attributes.extras,
        )

    async def put() -> Written:
        return await store.put("put", body_of(b"x"), attributes)

    for write in (put, copy):
        if server.name not in REFUSES:
            assert (await write()).etag
            continue
        with pytest.raises(StoreError) as raised:
            await write()
        assert raised.value.s3_code == REFUSES[server.name]
        assert blamed(raised.value, attributes) is Difference.ACL
        assert not is_certain(raised.value, attributes)
    await store.close()
