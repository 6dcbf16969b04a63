"""The file that ``s3fanout init`` writes.

Every line stands for itself (dotted names, no ``[sections]``), so that any one of them can be
uncommented where it is. Comments are ``# text``; settings that are off are ``#name = value``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from s3fanout.config.catalogue import ANY_NAME, Node, catalogue, toml_text
from s3fanout.config.settings import SCHEMA
from s3fanout.config.values import Form

DESTINATION: Final = "replica"
"""Name of the destination in the template."""

COLUMNS: Final = 100

_HEAD: Final = f"""\
# s3fanout: everything that is written to the source appears in every destination.
# Edit the names below, then: s3fanout check
schema = {SCHEMA}
source.bucket = "photos"
destinations.{DESTINATION}.bucket = "photos-{DESTINATION}"
intake.webhook.token = {{ env = "S3FANOUT_TOKEN" }}

# That is all that is needed. Below is everything else, with its default or an example.
# Remove the # in front of a setting to use it; more destinations: repeat the lines with their name.
"""
_AWS_HEAD: Final = f"""\
# s3fanout on AWS: everything that is written to the source appears in every destination.
# Edit the names below, then: s3fanout plan
schema = {SCHEMA}
source.bucket = "photos"
source.region = "us-east-1"
destinations.{DESTINATION}.bucket = "photos-{DESTINATION}"
aws.topology = "durable"

# That is all that is needed. Below is everything else, with its default or an example.
# Remove the # in front of a setting to use it; more destinations: repeat the lines with their name.
"""
_SET_IN_HEAD: Final = frozenset(
    {("schema",), ("source", "bucket"), ("destinations", ANY_NAME, "bucket")}
    | {("intake", "webhook", "token")}
)
_SET_IN_AWS_HEAD: Final = _SET_IN_HEAD | {("source", "region"), ("aws", "topology")}
_DAEMON_SECTIONS: Final = frozenset({"intake", "server", "ledger"})
_DAEMON_SETTINGS: Final = frozenset(
    {"endpoint", "addressing", "ca_file", "copy", "customer_key", "deletes"}
)
_AWS_SETTINGS: Final = frozenset({("source", "kms_key"), ("destinations", ANY_NAME, "account")})
_NOTES: Final = {
    f"destinations.{DESTINATION}": "Without an endpoint it is in the source's store: what is left "
    "out of the next five settings is the source's. With one it stands alone."
}
_EXCLUDE_EXAMPLE: Final = {"prefixes": '["tmp/"]', "suffixes": '[".part"]', "globs": '["**/.*"]'}


def template(*, aws: bool = False) -> str:
    """The commented file; valid as it is, and also with all settings uncommented.

    A help text that several settings share is written at the first of them.

    Args:
        aws: For a deployment on AWS, without what only a daemon has; else the other way round.
    """
    head = _AWS_HEAD if aws else _HEAD
    return head + "".join(f"{line}\n" for line in _lines(aws=aws))


def _lines(*, aws: bool) -> Iterator[str]:
    explained: set[str] = set()
    set_in_head = _SET_IN_AWS_HEAD if aws else _SET_IN_HEAD
    for path, node in catalogue().walk():
        if not _belongs(path, aws=aws):
            continue
        name = ".".join(DESTINATION if part == ANY_NAME else part for part in path)
        if node.has_settings:
            yield ""
            yield from _comment(" ".join((f"{name}:", node.help, _NOTES.get(name, ""))).rstrip())
        if node.form is Form.SECTION or path in set_in_head:
            continue
        if node.help not in explained:
            yield from _comment(node.help)
            explained.add(node.help)
        yield f"#{name} = {example_of(path, node)}"


def _belongs(path: tuple[str, ...], *, aws: bool) -> bool:
    """Whether a setting means something to a deployment on AWS, or to a daemon."""
    if path[0] == "aws":
        return aws
    if not aws:
        return path not in _AWS_SETTINGS
    is_of_daemon = path[0] in _DAEMON_SECTIONS or path[-1] in _DAEMON_SETTINGS
    return not is_of_daemon and path != ("destinations", ANY_NAME, "credentials")


def example_of(path: tuple[str, ...], node: Node) -> str:
    """TOML text of the default, or of an example where nothing or an empty list is the default."""
    if "exclude" in path:
        return _EXCLUDE_EXAMPLE[path[-1]]
    return node.example or toml_text(node.default, node.form)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS, initial_indent="# ", subsequent_indent="# ")
