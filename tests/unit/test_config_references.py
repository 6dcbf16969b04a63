"""Variables and files that a configuration refers to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from s3fanout.config.credentials import SecretReference
from s3fanout.config.load import LoadedConfig, located, parse
from s3fanout.config.references import check_references, read_secret
from s3fanout.model.errors import Misconfigured

TEXT = """\
schema = 1
[source]
bucket = "photos"
endpoint = "https://store"
ca_file = "ca.pem"
credentials = { env = "PROD" }
[destinations.paris]
bucket = "photos-paris"
[destinations.rome]
bucket = "photos-rome"
credentials = { file = "rome.json" }
[destinations.bern]
bucket = "photos-bern"
endpoint = "https://bern"
ca_file = "bern.pem"
[destinations.oslo]
bucket = "photos-oslo"
enabled = false
credentials = { file = "oslo.json" }
[intake.webhook]
token = { env = "TOKEN" }
[intake.sqs]
queue_url = "https://sqs.x/1/q"
credentials = { env = "QUEUE" }
"""


def loaded_from(directory: Path) -> LoadedConfig:
    return parse(TEXT, path=directory / "c.toml", env={})


def test_all_that_leads_nowhere_is_named_once(tmp_path: Path) -> None:
    loaded = loaded_from(tmp_path)
    env = {"QUEUE_ACCESS_KEY_ID": "k", "QUEUE_SECRET_ACCESS_KEY": " ", "TOKEN": ""}
    problems = located(loaded, check_references(loaded.settings, env))
    assert [str(problem) for problem in problems] == [
        (
            f"c.toml:5: source.ca_file: the file {tmp_path}/ca.pem cannot be read: "
            "no such file or directory"
        ),
        (
            "c.toml:6: source.credentials: the environment variable PROD_ACCESS_KEY_ID is not set; "
            "export PROD_ACCESS_KEY_ID=…"
        ),
        (
            "c.toml:6: source.credentials: the environment variable PROD_SECRET_ACCESS_KEY is not "
            "set; export PROD_SECRET_ACCESS_KEY=…"
        ),
        (
            f"c.toml:11: destinations.rome.credentials: the file {tmp_path}/rome.json cannot be "
            "read: no such file or directory"
        ),
        (
            f"c.toml:15: destinations.bern.ca_file: the file {tmp_path}/bern.pem cannot be read: "
            "no such file or directory"
        ),
        (
            "c.toml:24: intake.sqs.credentials: the environment variable "
            "QUEUE_SECRET_ACCESS_KEY is empty; export QUEUE_SECRET_ACCESS_KEY=…"
        ),
        "c.toml:21: intake.webhook.token: the environment variable TOKEN is empty; export TOKEN=…",
    ]


def test_nothing_is_wrong_when_all_is_there(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("pem")
    (tmp_path / "bern.pem").write_text("pem")
    (tmp_path / "rome.json").write_text("{}")
    names = ("PROD_ACCESS_KEY_ID", "PROD_SECRET_ACCESS_KEY", "TOKEN")
    env = dict.fromkeys((*names, "QUEUE_ACCESS_KEY_ID", "QUEUE_SECRET_ACCESS_KEY"), "x")
    assert check_references(loaded_from(tmp_path).settings, env) == []


@pytest.mark.parametrize(("content", "secret"), [("s", "s"), ("s\n", "s"), ("s \r\n", "s ")])
def test_a_secret_is_read_from_a_file_without_its_line_end(
    tmp_path: Path, content: str, secret: str
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content.encode())
    assert read_secret(SecretReference(file=file), {}) == secret


def test_a_secret_is_read_from_the_environment() -> None:
    assert read_secret(SecretReference(env="TOKEN"), {"TOKEN": "s"}) == "s"


@pytest.mark.parametrize("content", [b"", b"\n", b" \n", b"\xff"])
def test_a_file_without_text_is_no_secret(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(Misconfigured, match="holds no text"):
        read_secret(SecretReference(file=file), {})


@pytest.mark.parametrize("env", [{}, {"TOKEN": ""}])
def test_a_variable_without_text_is_no_secret(env: Mapping[str, str]) -> None:
    with pytest.raises(Misconfigured, match="environment variable TOKEN is"):
        read_secret(SecretReference(env="TOKEN"), env)


def test_a_secret_that_cannot_be_read_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_secret(SecretReference(file=tmp_path), {})


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (None, "the environment variable KEY is not set"),
        ("c2hvcnQ=", "is not 256 bits as base64"),
        ("no base64 !", "is not 256 bits as base64"),
        ("QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\n", ""),
    ],
)
def test_a_customers_key_must_be_one_and_is_never_shown(
    tmp_path: Path, key: str | None, message: str
) -> None:
    text = """\
schema = 1
source = { bucket = "photos", customer_key = { env = "KEY" } }
destinations.paris.bucket = "photos-paris"
intake.sqs.queue_url = "https://sqs.x/1/q"
"""
    settings = parse(text, path=tmp_path / "c.toml", env={}).settings
    problems = check_references(settings, {} if key is None else {"KEY": key})
    assert [(each.path, each.message) for each in problems] == (
        [("source.customer_key", message)] if message else []
    )
    assert key is None or key not in repr(settings)
