"""Structured logs: one JSON object a line for machines, one readable line for a person."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """``{"at", "level", "logger", "message", …extra fields…}``; ``error`` holds a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= _extra(record)
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=True, default=str)


class TextFormatter(logging.Formatter):
    """``12:00:00 warning message key=value``; control characters of data never reach the screen."""

    def format(self, record: logging.LogRecord) -> str:
        extra = "".join(f" {name}={value}" for name, value in _extra(record).items())
        line = f"{_at(record)[11:19]} {record.levelname.lower():7} {record.getMessage()}{extra}"
        line = printable(line)
        if record.exc_info:
            # Its lines are ours; what they quote of a key is not.
            traced = self.formatException(record.exc_info).split("\n")
            line += "\n" + "\n".join(map(printable, traced))
        return line


def printable(text: str) -> str:
    """``text`` with everything that could move a cursor or fake a line escaped."""
    return text if text.isprintable() else "".join(map(_shown, text))


def configure(*, style: str, level: str, stream: TextIO | None = None) -> None:
    """Send all logs to ``stream`` (stderr): ``style`` is ``json``, ``text`` or ``auto``."""
    out = stream or sys.stderr
    as_json = style == "json" or (style == "auto" and not out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Libraries speak only when something is wrong; their chatter may hold signed requests.
    for name in ("aiohttp", "asyncio", "boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _PLAIN}
