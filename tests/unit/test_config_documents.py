"""What is made from the models: template, reference, explanation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from s3fanout.config.catalogue import catalogue, find, toml_text
from s3fanout.config.explain import explain, to_json
from s3fanout.config.load import LoadedConfig, parse
from s3fanout.config.reference import reference_markdown
from s3fanout.config.template import template
from s3fanout.config.values import Form

REFERENCE = Path(__file__).parents[2] / "docs" / "configuration.md"


def parsed(text: str, **env: str) -> LoadedConfig:
    return parse(text, path=Path("/etc/s3/c.toml"), env=env)


def uncommented(*, aws: bool = False) -> str:
    return re.sub(r"^#(?=[a-z])", "", template(aws=aws), flags=re.MULTILINE)


@pytest.mark.parametrize("aws", [False, True])
def test_the_template_is_a_working_configuration_of_few_lines(aws: bool) -> None:
    loaded = parsed(template(aws=aws))
    assert loaded.warnings == ()
    assert list(loaded.settings.destinations) == ["replica"]
    assert (loaded.settings.aws is not None) == aws
    lines = template(aws=aws).splitlines()
    first_off = next(at for at, line in enumerate(lines) if re.match("#[a-z]", line))
    settings = [at for at, line in enumerate(lines) if line and not line.startswith("#")]
    assert settings
    assert max(settings) < 10 < first_off


def test_the_template_with_everything_uncommented_works() -> None:
    unset = []
    for aws in (False, True):
        loaded = parsed(uncommented(aws=aws))
        assert loaded.warnings == ()
        unset.append({path for path, origin in loaded.origins.items() if origin == "default"})
    assert unset[0] & unset[1] == set(), "the templates leave no setting out"
    of_deployments = {"aws", "source.kms_key", "destinations.replica.account"}
    assert unset[0] == of_deployments, "nor does the daemon's leave out one that a daemon uses"


def test_the_templates_values_are_the_defaults_where_there_are_any() -> None:
    as_is, everything = parsed(template()), parsed(uncommented())
    assert everything.settings.limits == as_is.settings.limits
    assert everything.settings.log == as_is.settings.log
    assert everything.settings.server == as_is.settings.server
    assert everything.settings.ledger == as_is.settings.ledger


_OFF = [
    (aws, line)
    for aws in (False, True)
    for line in template(aws=aws).splitlines()
    if re.match("#[a-z]", line) and not line.startswith("#intake.sqs")
]


@pytest.mark.parametrize(("aws", "line"), _OFF)
def test_any_single_setting_of_the_template_can_be_uncommented(aws: bool, line: str) -> None:
    """But those of the queue: it is on only with its URL."""
    name = line[1:].partition(" = ")[0]
    loaded = parsed(template(aws=aws).replace(f"\n{line}\n", f"\n{line[1:]}\n"))
    assert loaded.origins[re.sub(r"(credentials)\..*", r"\1", name)].startswith("c.toml:")


def test_no_line_of_the_template_is_long() -> None:
    assert max(len(line) for line in template().splitlines()) <= 100


def test_the_reference_on_disk_is_the_one_of_the_models() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference_markdown()


def test_the_reference_has_every_setting_and_section() -> None:
    page = reference_markdown()
    for path, node in catalogue().walk():
        if node.form is not Form.SECTION:
            assert f"| `{path[-1]}` |" in page
            assert node.help.replace("|", "\\|") in page
        elif node.has_settings:
            assert f"### `[{'.'.join(path).replace('*', 'NAME')}]`" in page


def test_the_reference_shows_a_configuration_that_works() -> None:
    examples = re.findall(r"```toml\n(.*?)```", reference_markdown(), re.DOTALL)
    assert examples
    assert [parsed(example).warnings for example in examples] == [()]


def test_every_setting_has_one_sentence_of_help() -> None:
    for path, node in catalogue().walk():
        assert re.fullmatch(r"[^.](.*[^.])?\.", node.help), path
        assert not re.search(r"\.\s", node.help), path


def test_every_example_is_valid_toml_of_its_form() -> None:
    for path, node in catalogue().walk():
        if node.form is Form.SECTION:
            continue
        assert node.example or node.default not in (None, ()), path


def test_find_knows_settings_sections_and_the_insides_of_tables() -> None:
    def form(*path: str | int) -> Form | None:
        node = find(path)
        return None if node is None else node.form

    assert form("source", "credentials", "env") is Form.TEXT
    assert form("destinations", "any", "include", "globs", 3) is Form.LIST
    assert form("destinations", "any") is Form.SECTION
    assert form("limits", "part_size") is Form.SIZE
    assert form("limits", "nothing") is None
    assert form("limits", "nothing", "below") is None


def test_explain_shows_every_setting_with_value_origin_and_help() -> None:
    text = """\
schema = 1
[source]
bucket = "photos"
credentials = { env = "PROD" }
[destinations."new.york"]
bucket = "photos-ny"
include = { prefixes = ["a\\n", "é"] }
size_max = "1536MiB"
[intake.webhook]
token = { env = "S3FANOUT_TOKEN" }
[limits]
drain = "90s"
"""
    values = {each.path: each for each in explain(parsed(text, S3FANOUT__LIMITS__ATTEMPTS_MAX="3"))}
    shown = {path: (each.value_text, each.origin) for path, each in values.items()}
    ny = 'destinations."new.york"'
    assert shown["schema"] == ("1", "c.toml:1")
    assert shown["source.endpoint"] == ('"aws"', "default")
    assert shown["source.ca_file"] == ("(not set)", "default")
    assert shown["source.credentials"] == ('{ env = "PROD" }', "c.toml:4")
    assert shown[f"{ny}.credentials"] == ('{ env = "PROD" }', "source.credentials (c.toml:4)")
    assert shown[f"{ny}.include.prefixes"] == ('["a\\n", "é"]', "c.toml:7")
    assert shown[f"{ny}.include.globs"] == ("[]", "default")
    assert shown[f"{ny}.size_max"] == ('"1536MiB"', "c.toml:8")
    assert shown[f"{ny}.enabled"] == ("true", "default")
    assert shown["intake.webhook.token"] == ('{ env = "S3FANOUT_TOKEN" }', "c.toml:10")
    assert shown["intake.sqs"] == ("(off)", "default")
    assert shown["server.listen"] == ('"127.0.0.1:8480"', "default")
    assert shown["ledger.path"] == ('"/etc/s3/s3fanout.db"', "default")
    assert shown["limits.drain"] == ('"1m30s"', "c.toml:12")
    assert shown["limits.attempts_max"] == ("3", "env S3FANOUT__LIMITS__ATTEMPTS_MAX")
    assert all(each.help for each in values.values())


def test_what_explain_shows_can_be_written_into_a_file() -> None:
    """The explanation of a configuration, as a configuration, is the same one."""
    loaded = parsed(uncommented())
    shown = [each for each in explain(loaded) if not each.value_text.startswith("(")]
    text = "".join(f"{each.path} = {each.value_text}\n" for each in shown)
    assert parsed(text).settings == loaded.settings


def test_the_explanation_as_json() -> None:
    document = json.loads(json.dumps(to_json(explain(parsed(template())))))
    assert (document["schema_version"], document["kind"]) == (1, "config")
    settings = {each["path"]: each for each in document["settings"]}
    assert settings["source.bucket"] == {
        "path": "source.bucket",
        "value": '"photos"',
        "origin": "c.toml:4",
        "help": "Name of the bucket.",
    }
    assert settings["intake.sqs"]["value"] is None


def test_control_characters_are_escaped_as_toml_wants_it() -> None:
    assert toml_text('a\x7f"\\\n', Form.TEXT) == '"a\\u007f\\"\\\\\\n"'
