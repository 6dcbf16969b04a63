"""The person who deploys needs what ``plan`` prints, and no more: on AWS with IAM enforced.

The emulator's CloudFormation acts with its caller's permissions here, as AWS's does. What each
resource needs is in ``tests/servers/stack_permissions.py``, and was not taken from our code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from s3fanout.deploy.apply import BODY_BYTES_MAX
from s3fanout.model.errors import S3FanoutError
from tests.e2e.account import Account
from tests.e2e.policies import allow, user
from tests.servers.server import Server

pytestmark = pytest.mark.stores

POLICY_CHARACTERS_MAX = 6144
"""Of a managed policy, white space not counted (IAM user guide, "IAM and STS quotas")."""


@pytest.fixture
def account(aws: Server, tmp_path: Path) -> Iterator[Account]:
    account = Account(aws, tmp_path)
    yield account
    account.close()


@pytest.fixture
def name(account: Account, bucket_name: Callable[[str], str]) -> str:
    name = bucket_name("deployer")
    for bucket in (name, f"{name}-a", f"{name}-b", f"{name}-code"):
        account.create_bucket(bucket)
    return name


CONFIGURATIONS = {
    "durable": 'aws.topology = "durable"\naws.kms_key = "new"\n',
    "eventbridge": 'aws.topology = "durable"\naws.event_route = "eventbridge"\n'
    'aws.alarm_email = "a@example.com"\naws.code_bucket = "{name}-code"\n',
    "classic": 'aws.topology = "classic"\n',
}


def text_of(of: str, name: str) -> str:
    one = f'source.bucket = "{name}"\ndestinations.a.bucket = "{name}-a"\n'
    return one + CONFIGURATIONS[of].format(name=name)


@pytest.mark.parametrize("of", CONFIGURATIONS)
def test_what_plan_prints_is_enough_to_deploy_validate_add_change_and_destroy(
    account: Account, name: str, of: str
) -> None:
    text = text_of(of, name)
    account.configuration(text)
    before = account.inventory()
    policy = account.run_json("plan")["needs_policy"]
    assert len(json.dumps(policy, separators=(",", ":"))) <= POLICY_CHARACTERS_MAX
    with user(account, name) as deployer:
        allow(account, name, policy)
        assert deployer.run_json("deploy", "--yes")["stack_changed"]
        assert deployer.run_json("validate")["ok"]

        changed = 'aws.memory = "1GiB"\naws.log_retention = "7d"\n'
        account.configuration(f'{text}destinations.b.bucket = "{name}-b"\n{changed}')
        allow(account, name, deployer.run_json("plan")["needs_policy"])
        deployer.run("deploy", "--yes")
        validation = deployer.run_json("validate")
        assert validation["ok"], validation
        assert {each["name"] for each in validation["destinations"]} == {"a", "b"}

        account.configuration(text)
        allow(account, name, deployer.run_json("plan")["needs_policy"])
        deployer.run("deploy", "--yes")
        deployer.run("destroy", "--yes")
    assert account.inventory() == before


def test_without_any_one_statement_deploy_or_validate_fails_and_names_what_is_missing(
    account: Account, name: str
) -> None:
    account.configuration(f'{text_of("eventbridge", name)}aws.kms_key = "new"\n')
    before = account.inventory()
    policy = account.run_json("plan")["needs_policy"]
    with user(account, name) as deployer:
        for statement in policy["Statement"]:
            rest = [each for each in policy["Statement"] if each is not statement]
            allow(account, name, {**policy, "Statement": rest})
            said = refusal_of_deploy_or_validate(deployer)
            assert any(action in said for action in statement["Action"]), (statement, said)
            account.run("destroy", "--yes")
    assert account.inventory() == before


def test_a_template_too_long_for_a_request_goes_by_the_bucket_of_the_code(
    account: Account, name: str
) -> None:
    """Six destinations are enough for that; as the user of the policy, who must read it there."""
    destinations = [f"d{n}" for n in range(6)]
    for each in destinations:
        account.create_bucket(f"{name}-{each}")
    account.configuration(
        f'source.bucket = "{name}"\naws.topology = "durable"\naws.code_bucket = "{name}-code"\n'
        + "".join(f'destinations.{each}.bucket = "{name}-{each}"\n' for each in destinations)
    )
    account.client("s3").put_object(Bucket=f"{name}-code", Key="of/others", Body=b"x")
    before = account.inventory()
    with user(account, name) as deployer:
        allow(account, name, account.run_json("plan")["needs_policy"])
        deployer.run("deploy", "--yes")
        kept = account.keys(f"{name}-code")
        (template,) = [key for key in kept if key.endswith(".json")]
        assert len(account.content(f"{name}-code", template)) > BODY_BYTES_MAX
        assert not deployer.run_json("deploy", "--yes")["stack_changed"]
        assert account.keys(f"{name}-code") == kept
        deployer.run("destroy", "--yes")
    assert account.inventory() == before
    assert account.keys(f"{name}-code") == {"of/others"}


def refusal_of_deploy_or_validate(deployer: Account) -> str:
    try:
        deployer.run("deploy", "--yes")
        return deployer.run("validate", "--timeout", "10s")
    except S3FanoutError as error:
        return f"{error.message}\n{error.hint}"
