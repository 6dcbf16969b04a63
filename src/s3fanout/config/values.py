"""Types of single settings: what a text must look like, and what the code gets instead.

Validators raise ``ValueError`` with a lower-case fact. They never put into the message what could
be a secret: an endpoint with a password in it is refused without being quoted.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainValidator, Strict, ValidationInfo

from s3fanout.config.units import (
    DURATION_FORM,
    SIZE_FORM,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)
from s3fanout.decide.key_template import parse_template
from s3fanout.decide.match import glob_pattern
from s3fanout.model.keeping import KEEP

AWS: Final = "aws"
"""The word for "no endpoint of its own": AWS, found by region."""

BASE_DIRECTORY: Final = "base_directory"
"""Key of the validation context: the directory that relative paths start from."""


class Form(StrEnum):
    """How a setting is written; the words are those of the reference."""

    TEXT = "text"
    NUMBER = "number"
    SWITCH = "true or false"
    CHOICE = "choice"
    SIZE = "size"
    DURATION = "duration"
    LIST = "list of texts"
    TABLE = "table"
    SECTION = "section"


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where the server listens. Port 0 lets the system choose."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def text_of(value: object, form: Form) -> str:
    """``value`` of a setting as its file would write it, without TOML quotes."""
    if form is Form.DURATION and isinstance(value, int | float):
        return format_duration(value)
    if form is Form.SIZE and isinstance(value, int):
        return format_size(value)
    return str(value)


def _seconds(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"expected {DURATION_FORM}, not {_described(value)}")


def _bytes(value: object) -> object:
    if isinstance(value, str):
        return parse_size(value)
    raise ValueError(f"expected {SIZE_FORM}, not {_described(value)}")


def _described(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"the bare number {value}"
    return f"a {kind_of(value)}"


def kind_of(value: object) -> str:
    """What TOML calls a value of this Python type."""
    if isinstance(value, bool):
        return "true/false value"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict):
        return "table"
    if isinstance(value, list):
        return "list"
    return "date or time"


def _some_text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    if not value.isprintable():
        raise ValueError("must not contain control characters")
    return value


_BUCKET: Final = re.compile(r"(?!\.{1,2}$)[^\s/\\?#%:@\x00-\x1f\x7f-\U0010ffff]{1,255}")


def _bucket(value: str) -> str:
    """Only what no store can have; vendors allow more than AWS (see ``check`` for its rules)."""
    if not value:
        raise ValueError("must not be empty")
    if _BUCKET.fullmatch(value) is None:
        raise ValueError(
            "not a bucket name: at most 255 ASCII characters, without spaces and / \\ ? # % : @"
        )
    return value


def _split_url(value: str) -> SplitResult:
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise ValueError("not a valid URL") from None
    if url.scheme not in {"http", "https"} or not url.hostname or port == 0:
        raise ValueError("must be a URL that starts with http:// or https://")
    if not value.isprintable() or " " in value:
        raise ValueError("not a valid URL: it contains spaces or control characters")
    if "@" in url.netloc:
        raise ValueError("must not contain a user or password (use credentials)")
    if url.query or url.fragment or value.endswith(("?", "#")):
        raise ValueError("must not contain ? or #")
    return url


def _endpoint(value: object) -> object:
    """An ``http(s)://host[:port]`` in one spelling, so that equal endpoints compare equal."""
    if value is None or not isinstance(value, str):
        return value
    if value == AWS:
        return None
    url = _split_url(value)
    if url.path not in {"", "/"}:
        raise ValueError("must not contain a path (the bucket has its own setting)")
    host = url.hostname or ""
    port = url.port
    if port is None or port == {"http": 80, "https": 443}[url.scheme]:
        authority = f"[{host}]" if ":" in host else host
    else:
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"{url.scheme}://{authority}"


def _queue_url(value: str) -> str:
    if _split_url(value).path in {"", "/"}:
        raise ValueError("must be the whole URL of the queue, account and name included")
    return value


def _path(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError(f"expected text, not {_described(value)}")  # noqa: TRY004 - pydantic
    text = str(value)
    if not text or "\0" in text:
        raise ValueError("must be a path")
    base = (info.context or {}).get(BASE_DIRECTORY, Path())
    return Path(base) / text


def _listen(value: object) -> ListenAddress:
    if isinstance(value, ListenAddress):
        return value
    match = (
        re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]]+)):([0-9]{1,5})", value)
        if isinstance(value, str)
        else None
    )
    if match is None or int(match[3]) > 65535:  # noqa: PLR2004 - largest TCP port
        raise ValueError('expected "host:port", such as "127.0.0.1:8480" or "[::1]:8480"')
    return ListenAddress(match[1] or match[2], int(match[3]))


def _route(value: str) -> str:
    if re.fullmatch(r"/[A-Za-z0-9._~/-]*", value) is None:
        raise ValueError("must start with / and contain only letters, digits and . _ ~ / -")
    return value


def _variable(value: str) -> str:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) is None:
        # Not quoted: a secret that was put here by mistake must not reach a log.
        raise ValueError("must be the name of an environment variable, not its value")
    return value


def _role(value: str) -> str:
    # Forms of role ARNs: IAM user guide, "IAM identifiers" (partitions aws, aws-cn, aws-us-gov).
    if re.fullmatch(r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/\S+", value) is None:
        raise ValueError('must be the ARN of a role: "arn:aws:iam::<12 digits>:role/<name>"')
    return value


def _destination_name(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", value) is None:
        raise ValueError(
            "not a destination name: 1 to 63 of A-Z a-z 0-9 _ . -, the first a letter or digit"
        )
    return value


def _storage_class(value: str) -> str:
    # The store knows which there are; new ones come up, and other vendors have their own.
    if value != KEEP and not re.fullmatch(r"[A-Z][A-Z0-9_]{0,62}", value):
        raise ValueError(f"must be {KEEP}, or a storage class in capital letters")
    return value


def _key_template(value: str) -> str:
    if value:
        parse_template(value)
    return value


def _glob(value: str) -> str:
    try:
        glob_pattern(_some_text(value))
    except re.error:
        raise ValueError("not a glob: a character set is wrong") from None
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Form.DURATION]
OptionalSeconds = Annotated[float | None, BeforeValidator(_seconds), Form.DURATION]
Bytes = Annotated[int, BeforeValidator(_bytes), Form.SIZE]
OptionalBytes = Annotated[int | None, BeforeValidator(_bytes), Form.SIZE]
"""TOML has no null: ``None`` only ever is the default, which is not validated."""
Count = Annotated[int, Strict()]
Switch = Annotated[bool, Strict()]
Text = Annotated[str, AfterValidator(_some_text)]
BucketName = Annotated[str, AfterValidator(_bucket)]
Endpoint = Annotated[str | None, BeforeValidator(_endpoint)]
"""``None`` is AWS."""
QueueUrl = Annotated[str, AfterValidator(_queue_url)]
FilePath = Annotated[Path, PlainValidator(_path)]
"""Absolute, or relative to the directory of the configuration file before it is validated."""
Listen = Annotated[ListenAddress, PlainValidator(_listen)]
Route = Annotated[str, AfterValidator(_route)]
Variable = Annotated[str, AfterValidator(_variable)]
RoleArn = Annotated[str, AfterValidator(_role)]
StorageClass = Annotated[str, AfterValidator(_storage_class)]
KeyTemplateText = Annotated[str, AfterValidator(_key_template)]
Glob = Annotated[str, AfterValidator(_glob)]
DestinationName = Annotated[str, AfterValidator(_destination_name)]
