"""What canned ACLs look like in stores that have them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from tests.conformance.object_stores import open_s3
from tests.servers.server import Server, boto3_client

WRITTEN = {
    "private": "",
    "public-read": "public-read",
    "authenticated-read": "authenticated-read",
    "bucket-owner-full-control": "",  # the bucket's owner is who wrote it
}


@pytest.mark.stores
async def test_an_acl_that_boto3_writes_is_read_as_the_canned_one(
    moto: Server, ministack: Server, bucket_name: Callable[[str], str]
) -> None:
    for server in (moto, ministack):
        bucket = bucket_name("acl")
        reader = open_s3(server, bucket, "routed")
        client: Any = boto3_client(server, "s3")
        with closing(client):
            client.create_bucket(Bucket=bucket, ObjectOwnership="ObjectWriter")
            for acl in WRITTEN:
                client.put_object(Bucket=bucket, Key=acl, Body=b"x", ACL=acl)
        seen = {acl: await reader.get_acl(acl) for acl in WRITTEN}
        await reader.close()
        assert (server.name, seen) == (server.name, WRITTEN)
