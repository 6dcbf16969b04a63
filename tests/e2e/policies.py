"""Users of the emulated AWS, who may do what a test says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tests.e2e.account import Account


@contextmanager
def user(account: Account, name: str) -> Iterator[Account]:
    """A user who may do nothing yet."""
    iam = account.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    server = replace(
        account.server, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"]
    )
    of_user = Account(server, account.directory)
    yield of_user
    of_user.close()
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_user(UserName=name)


def allow(account: Account, name: str, policy: dict[str, Any]) -> None:
    account.client("iam").put_user_policy(
        UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy)
    )
