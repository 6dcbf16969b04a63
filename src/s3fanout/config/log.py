"""Settings of the log."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from s3fanout.config.credentials import Section


class LogFormat(StrEnum):
    """Form of a log line."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least important line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Log(Section):
    """What is written to standard error."""

    format: LogFormat = Field(
        default=LogFormat.AUTO,
        description="Form of a line; auto: text on a terminal, json elsewhere.",
    )
    level: LogLevel = Field(
        default=LogLevel.INFO, description="The least important line that is written."
    )
