"""What AWS says to a command becomes an error of ours with something to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from s3fanout.config.load import parse
from s3fanout.deploy.session import at_endpoint, open_session, translated
from s3fanout.model.errors import (
    AccessDenied,
    ExitCode,
    Misconfigured,
    StoreError,
    Throttled,
    Unavailable,
)

CONFIG = """\
schema = 1
source.bucket = "photos"
destinations.paris.bucket = "photos-paris"
"""


def refusal(code: str, message: str = "no", status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {  # type: ignore[typeddict-item]
                "HTTPStatusCode": status
            },
        },
        "GetQueueUrl",
    )


@pytest.mark.parametrize(
    ("code", "status", "kind", "hint"),
    [
        ("ExpiredToken", 403, AccessDenied, "sign in again"),
        ("InvalidClientTokenId", 403, AccessDenied, "right profile"),
        ("UnrecognizedClientException", 400, AccessDenied, "right profile"),
        ("AccessDenied", 403, AccessDenied, "lacks"),
        ("ThrottlingException", 400, Throttled, "again"),
        ("InternalError", 500, Unavailable, ""),
        ("ValidationError", 400, StoreError, ""),
    ],
)
def test_each_refusal_has_a_class_and_a_hint(
    code: str, status: int, kind: type[StoreError], hint: str
) -> None:
    error = translated(refusal(code, status=status), "the queue")
    assert type(error) is kind
    assert hint in error.hint
    assert "the queue" in error.message


def test_a_missing_permission_is_named() -> None:
    said = (
        "User: arn:aws:iam::1:user/ann is not authorized to perform: sqs:GetQueueUrl on resource: x"
    )
    error = translated(refusal("AccessDenied", said, 403), "the queue")
    assert error.hint == "the user or role that runs this command lacks sqs:GetQueueUrl"
    assert error.exit_code is ExitCode.ACCESS_DENIED


def test_no_answer_and_no_credentials() -> None:
    gone = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    assert isinstance(translated(gone, "the queue"), Unavailable)
    assert isinstance(translated(NoCredentialsError(), "the queue"), AccessDenied)


def test_a_session_needs_an_aws_section() -> None:
    settings = parse(
        CONFIG + 'intake.webhook.token = { env = "T" }\n', path=Path("x.toml"), env={}
    ).settings
    with pytest.raises(Misconfigured, match=r"no \[aws\] section"):
        open_session(settings, {})


def test_an_emulator_is_the_endpoint_of_every_bucket() -> None:
    text = CONFIG + 'aws.endpoint = "http://127.0.0.1:4566"\n'
    settings = at_endpoint(parse(text, path=Path("x.toml"), env={}).settings)
    assert settings.source.endpoint == "http://127.0.0.1:4566"
    assert settings.destinations["paris"].endpoint == "http://127.0.0.1:4566"
