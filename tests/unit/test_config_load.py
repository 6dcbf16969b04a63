"""Layers, origins and inheritance of a configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pydantic
import pytest

from s3fanout.config.credentials import Credentials, CredentialsKind
from s3fanout.config.load import LoadedConfig, load, parse
from s3fanout.config.log import LogLevel
from s3fanout.config.problems import ConfigProblems
from s3fanout.config.rules import rules_of
from s3fanout.config.settings import Addressing, CopyMode
from s3fanout.config.values import ListenAddress
from s3fanout.model.keeping import Keeping
from s3fanout.model.rules import KeyFilter, KeyMap, Rule

LEAST = """\
schema = 1
[source]
bucket = "photos"
[destinations.paris]
bucket = "photos-paris"
[intake.webhook]
token = { env = "TOKEN" }
"""

WHOLE = """\
schema = 1
[source]
bucket = "photos"
endpoint = "HTTP://LocalHost:9000/"
region = "eu-central-1"
addressing = "path"
ca_file = "certs/ca.pem"
credentials = { profile = "prod" }
[destinations.paris]
bucket = "photos-paris"
copy = "stream"
strip_prefix = "raw/"
add_prefix = "paris/"
include = { prefixes = ["raw/"], suffixes = [".jpg"], globs = ["**/x-*.bin"] }
exclude = { prefixes = ["raw/tmp/"] }
size_min = "1B"
size_max = "5GiB"
concurrency = 4
[destinations."new.york"]
bucket = "photos-ny"
endpoint = "https://s3.example.com"
credentials = { role = "arn:aws:iam::123456789012:role/r", external_id = "e", profile = "b" }
enabled = false
[intake.webhook]
path = "/hook"
token = { file = "/run/token" }
body_max = "2MiB"
[intake.sqs]
queue_url = "https://sqs.eu-central-1.amazonaws.com/123456789012/q"
wait = "0s"
visibility = "1m30s"
[server]
listen = "[::1]:0"
[ledger]
path = "/var/lib/s3fanout.db"
[limits]
retry_base = "1s"
part_size = "64MiB"
[log]
level = "debug"
"""


def parsed(
    text: str, env: Mapping[str, str] | None = None, overrides: Mapping[str, str] | None = None
) -> LoadedConfig:
    return parse(text, path=Path("/etc/s3/c.toml"), env=env or {}, overrides=overrides or {})


def test_the_least_file_gets_the_documented_defaults() -> None:
    settings = parsed(LEAST).settings
    assert settings.source.endpoint is None
    assert settings.source.region == "us-east-1"
    assert settings.source.credentials.kind is CredentialsKind.CHAIN
    assert settings.server.listen == ListenAddress("127.0.0.1", 8480)
    assert settings.ledger.path == Path("/etc/s3/s3fanout.db")
    assert settings.intake.sqs is None
    assert settings.intake.webhook is not None
    assert settings.intake.webhook.path == "/events"
    assert settings.intake.webhook.body_max_bytes == 2**20
    limits = settings.limits
    assert (limits.concurrency, limits.attempts_max, limits.circuit_failures) == (32, 16, 5)
    assert (limits.retry_base_s, limits.retry_cap_s, limits.circuit_cap_s) == (0.5, 300.0, 60.0)
    assert (limits.request_timeout_s, limits.connect_timeout_s, limits.drain_s) == (60.0, 5.0, 20.0)
    assert (limits.part_size_bytes, limits.stream_memory_bytes) == (8 * 2**20, 128 * 2**20)
    assert settings.concurrency_of("paris") == 32


def test_every_form_of_value_is_read() -> None:
    settings = parsed(WHOLE).settings
    assert settings.source.endpoint == "http://localhost:9000"
    assert settings.source.addressing is Addressing.PATH
    assert settings.source.ca_file == Path("/etc/s3/certs/ca.pem")
    assert settings.source.credentials == Credentials(profile="prod")
    assert settings.source.credentials.kind is CredentialsKind.PROFILE
    york = settings.destinations["new.york"]
    assert york.credentials.kind is CredentialsKind.ROLE
    assert york.enabled is False
    assert settings.destinations["paris"].copy_mode is CopyMode.STREAM
    assert settings.concurrency_of("paris") == 4
    assert list(settings.enabled) == ["paris"]
    assert settings.intake.sqs is not None
    assert (settings.intake.sqs.wait_s, settings.intake.sqs.visibility_s) == (0.0, 90.0)
    assert str(settings.server.listen) == "[::1]:0"
    assert settings.server.listen.is_loopback
    assert settings.ledger.path == Path("/var/lib/s3fanout.db")
    assert settings.log.level is LogLevel.DEBUG


def test_rules_are_those_of_the_enabled_destinations() -> None:
    assert rules_of(parsed(WHOLE).settings) == (
        Rule(
            "paris",
            KeyFilter(
                include_prefixes=("raw/",),
                include_suffixes=(".jpg",),
                include_globs=("**/x-*.bin",),
                exclude_prefixes=("raw/tmp/",),
                size_bytes_min=1,
                size_bytes_max=5 * 2**30,
            ),
            KeyMap(strip_prefix="raw/", add_prefix="paris/"),
            keeping=Keeping(same_accounts=True),
        ),
    )


def test_accounts_have_the_same_ids_in_the_source_s_store_only() -> None:
    """Whatever the credentials."""
    settings = parsed(
        'schema = 1\nsource.bucket = "x"\nsource.endpoint = "https://one.example"\n'
        'intake.webhook.token = { env = "T" }\n'
        'destinations.same.bucket = "a"\n'
        'destinations.other-user = { bucket = "b", endpoint = "https://one.example" }\n'
        'destinations.elsewhere = { bucket = "c", endpoint = "https://two.example" }\n'
        'destinations.aws = { bucket = "d", endpoint = "aws" }\n'
    ).settings
    same = {rule.destination: rule.keeping.same_accounts for rule in rules_of(settings)}
    assert same == {"same": True, "other-user": True, "elsewhere": False, "aws": False}


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("", True), ('vendor = "aws"\nendpoint = "http://proxy:1"', True)]
    + [(f'endpoint = "http://{host}:1"', False) for host in ("store", "localhost")],
)
def test_what_aws_does_with_all_objects_says_nothing_of_one(endpoint: str, expected: bool) -> None:
    text = LEAST.replace("[source]", f"[source]\n{endpoint}")
    (rule,) = rules_of(parsed(text).settings)
    assert rule.keeping.source_encrypts_all is expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{}", CredentialsKind.CHAIN),
        ('{ profile = "p" }', CredentialsKind.PROFILE),
        ('{ env = "P" }', CredentialsKind.ENV),
        ('{ file = "f" }', CredentialsKind.FILE),
        ('{ role = "arn:aws-cn:iam::123456789012:role/a/b" }', CredentialsKind.ROLE),
        ('{ role = "arn:aws:iam::123456789012:role/r", profile = "p" }', CredentialsKind.ROLE),
    ],
)
def test_kinds_of_credentials(text: str, kind: CredentialsKind) -> None:
    settings = parsed(LEAST, {"S3FANOUT__SOURCE__CREDENTIALS": text}).settings
    assert settings.source.credentials.kind is kind


def test_settings_cannot_be_changed() -> None:
    loaded = parsed(LEAST)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        loaded.settings.limits.concurrency = 1
    with pytest.raises(TypeError):
        loaded.settings.destinations["x"] = loaded.settings.destinations["paris"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.settings.server.listen.port = 1  # type: ignore[misc]


def test_flag_over_environment_over_file_over_default() -> None:
    text = LEAST + "[limits]\nconcurrency = 2\nattempts_max = 2\ncircuit_failures = 2\n"
    env = {
        "S3FANOUT__LIMITS__ATTEMPTS_MAX": "3",
        "s3fanout__limits__circuit_failures": "3",
        "S3FANOUT__LOG__LEVEL": "error",
        "S3FANOUT_TOKEN": "not ours",
        "HOME": "/",
    }
    loaded = parsed(text, env, {"limits.circuit_failures": "4"})
    limits = loaded.settings.limits
    assert (limits.concurrency, limits.attempts_max, limits.circuit_failures) == (2, 3, 4)
    assert loaded.origins["limits.concurrency"] == "c.toml:9"
    assert loaded.origins["limits.attempts_max"] == "env S3FANOUT__LIMITS__ATTEMPTS_MAX"
    assert loaded.origins["limits.circuit_failures"] == "flag"
    assert loaded.origins["log.level"] == "env S3FANOUT__LOG__LEVEL"
    assert loaded.origins["log.format"] == "default"


@pytest.mark.parametrize(
    ("name", "text", "attribute", "value"),
    [
        ("ENABLED", "True", "enabled", True),
        ("COPY", "stream", "copy_mode", CopyMode.STREAM),
        ("ADD_PREFIX", "a b/", "add_prefix", "a b/"),
        ("CONCURRENCY", "7", "concurrency", 7),
        ("SIZE_MAX", "1GB", "size_max_bytes", 10**9),
        ("CREDENTIALS", '{ env = "X" }', "credentials", Credentials(env="X")),
        ("CREDENTIALS__PROFILE", "p", "credentials", Credentials(profile="p")),
    ],
)
def test_the_environment_reads_each_form(
    name: str, text: str, attribute: str, value: object
) -> None:
    settings = parsed(LEAST, {f"S3FANOUT__DESTINATIONS__PARIS__{name}": text}).settings
    assert getattr(settings.destinations["paris"], attribute) == value


def test_lists_in_the_environment_are_written_as_in_toml() -> None:
    env = {"S3FANOUT__DESTINATIONS__PARIS__INCLUDE__PREFIXES": '["a/", "b/"]'}
    assert parsed(LEAST, env).settings.destinations["paris"].include.prefixes == ("a/", "b/")


def test_a_whole_configuration_can_come_from_the_environment() -> None:
    env = {
        "S3FANOUT__SCHEMA": "1",
        "S3FANOUT__SOURCE__BUCKET": "photos",
        "S3FANOUT__DESTINATIONS__PARIS__BUCKET": "photos-paris",
        "S3FANOUT__INTAKE__WEBHOOK__TOKEN__ENV": "TOKEN",
    }
    loaded = parsed("", env)
    assert loaded.settings == parsed(LEAST).settings
    assert loaded.origins["intake.webhook.token"] == "env S3FANOUT__INTAKE__WEBHOOK__TOKEN__ENV"


def test_destinations_are_found_by_how_a_variable_can_spell_them() -> None:
    text = LEAST.replace("destinations.paris", 'destinations."Paris-1.b"')
    settings = parsed(text, {"S3FANOUT__DESTINATIONS__PARIS_1_B__REGION": "eu-west-3"}).settings
    assert settings.destinations["Paris-1.b"].region == "eu-west-3"
    assert len(settings.destinations) == 1


def test_a_flag_names_a_destination_exactly() -> None:
    text = LEAST.replace("destinations.paris", 'destinations."Paris-1.b"')
    loaded = parsed(text, overrides={'destinations."Paris-1.b".region': "eu-west-3"})
    assert loaded.settings.destinations["Paris-1.b"].region == "eu-west-3"
    assert loaded.origins['destinations."Paris-1.b".region'] == "flag"


# --- what a destination takes from the source ------------------------------------------------

SOURCE = """\
schema = 1
[source]
bucket = "photos"
endpoint = "http://store:9000"
region = "r1"
addressing = "path"
ca_file = "/ca.pem"
credentials = { profile = "p" }
[intake.webhook]
token = { env = "TOKEN" }
[destinations.to]
bucket = "copies"
"""


def test_without_endpoint_everything_is_the_sources() -> None:
    loaded = parsed(SOURCE)
    to, source = loaded.settings.destinations["to"], loaded.settings.source
    for name in ("endpoint", "region", "addressing", "ca_file", "credentials"):
        assert getattr(to, name) == getattr(source, name)
    assert loaded.origins["destinations.to.region"] == "source.region (c.toml:5)"
    assert loaded.settings.copies_on_server("to")


def test_without_endpoint_what_is_given_counts() -> None:
    settings = parsed(SOURCE + 'region = "r2"\ncredentials = { env = "OTHER" }\n').settings
    to = settings.destinations["to"]
    assert (to.endpoint, to.region, to.addressing) == ("http://store:9000", "r2", Addressing.PATH)
    assert to.ca_file == Path("/ca.pem")
    assert to.credentials == Credentials(env="OTHER")
    assert not settings.copies_on_server("to"), "other credentials may not read the source"


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [("https://other", "https://other"), ("aws", None), ("http://store:9000", "http://store:9000")],
)
def test_with_an_endpoint_a_destination_stands_alone(given: str, endpoint: str | None) -> None:
    loaded = parsed(SOURCE + f'endpoint = "{given}"\n')
    to = loaded.settings.destinations["to"]
    assert (to.endpoint, to.region, to.addressing) == (endpoint, "us-east-1", Addressing.AUTO)
    assert to.ca_file is None
    assert to.credentials.kind is CredentialsKind.CHAIN
    assert loaded.origins["destinations.to.region"] == "default"
    assert not loaded.settings.copies_on_server("to")


def test_on_aws_a_destination_needs_only_its_region() -> None:
    text = SOURCE.replace('endpoint = "http://store:9000"\n', "")
    settings = parsed(text + 'region = "r2"\n').settings
    to = settings.destinations["to"]
    assert (to.endpoint, to.region, to.credentials) == (None, "r2", Credentials(profile="p"))
    assert settings.copies_on_server("to")


def test_empty_credentials_are_the_standard_chain_and_not_the_sources() -> None:
    loaded = parsed(SOURCE + "credentials = {}\n")
    assert loaded.settings.destinations["to"].credentials.kind is CredentialsKind.CHAIN
    assert loaded.origins["destinations.to.credentials"] == "c.toml:13"


def test_an_endpoint_from_the_environment_ends_the_inheritance_too() -> None:
    env = {"S3FANOUT__DESTINATIONS__TO__ENDPOINT": "https://other"}
    assert parsed(SOURCE, env).settings.destinations["to"].region == "us-east-1"


def test_a_region_of_the_source_from_a_flag_is_inherited_with_its_origin() -> None:
    loaded = parsed(SOURCE, overrides={"source.region": "r9"})
    assert loaded.settings.destinations["to"].region == "r9"
    assert loaded.origins["destinations.to.region"] == "source.region (flag)"


def test_the_queue_takes_region_and_credentials_but_no_endpoint() -> None:
    queue = '[intake.sqs]\nqueue_url = "https://sqs.r1.amazonaws.com/1/q"\n'
    loaded = parsed(SOURCE + queue)
    sqs = loaded.settings.intake.sqs
    assert sqs is not None
    assert (sqs.endpoint, sqs.region, sqs.credentials) == (None, "r1", Credentials(profile="p"))
    assert loaded.origins["intake.sqs.region"] == "source.region (c.toml:5)"


@pytest.mark.parametrize(
    ("mode", "endpoint", "on_server"),
    [
        ("auto", "", True),
        ("stream", "", False),
        ("server", 'credentials = { env = "OTHER" }', True),
        ("auto", 'endpoint = "http://store:9000/"\ncredentials = { profile = "p" }', True),
        ("auto", 'endpoint = "http://store:9001"\ncredentials = { profile = "p" }', False),
    ],
)
def test_who_moves_the_bytes(mode: str, endpoint: str, on_server: bool) -> None:
    settings = parsed(SOURCE + f'copy = "{mode}"\n{endpoint}\n').settings
    assert settings.copies_on_server("to") is on_server


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://STORE:80/", "http://store"),
        ("https://store:443", "https://store/"),
        ("HTTPS://[::1]:9000", "https://[::1]:9000/"),
    ],
)
def test_endpoints_are_equal_whatever_their_spelling(one: str, other: str) -> None:
    def endpoint(text: str) -> str | None:
        return parsed(LEAST, {"S3FANOUT__SOURCE__ENDPOINT": text}).settings.source.endpoint

    assert endpoint(one) == endpoint(other)


# --- files -----------------------------------------------------------------------------------


def test_load_reads_a_file_with_or_without_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    for mark in (b"", b"\xef\xbb\xbf"):
        file.write_bytes(mark + LEAST.replace("\n", "\r\n").encode())
        loaded = load(file, env={})
        assert loaded.path == file
        assert loaded.settings.ledger.path == tmp_path / "s3fanout.db"
        assert loaded.origins["source.bucket"] == "c.toml:3"


def test_a_missing_file_leads_to_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path / "none.toml", env={})
    (problem,) = caught.value.problems
    assert problem.hint == "create one with: s3fanout init"
    assert "no such file" in problem.message
    assert str(problem).startswith(f"{tmp_path / 'none.toml'}: ")


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match="cannot be read: is a directory"):
        load(tmp_path, env={})


def test_text_that_is_not_utf_8_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(b'schema = 1\n# ok\nx = "\xff"\n')
    with pytest.raises(ConfigProblems) as caught:
        load(file, env={})
    assert [problem.line for problem in caught.value.problems] == [3]
