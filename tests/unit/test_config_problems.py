"""Bad configurations: everything is reported, each with its line and a way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.config.load import parse
from s3fanout.config.problems import ConfigProblems, Problem, nearest
from s3fanout.config.template import template
from s3fanout.model.errors import ExitCode, Misconfigured

GOOD = """\
schema = 1
[source]
bucket = "photos"
[destinations.paris]
bucket = "photos-paris"
[intake.webhook]
token = { env = "TOKEN" }
"""


def problems(
    text: str, env: Mapping[str, str] | None = None, overrides: Mapping[str, str] | None = None
) -> Sequence[Problem]:
    with pytest.raises(ConfigProblems) as caught:
        parse(text, path=Path("c.toml"), env=env or {}, overrides=overrides or {})
    return caught.value.problems


def report(text: str, **layers: Mapping[str, str]) -> list[str]:
    return [str(problem) for problem in problems(text, **layers)]


def test_it_is_one_of_our_errors_with_the_exit_code_of_configuration() -> None:
    with pytest.raises(Misconfigured) as caught:
        parse("", path=Path("c.toml"), env={})
    assert caught.value.exit_code is ExitCode.CONFIGURATION
    assert isinstance(caught.value, ConfigProblems)


def test_everything_at_once_each_with_line_and_hint() -> None:
    text = """\
schema = 1
[source]
bucket = "photos"
[destinations.paris]
buckt = "photos-paris"
copy = "sever"
concurrency = "many"
size_max = 5
[limits]
retry_base = "10m"
[limitz]
x = 1
[intake.webhook]
token = { env = "TOKEN" }
body_max = "-1MiB"
"""
    assert report(text) == [
        'c.toml:4: destinations.paris.bucket: required; add bucket = "photos"',
        "c.toml:5: destinations.paris.buckt: unknown setting; did you mean 'bucket'?",
        (
            "c.toml:6: destinations.paris.copy: 'sever' is not one of 'auto', 'server', 'stream'; "
            "did you mean 'server'?"
        ),
        "c.toml:7: destinations.paris.concurrency: expected a whole number, not a text",
        (
            'c.toml:8: destinations.paris.size_max: expected a size such as "512KiB", "8MiB", '
            '"5GiB" or "1GB", not the bare number 5'
        ),
        "c.toml:10: limits.retry_cap: 5m is less than retry_base = 10m",
        "c.toml:11: limitz: unknown section; did you mean 'limits'?",
        (
            'c.toml:15: intake.webhook.body_max: expected a size such as "512KiB", "8MiB", "5GiB" '
            'or "1GB"'
        ),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("schema = \n", 1, "not valid TOML: invalid value"),
        ("schema = 1\n[source\n", 2, "not valid TOML: expected ']' at the end of a table decl"),
        ('schema = 1\n\nx = "abc\n', 3, "not valid TOML: illegal character"),
        ("a = 1\na = 2\n", 2, "not valid TOML: cannot overwrite a value"),
        ("[a]\n[b]\n[a]\n", 3, "not valid TOML: cannot declare ('a',) twice"),
        ('a = """\n\n', 3, "not valid TOML: unterminated string at the end of the file"),
        ("x = " + "9" * 5000, None, "not valid TOML: exceeds the limit"),
        ("x = " + "[" * 5000, None, "not valid TOML: nested too deeply"),
    ],
)
def test_broken_toml(text: str, line: int | None, message: str) -> None:
    (problem,) = problems(text)
    assert problem.message.startswith(message)
    assert problem.line == line


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("source.bucket", "5", "expected text, not a number"),
        ("source.bucket", '""', "must not be empty"),
        ("source.bucket", '"a/b"', "not a bucket name"),
        ("source.bucket", '"bücket"', "not a bucket name"),
        ("source.bucket", '"a\\u0007b"', "not a bucket name"),
        ("source.bucket", f'"{"x" * 256}"', "not a bucket name"),
        ("source.region", '" "', "must not be empty"),
        ("source.endpoint", '"localhost:9000"', "must be a URL that starts with http"),
        ("source.endpoint", '"ftp://x"', "must be a URL that starts with http"),
        ("source.endpoint", '"http://"', "must be a URL that starts with http"),
        ("source.endpoint", '"http://x:99999"', "not a valid URL"),
        ("source.endpoint", '"http://x/bucket"', "must not contain a path"),
        ("source.endpoint", '"http://x?y"', "must not contain ? or #"),
        ("source.endpoint", '"http://a b"', "not a valid URL"),
        ("source.endpoint", "true", "expected text, not a true/false value"),
        ("source.addressing", '"host"', "'host' is not one of 'auto', 'path', 'virtual'"),
        ("source.addressing", "1", "expected one of 'auto', 'path', 'virtual', not a number"),
        ("source.ca_file", "1", "expected text"),
        ("source.ca_file", '""', "must be a path"),
        ("source.credentials", '"AKIA"', "expected a table, not a text"),
        ("source.credentials", '{ env = "A", file = "b" }', "exactly one kind of credentials"),
        ("source.credentials", '{ role = "r" }', "must be the ARN of a role"),
        ("source.credentials", '{ external_id = "r" }', "external_id has a meaning only"),
        ("source.credentials", '{ env = "A-B" }', "must be the name of an environment variable"),
        ("destinations.paris.include", '["a"]', "expected a table, not a list"),
        ("destinations.paris.include.globs", '["a["]', "glob has a [ without its ]"),
        ("destinations.paris.include.globs", '["[z-a]"]', "not a glob"),
        ("destinations.paris.include.prefixes", '"raw/"', "expected a list, not a text"),
        ("destinations.paris.include.prefixes", '["a", 5]', "expected text, not a number"),
        ("destinations.paris.enabled", '"yes"', "expected true or false, not a text"),
        ("destinations.paris.enabled", "1", "expected true or false, not a number"),
        ("destinations.paris.concurrency", "0", "must be between 1 and 10000"),
        ("destinations.paris.concurrency", "1.0", "expected a whole number, not a number"),
        ("destinations.paris.concurrency", "true", "expected a whole number, not a true/false"),
        ("destinations.paris.size_min", '"-1B"', "expected a size"),
        ("destinations.paris.size_min", "0", "expected a size"),
        ("destinations.paris.add_prefix", f'"{"x" * 1025}"', "string should have at most 1024"),
        ("limits.part_size", '"0B"', "must be between 1B and 5GiB"),
        ("limits.part_size", '"6GiB"', "must be between 1B and 5GiB"),
        ("limits.retry_base", '"0s"', "must be between 1ms and 1h"),
        ("limits.drain", "30", "expected a duration"),
        ("limits.drain", '"-3s"', "expected a duration"),
        ("limits.drain", "1979-05-27", "expected a duration"),
        ("limits.attempts_max", "-1", "must be between 1 and 1000"),
        ("intake.webhook.path", '"events"', "must start with /"),
        ("intake.webhook.token", "{}", "exactly one of"),
        ("intake.webhook.token", '{ env = "A", file = "b" }', "exactly one of"),
        ("intake.sqs", '{ queue_url = "https://sqs.x" }', "must be the whole URL of the queue"),
        ("source.region", '"a\\u0000b"', "must not contain control characters"),
        ("source.ca_file", '"a\\u0000b"', "must be a path"),
        ("limits.drain", "[1]", "expected a duration"),
        ("server.listen", '"8480"', 'expected "host:port"'),
        ("server.listen", '"x:65536"', 'expected "host:port"'),
        ("server.listen", '":80"', 'expected "host:port"'),
        ("ledger", '"x.db"', "expected a table, not a text"),
        ("destinations", "[]", "expected a table, not a list"),
        ("log.level", '"warn"', "'warn' is not one of"),
        ("schema", "0", "must be 1"),
        ("schema", "true", "expected a whole number, not a true/false value"),
        ("schema", '"1"', "expected a whole number, not a text"),
    ],
)
def test_wrong_values(setting: str, value: str, message: str) -> None:
    """Written as dotted keys, the only problem is the one on the line of the setting."""
    lines = {
        "schema": "1",
        "source.bucket": '"photos"',
        "destinations.paris.bucket": '"photos-paris"',
        "intake.webhook.token": '{ env = "TOKEN" }',
    }
    if setting == "destinations":
        del lines["destinations.paris.bucket"]
    lines[setting] = value
    text = "".join(f"{name} = {each}\n" for name, each in lines.items())
    (problem,) = problems(text)
    assert problem.message.startswith(message)
    assert problem.path.startswith(setting)
    assert problem.line == list(lines).index(setting) + 1


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("[sourze]", "did you mean 'source'?"),
        ("[intake.webhok]", "did you mean 'webhook'?"),
        ("[intake.sqs]\nqueue_ulr = 1", "did you mean 'queue_url'?"),
        ("[log]\nLEVEL = 'info'", "did you mean 'level'?"),
        ("[log]\nattempts_max = 1", "did you mean 'limits.attempts_max'?"),
        ("[destinations.a.exclude]\nprefix = []", "did you mean 'prefixes'?"),
    ],
)
def test_unknown_names_lead_to_the_nearest(line: str, hint: str) -> None:
    assert hint in [problem.hint for problem in problems(GOOD + line + "\n")]


@pytest.mark.parametrize("name", ["pärís", "", "-a", "a/b", "a b", "💥", "x" * 64])
def test_names_that_no_destination_can_have(name: str) -> None:
    (problem,) = problems(GOOD + f'[destinations."{name}"]\nbucket = "x-x"\n')
    assert problem.message.startswith("not a destination name")
    assert problem.line == 8


@pytest.mark.parametrize("name", ["a", "0", "A.b-c_d", "x" * 63])
def test_names_that_a_destination_can_have(name: str) -> None:
    text = GOOD + f'[destinations."{name}"]\nbucket = "x-x"\n'
    loaded = parse(text, path=Path("c.toml"), env={})
    assert list(loaded.settings.destinations) == ["paris", name]


def test_what_is_missing_is_reported_where_it_belongs() -> None:
    assert report("") == [
        "c.toml: schema: required; add schema = 1",
        "c.toml: source: this section is required; add [source]",
    ]
    assert report("schema = 1\n\n[source]\n[intake.webhook]\n") == [
        'c.toml:3: source.bucket: required; add bucket = "photos"',
        'c.toml:4: intake.webhook.token: required; add token = { env = "S3FANOUT_TOKEN" }',
    ]


def test_a_newer_schema_is_the_only_problem() -> None:
    text = GOOD.replace("schema = 1", "schema = 2") + "[new]\n"
    assert report(text) == [
        "c.toml:1: schema: 2 is newer than this program, which knows 1; upgrade s3fanout"
    ]


def test_problems_of_the_source_are_not_repeated_for_who_inherits() -> None:
    text = GOOD.replace('"photos"\n', '"photos"\nregion = 5\ncredentials = { x = 1 }\n', 1)
    assert [problem.path for problem in problems(text)] == ["source.region", "source.credentials.x"]


def test_relations_of_what_is_right_are_checked_beside_what_is_wrong() -> None:
    text = GOOD.replace('"photos"\n', '"photos"\nregion = 5\n', 1)
    assert [problem.path for problem in problems(text + '[limits]\nretry_cap = "1ms"\n')] == [
        "source.region",
        "limits.retry_cap",
    ]


def test_relations_are_not_guessed_where_something_is_wrong() -> None:
    """Without its misspelled endpoint the destination would look like a loop."""
    text = GOOD.replace('"photos-paris"', '"photos"\nendpoimt = "https://elsewhere"')
    assert [problem.path for problem in problems(text)] == ["destinations.paris.endpoimt"]


def test_problems_of_the_environment_and_of_flags_name_their_origin() -> None:
    env = {
        "S3FANOUT__LIMITS__DRAINS": "3s",
        "S3FANOUT__LIMITS__CONCURRENCY": "many",
        "S3FANOUT__LOG__LEVEL": "inf",
        "S3FANOUT__SOURCE__BUCKET__X": "1",
        "S3FANOUT__": "1",
        "S3FANOUT__LOG": "info",
    }
    flags = {"limits.draim": "1s", "a b": "c", "limits.retry_base": "6m"}
    assert sorted(report(GOOD, env=env, overrides=flags)) == [
        'env S3FANOUT__: "": unknown setting',
        (
            "env S3FANOUT__LIMITS__CONCURRENCY: limits.concurrency: "
            "expected a number as TOML writes it"
        ),
        "env S3FANOUT__LIMITS__DRAINS: limits.drains: unknown setting; did you mean 'drain'?",
        "env S3FANOUT__LOG: log: expected a section as TOML writes it",
        (
            "env S3FANOUT__LOG__LEVEL: log.level: 'inf' is not one of "
            "'debug', 'info', 'warning', 'error'; did you mean 'info'?"
        ),
        "env S3FANOUT__SOURCE__BUCKET__X: source.bucket.x: unknown setting",
        "flag: a b: not a dotted name: 'a b'",
        "flag: limits.draim: unknown setting; did you mean 'drain'?",
        "flag: limits.retry_cap: 5m is less than retry_base = 6m",
    ]


def test_a_variable_cannot_set_what_is_below_a_text() -> None:
    lines = report("limits = 5\n" + GOOD, env={"S3FANOUT__LIMITS__DRAIN": "1s"})
    assert lines == [
        "c.toml:1: limits: expected a table, not a number",
        "env S3FANOUT__LIMITS__DRAIN: limits.drain: limits is not a table",
    ]


def test_a_variable_that_fits_two_destinations_is_refused() -> None:
    text = GOOD + '[destinations.Paris]\nbucket = "x-x"\n'
    (line,) = report(text, env={"S3FANOUT__DESTINATIONS__PARIS__REGION": "r"})
    assert "the name fits the destinations paris and Paris" in line


def test_two_variables_for_one_setting_are_refused() -> None:
    env = {"S3FANOUT__LOG__LEVEL": "info", "S3FANOUT__log__LEVEL": "debug"}
    assert report(GOOD, env=env) == [
        "env S3FANOUT__log__LEVEL: log.level: also set by env S3FANOUT__LOG__LEVEL"
    ]


def test_a_variable_cannot_smuggle_in_more_settings() -> None:
    env = {"S3FANOUT__LIMITS__CONCURRENCY": "1\nother = 2"}
    (line,) = report(GOOD, env=env)
    assert line.endswith("limits.concurrency: expected a number as TOML writes it")


def test_no_secret_that_was_written_by_mistake_is_repeated() -> None:
    """Not in the report, and not in the chain of exceptions that a traceback would show."""
    text = """\
schema = 1
[source]
bucket = "photos"
endpoint = "https://me:hunter2@store"
credentials = { env = "hunter2 secret", secret_access_key = "hunter2", profile = 2 }
[destinations.paris]
bucket = "x-x"
credentials = "hunter2"
[intake.webhook]
token = "hunter2"
[intake.sqs]
queue_url = "https://me:hunter2@sqs/1/q"
"""
    env = {
        "S3FANOUT__DESTINATIONS__ROME__CREDENTIALS": "hunter2",
        "S3FANOUT__INTAKE__SQS__CREDENTIALS__SECRET": "hunter2",
    }
    with pytest.raises(ConfigProblems) as caught:
        parse(text, path=Path("c.toml"), env=env)
    assert len(caught.value.problems) >= 9
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.problems)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_secrets_in_the_file_are_answered_with_references() -> None:
    text = GOOD.replace("{ env", '{ secret = "x", env')
    (problem,) = problems(text)
    assert problem.hint == (
        'a token is never written here; refer to it, as in { env = "S3FANOUT_TOKEN" }'
    )


@given(st.data())
def test_whatever_is_cut_out_of_a_file_is_answered_with_problems_or_settings(
    data: st.DataObject,
) -> None:
    """No text leads to an error of another kind, and every problem can be printed."""
    text = "\n".join(line.removeprefix("#") for line in template().split("\n") if "=" in line)
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 40))
    put_in = data.draw(st.text(st.sampled_from('ab.="{}[]\n#0é '), max_size=6))
    try:
        parse(text[:start] + put_in + text[start + length :], path=Path("c.toml"), env={})
    except ConfigProblems as error:
        assert all(str(problem).startswith("c.toml") for problem in error.problems)  # noqa: PT017


@pytest.mark.parametrize(
    ("name", "meant"), [("buckt", "bucket"), ("BUCKET", "bucket"), ("zzz", None), ("", None)]
)
def test_nearest(name: str, meant: str | None) -> None:
    assert nearest(name, ["bucket", "region"]) == meant
