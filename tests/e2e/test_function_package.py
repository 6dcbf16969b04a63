"""The zip itself: what is in it, that it is the same every time, and that Lambda can run it."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from s3fanout.awslambda.environment import HANDLER
from s3fanout.deploy.package import Package, build_package
from s3fanout.model.errors import Misconfigured
from tests.servers.aws import FunctionWorld, sns_event

if TYPE_CHECKING:
    from tests.servers.server import Server

pytestmark = pytest.mark.stores


@pytest.fixture(scope="module")
def here() -> Package:
    """For this machine's Python, on which the emulator runs functions."""
    return build_package("x86_64", f"{sys.version_info.major}.{sys.version_info.minor}")


def test_the_package_is_small_and_of_the_asked_architecture() -> None:
    package = build_package("arm64", "3.13")
    assert package.size == len(package.content) < 8_000_000
    with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
        names = archive.namelist()
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert names == sorted(names)
    assert "s3fanout/awslambda/handler.py" in names
    libraries = [name for name in names if name.endswith(".so")]
    assert libraries != []
    assert [name for name in libraries if "aarch64" not in name] == []
    assert [name for name in names if name.startswith(("s3fanout/cli", "boto"))] == []


def test_the_package_is_the_same_every_time(here: Package) -> None:
    again = build_package("x86_64", f"{sys.version_info.major}.{sys.version_info.minor}")
    assert (again.sha256, again.content) == (here.sha256, here.content)


def test_a_platform_without_wheels_is_refused() -> None:
    with pytest.raises(Misconfigured, match="could not fetch"):
        build_package("arm64", "2.7")


async def test_lambda_runs_the_package(world: FunctionWorld, here: Package) -> None:
    """Durable and classic, with nothing but the zip and the environment."""
    durable, classic = f"{world.name}-durable", f"{world.name}-replica"
    etag = world.put("a b", b"x")
    body = world.notification("a+b", etag, 1, "01")
    batch = {
        "Records": [
            {
                "messageId": "1",
                "receiptHandle": "h",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
                "eventSource": "aws:sqs",
            }
        ]
    }
    with closing(_lambda(world.server)) as functions:
        environment = world.settings().to_environment()
        answer = _run(functions, durable, here, environment, batch)
        assert answer == {"batchItemFailures": []}
        assert world.replica("a b") == b"x"
        assert await world.ledger.get("a", "a b") is not None
        world.s3.delete_object(Bucket=classic, Key="a b")
        assert _run(functions, classic, here, {}, sns_event(body)) == {"replicated": 1}
    assert world.replica("a b") == b"x"


def _run(
    functions: Any, name: str, code: Package, environment: dict[str, str], event: Any
) -> object:
    """Make a function, start it once, and delete it; what it answered."""
    functions.create_function(
        FunctionName=name,
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Role="arn:aws:iam::000000000000:role/any",
        Handler=HANDLER,
        Code={"ZipFile": code.content},
        Timeout=30,
        MemorySize=512,
        Environment={"Variables": environment},
    )
    try:
        answer = functions.invoke(FunctionName=name, Payload=json.dumps(event))
        return json.loads(answer["Payload"].read())
    finally:
        functions.delete_function(FunctionName=name)


def _lambda(server: Server) -> Any:
    service: Any = "lambda"
    return boto3.Session(
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
    ).client(service, endpoint_url=server.endpoint)
