"""``docs/configuration.md``, made from the models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from s3fanout.config.catalogue import ANY_NAME, Node, catalogue, toml_text
from s3fanout.config.layers import ENV_PREFIX
from s3fanout.config.settings import SCHEMA
from s3fanout.config.values import AWS, Form

_HEAD: Final = f"""\
# Configuration

<!-- Generated from the settings models by s3fanout.config.reference; do not edit. -->

One TOML file, `schema = {SCHEMA}`. `s3fanout init` writes one with every setting in it. The
least that works:

```toml
schema = {SCHEMA}

[source]
bucket = "photos"

[destinations.paris]
bucket = "photos-paris"

[intake.webhook]
token = {{ env = "S3FANOUT_TOKEN" }}
```

Everything that is wrong is reported at once, with its line and the name that was probably meant;
the exit code is then 5. Warnings stop nothing.

## Which value counts

Flags are stronger than the environment, the environment than the file, the file than the default.
`s3fanout config explain` shows every value and where it came from.

- **Environment:** `{ENV_PREFIX}LIMITS__CONCURRENCY=64` sets `limits.concurrency`; two underscores
  stand for the dot, in any case. Destinations are named in the same way:
  `{ENV_PREFIX}DESTINATIONS__PARIS__BUCKET`; a name's `-`, `.` and capitals are written `_` and as
  you like. A destination that the file does not have is added, its name in lower case.
- **Flags** take dotted names: `limits.concurrency=64`, `destinations."a.b".bucket=x`.
- Texts, choices, sizes and durations are written there without quotes. Numbers, `true` and
  `false`, lists and tables are written as in the file: `["raw/"]`, `{{ profile = "prod" }}`.

## Durations and sizes

- Durations have units, largest first: `d h m s ms`, as in `"30s"`, `"500ms"`, `"1m30s"`.
- Sizes have one unit: `B KB MB GB TB` (powers of 1000) or `KiB MiB GiB TiB` (powers of 1024).
- Numbers are whole. A bare number is refused, `0` too: write `"0s"` or `"0B"`.

Paths are relative to the directory of the configuration file.

## What a destination takes from the source

- **A destination without `endpoint` is in the source's store.** What it leaves out of `endpoint`,
  `region`, `addressing`, `ca_file` and `credentials` is the source's; what it gives counts. So on
  AWS a destination in another region needs only its `region`.
- **A destination with `endpoint` stands alone.** Nothing is taken from the source; what it leaves
  out is the default below. `endpoint = "aws"` is AWS, for a source that is elsewhere.
- `credentials = {{}}` is the standard AWS chain, where the source's credentials are not wanted.
- `[intake.sqs]` takes `region` and `credentials` from the source, never the endpoint.

A store copies by itself (`copy = "auto"`) where a destination's endpoint and credentials are equal
to the source's.

## Credentials and secrets

Secrets are never in the file, only where to find them; exactly one kind:

- `credentials` left out, or `{{}}`: the standard AWS chain (environment, shared files, container,
  instance).
- `{{ profile = "prod" }}`: a profile of the shared AWS files.
- `{{ env = "PROD" }}`: the variables `PROD_ACCESS_KEY_ID`, `PROD_SECRET_ACCESS_KEY` and, if set,
  `PROD_SESSION_TOKEN`.
- `{{ role = "arn:…", external_id = "…", profile = "base" }}`: a role to assume; `external_id` if
  the role asks for it, `profile` if it is not the standard chain that assumes it.
- `{{ file = "/run/secrets/s3.json" }}`: a JSON object with `AccessKeyId`, `SecretAccessKey` and, if
  there is one, `SessionToken`.

The webhook's token is `{{ env = "NAME" }}` or `{{ file = "PATH" }}`. Variables and files are
looked at when s3fanout runs, not when the configuration is explained.

## Settings
"""
_SECTION_NOTES: Final[Mapping[str, str]] = {
    "destinations.NAME": "Any number. Names: 1 to 63 of `A-Z a-z 0-9 _ . -`, the first a letter or "
    "a digit; they appear in the ledger, in metrics and in logs.",
    "intake.webhook": "On if the section is there.",
    "intake.sqs": "On if the section is there.",
    "intake.sweep": "On if the section is there. What it costs, and how late it can be: "
    "[verify.md](verify.md#reconcile-and-the-sweep).",
    "aws": "On if the section is there: [aws.md](aws.md).",
}
_TAIL: Final = """
## What is checked beyond single settings

Errors:

- No destination is enabled, or there is neither an intake nor `[aws]`.
- A destination is in the source bucket and its replicas would be copied again, by itself or on a
  way through other destinations. It is allowed if key maps and filters prove that they are not:
  prefixes, suffixes and the fixed ends of globs count, sizes do not.
- Two destinations may write the same key of the same bucket; `key` beside `add_prefix`.
- `version_deletes` without `versions = "all"`; all versions with a `key` that may give two objects
  one key.
- `copy = "server"` across stores; `addressing = "virtual"` with an IP address as endpoint.
- `server.listen` can be reached from other machines, and without `[intake.webhook]` there is no
  token that would be asked for.
- `size_min` above `size_max`, `retry_base` above `retry_cap`, `connect_timeout` above
  `request_timeout`, `part_size` above `stream_memory`.
- With `[aws]`: a source or destination that is not on AWS; a destination with credentials of its
  own, or with `deletes = "replicate"` or `versions = "all"`; `event_route = "eventbridge"` with
  topology classic; `[intake.sweep]` with topology classic; `attempts_max` below 5 with topology
  durable; a `kms_key` of another Region than its bucket, or `aws.kms_key` than the source;
  `request_timeout` above `aws.timeout`; a `key` that may give two objects one key.
- `intake.sweep.replicas = false` without `[aws]`.

Warnings:

- Less `stream_memory` than twice a part (at least 5MiB) for each streamed destination and one more:
  some destinations that stand still may then hold up the others.
- A bucket name that AWS would not give out (other stores do).
- `ca_file` for an endpoint without TLS.
- A destination whose filters let no key pass.
- `loop_guard` with `versions = "all"`, which compares anyway.
- `aws.alarm_email` with topology classic, which has no alarms.
- `intake.sweep.recent` and `intake.sweep.rate` with `[aws]`, where a schedule sets the pace.

Buckets are taken to be the same if their endpoints and names are equal; two names of one server are
not seen through.
"""


def reference_markdown() -> str:
    """The whole page."""
    return _HEAD + "".join(f"{line}\n" for line in _settings()) + _TAIL


def _settings() -> Iterator[str]:
    yield ""
    yield from _table([(("schema",), catalogue().children["schema"])])
    for path, node in catalogue().walk():
        if node.has_settings:
            yield from _section(path, node)


def _section(path: tuple[str, ...], node: Node) -> Iterator[str]:
    name = _shown(path)
    yield ""
    yield f"### `[{name}]`"
    yield ""
    yield " ".join(text for text in (node.help, _SECTION_NOTES.get(name, "")) if text)
    yield ""
    rows = [
        ((*path, child), below)
        for child, below in node.children.items()
        if below.form is not Form.SECTION
    ]
    yield from _table(rows)


def _table(rows: list[tuple[tuple[str, ...], Node]]) -> Iterator[str]:
    yield "| setting | form | default | meaning |"
    yield "|---|---|---|---|"
    for path, node in rows:
        cells = (f"`{path[-1]}`", _form(node), _default(path, node), node.help)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _form(node: Node) -> str:
    if node.choices:
        return ", ".join(f"`{choice}`" for choice in node.choices)
    if node.bounds:
        low, high = node.bounds
        return f"{node.form.value}, {low} to {high}"
    return node.form.value


def _default(path: tuple[str, ...], node: Node) -> str:
    if node.required:
        return f"required: `{node.example}`"
    if ANY_NAME in path and path[-1] == "endpoint":
        return "the source's"
    if ANY_NAME in path and path[-1] in {"region", "addressing", "ca_file", "credentials"}:
        return f"the source's, or {_default_text(node)}"
    if path[:2] == ("intake", "sqs") and path[-1] in {"region", "credentials"}:
        return "the source's"
    return _default_text(node)


def _default_text(node: Node) -> str:
    text = toml_text(AWS if node.name == "endpoint" else node.default, node.form)
    return f"`{text}`" if text else "none"


def _shown(path: tuple[str, ...]) -> str:
    return ".".join("NAME" if part == ANY_NAME else part for part in path)
