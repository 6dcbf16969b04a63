"""Tags of a source whose credentials may not read them: AWS then tells nothing of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.account import Account
from tests.e2e.conftest import Install
from tests.e2e.installation import Place, until
from tests.e2e.notices import message, put_event
from tests.e2e.policies import allow, user
from tests.servers.server import Server, boto3_client, create_bucket

pytestmark = pytest.mark.stores

CONTENTS = {"small": b"tagged", "large": bytes(6 * 1024 * 1024)}


@pytest.fixture
def account(aws: Server, tmp_path: Path) -> Iterator[Account]:
    account = Account(aws, tmp_path)
    yield account
    account.close()


def policy(bucket: str, *actions: str) -> dict[str, Any]:
    resource = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    statement = {"Effect": "Allow", "Action": [*actions], "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def test_tags_that_may_not_be_read_are_a_named_difference_and_arrive_once_granted(
    *, account: Account, install: Install, bucket_name: Callable[[str], str]
) -> None:
    server, name = account.server, bucket_name("reader")
    source, paris, exact = (create_bucket(server, bucket_name(each)) for each in "spe")
    to_stream = {"copy": '"stream"'}
    client: Any = boto3_client(server, "s3")
    with closing(client), user(account, name) as reader:
        allow(account, name, policy(source, "s3:GetObject", "s3:ListBucket"))
        installation = install(
            source=Place(reader.server, source, "READER", {"vendor": '"aws"'}),
            destinations={
                "paris": Place(server, paris, settings=to_stream),
                "exact": Place(server, exact, settings={**to_stream, "strict": "true"}),
            },
            settings='limits.part_size = "5MiB"\n',
        )
        installation.start()
        events = []
        for key, content in CONTENTS.items():
            made = client.put_object(Bucket=source, Key=key, Body=content, Tagging="team=blue")
            etag = made["ETag"].strip('"')
            events.append(put_event(source, key, etag=etag, size_bytes=len(content)))
        assert installation.post(message(*events)).status == 200
        until(
            lambda: not any(row["backlog_jobs"] for row in installation.api_status().values()),
            what="every job has ended",
        )
        for key in CONTENTS:
            rows = installation.read("explain", key)["destinations"]
            records = {row["name"]: row["record"] for row in rows}
            assert records["paris"]["differences"] == ["tags-unread"]
            assert records["exact"]["error"]["code"] == "not-exact"
            assert "s3:GetObjectTagging" in records["exact"]["error"]["hint"]

        allow(
            account,
            name,
            policy(source, "s3:GetObject", "s3:ListBucket", "s3:GetObjectTagging"),
        )
        # A new process remembers no refusal.
        installation.stop()
        installation.start()
        installation.command("redrive", check=True)
        installation.command("reconcile", "--attributes", "--yes", check=True)

        def arrived(bucket: str) -> bool:
            # Of the small one: the emulator itself loses tags of what is uploaded in parts.
            try:
                tags = client.get_object_tagging(Bucket=bucket, Key="small")["TagSet"]
            except client.exceptions.ClientError:
                return False
            return bool(tags == [{"Key": "team", "Value": "blue"}])

        until(lambda: arrived(paris) and arrived(exact), what="the tags arrive")
