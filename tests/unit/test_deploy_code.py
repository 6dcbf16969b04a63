"""Where the functions' code, and a long template, are kept."""

from __future__ import annotations

import boto3
import pytest

from s3fanout.adapters.store.credentials import Credentials
from s3fanout.deploy.code import CodeStore
from s3fanout.deploy.session import AwsSession


@pytest.mark.parametrize(
    ("region", "host"),
    [("us-east-1", "s3.amazonaws.com"), ("eu-west-3", "s3.eu-west-3.amazonaws.com")],
)
def test_a_template_is_read_at_the_endpoint_of_its_region(region: str, host: str) -> None:
    session = boto3.Session("AKIA", "secret", region_name=region)
    aws = AwsSession(session, Credentials("AKIA", "secret", None), region, None)
    store = CodeStore(aws, bucket="co.de", stack="s", is_ours=False)
    key = store.key_of("0f", "json")
    assert store.url_of(key) == f"https://{host}/co.de/s3fanout/s/0f.json"
