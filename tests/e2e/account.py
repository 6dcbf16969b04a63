"""One account of the emulated AWS: buckets, an inventory of everything, and our commands in it."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from click.testing import CliRunner, Result

from s3fanout.cli.main import root
from s3fanout.deploy.package import Architecture, Package, build_package
from s3fanout.model.errors import S3FanoutError
from tests.e2e.installation import PATIENCE_S
from tests.servers.server import Server

ARCHITECTURE: Architecture = "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"
PYTHON = f"3.{min(sys.version_info.minor, 13)}"
"""The emulator runs functions with the Python of this machine: the wheels must fit it."""

LOOK_S = 0.2
REGION, FAR_REGION = "us-east-1", "ap-northeast-1"


@cache
def package() -> Package:
    """The functions' code, fetched once for all tests."""
    return build_package(ARCHITECTURE, PYTHON)


@dataclass
class Account:
    """Our view of it as its root."""

    server: Server
    directory: Path
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A client that is not ours."""
        if service not in self.clients:
            self.clients[service] = self.client_of(
                service, self.server.access_key, self.server.secret_key
            )
        return self.clients[service]

    def client_of(
        self, service: str, access_key: str, secret_key: str, token: str | None = None
    ) -> Any:
        """A client of somebody else."""
        make: Any = boto3.Session(access_key, secret_key, token, region_name=REGION).client
        config = Config(s3={"addressing_style": "path"}, proxies={}, retries={"max_attempts": 1})
        return make(service, endpoint_url=self.server.endpoint, config=config)

    def close(self) -> None:
        """Close the clients."""
        for client in self.clients.values():
            client.close()

    def create_bucket(self, name: str, region: str = REGION) -> str:
        """Make a bucket; its name."""
        where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self.client("s3").create_bucket(Bucket=name, **({} if region == REGION else where))
        return name

    def abort_old_uploads(self, bucket: str) -> None:
        """Give a bucket the lifecycle rule that doctor wants destinations to have."""
        rule = {
            "ID": "abort-incomplete-uploads",
            "Status": "Enabled",
            "Filter": {},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        }
        self.client("s3").put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [rule]}
        )

    def inventory(self) -> dict[str, Any]:
        """Everything that a deployment could leave behind, and the notifications byte for byte."""
        s3 = self.client("s3")
        found: dict[str, Any] = {}
        buckets = [each["Name"] for each in s3.list_buckets()["Buckets"]]
        found["buckets"] = sorted(buckets)
        found["notifications"] = {bucket: self.notifications_xml(bucket) for bucket in buckets}
        for service, operation, items in (
            ("sqs", "list_queues", "QueueUrls"),
            ("sns", "list_topics", "Topics"),
            ("sns", "list_subscriptions", "Subscriptions"),
            ("lambda", "list_functions", "Functions"),
            ("lambda", "list_event_source_mappings", "EventSourceMappings"),
            ("iam", "list_roles", "Roles"),
            ("iam", "list_policies", "Policies"),
            ("logs", "describe_log_groups", "logGroups"),
            ("dynamodb", "list_tables", "TableNames"),
            ("cloudwatch", "describe_alarms", "MetricAlarms"),
            ("cloudwatch", "list_dashboards", "DashboardEntries"),
            ("events", "list_rules", "Rules"),
            ("kms", "list_aliases", "Aliases"),
        ):
            extra = {"Scope": "Local"} if operation == "list_policies" else {}
            answer = getattr(self.client(service), operation)(**extra)
            found[f"{service} {operation}"] = json.dumps(answer.get(items, []), default=str)
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        found["stacks"] = [
            each["StackName"] for each in stacks if each["StackStatus"] != "DELETE_COMPLETE"
        ]
        return found

    def notifications_xml(self, bucket: str) -> bytes:
        """The bucket's notifications as S3 sends them, but for the line that says it is XML.

        The emulator sends that line only until the notifications are written for the first time.
        """
        seen: list[bytes] = []

        def see(http_response: Any, **_: object) -> None:
            seen.append(http_response.content)

        s3, answered = self.client("s3"), "after-call.s3.GetBucketNotificationConfiguration"
        s3.meta.events.register(answered, see)
        s3.get_bucket_notification_configuration(Bucket=bucket)
        s3.meta.events.unregister(answered, see)
        return seen[0].removeprefix(b'<?xml version="1.0" encoding="UTF-8"?>\n')

    def keys(self, bucket: str) -> set[str]:
        """All keys of a bucket."""
        return set(self.etags(bucket))

    def etags(self, bucket: str) -> dict[str, str]:
        """Of all objects by key; of small ones it is the MD5 of their bytes."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {e["Key"]: e["ETag"].strip('"') for page in pages for e in page.get("Contents", ())}

    def wait_for(self, wanted: dict[str, set[str]], *, within_s: float = PATIENCE_S) -> None:
        """Until the buckets hold these keys and no others."""
        give_up_at_s = time.monotonic() + within_s
        missing = dict(wanted)
        while missing:
            assert time.monotonic() < give_up_at_s, {
                bucket: sorted(keys ^ self.keys(bucket)) for bucket, keys in missing.items()
            }
            time.sleep(LOOK_S)
            missing = {b: keys for b, keys in missing.items() if self.keys(b) != keys}

    def end_functions(self, prefix: str) -> None:
        """Remove functions with their triggers and processes: of what else a test leaves, nothing
        runs."""
        functions = self.client("lambda")
        for each in functions.list_event_source_mappings()["EventSourceMappings"]:
            if each["FunctionArn"].rpartition(":")[2].startswith(prefix):
                functions.delete_event_source_mapping(UUID=each["UUID"])
        for each in functions.list_functions()["Functions"]:
            if each["FunctionName"].startswith(prefix):
                functions.delete_function(FunctionName=each["FunctionName"])

    def content(self, bucket: str, key: str) -> bytes:
        """What an object holds."""
        answer = self.client("s3").get_object(Bucket=bucket, Key=key)
        return bytes(answer["Body"].read())

    def records(self, table: str) -> list[dict[str, Any]]:
        """The ledger's items of source keys."""
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=table)
        items = [item for page in pages for item in page["Items"]]
        return [item for item in items if item["subject"]["S"].startswith("key:")]

    def configuration(self, text: str) -> Path:
        """A configuration file for this account.

        The emulator may lose a function's process as it begins ("dictionary changed size during
        iteration"). What that was given comes back after six times the function's time: two
        minutes here, within the patience of tests, and not the usual twelve.
        """
        path = self.directory / "s3fanout.toml"
        path.write_text(
            f'schema = 1\n{text}\naws.endpoint = "{self.server.endpoint}"\n'
            'aws.timeout = "20s"\nlimits.request_timeout = "20s"\n'
            f'aws.architecture = "{ARCHITECTURE}"\naws.python = "{PYTHON}"\n',
            "utf-8",
        )
        return path

    def run(self, *arguments: str) -> str:
        """One of our commands with the account's root; what it printed.

        Raises:
            S3FanoutError: As the command.
        """
        return self.ended(*arguments).stdout

    def ended(self, *arguments: str) -> Result:
        """As ``run``, with what it ended with in ``return_value``."""
        with environment(self.server, self.directory):
            answer = CliRunner().invoke(
                root,
                [arguments[0], "-c", str(self.directory / "s3fanout.toml"), *arguments[1:]],
                catch_exceptions=True,
                standalone_mode=False,
            )
        if isinstance(answer.exception, S3FanoutError):
            raise answer.exception
        assert answer.exception is None, answer.exc_info
        return answer

    def run_json(self, *arguments: str) -> Any:
        """As ``run``, with ``--json``."""
        return json.loads(self.run(*arguments, "--json"))


@contextmanager
def environment(server: Server, directory: Path) -> Iterator[None]:
    """Credentials of the server, and no shared files of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
        patch.setenv("AWS_CONFIG_FILE", str(directory / "no-config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(directory / "no-credentials"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.delenv("AWS_PROFILE", raising=False)
        patch.delenv("AWS_SESSION_TOKEN", raising=False)
        # Stacks of the emulator are done within a second or two.
        patch.setattr("s3fanout.deploy.stack.POLL_S", 0.2)
        patch.setattr("s3fanout.cli.deploy.package_for", lambda _: package())
        # The emulator sends by a new route at once.
        patch.setattr("s3fanout.deploy.apply.OVERLAP_S", 1.0)
        patch.setattr("s3fanout.cli.template.package_for", lambda _: package())
        yield
