"""Log lines for machines and for people."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from s3fanout.service.logs import JsonFormatter, TextFormatter, configure, printable


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("s3fanout.x", logging.WARNING, "file", 1, message, args, None)
    made.created = 1_800_000_000.5
    made.__dict__.update(extra)
    return made


def with_traceback() -> logging.LogRecord:
    made = record("it broke")
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        made.exc_info = sys.exc_info()
    return made


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_json_line_is_one_object_with_the_extra_fields() -> None:
    line = JsonFormatter().format(record("copied %s", "a\nb", destination="x", action="copy"))
    assert "\n" not in line
    assert json.loads(line) == {
        "at": "2027-01-15T08:00:00.500+00:00",
        "level": "warning",
        "logger": "s3fanout.x",
        "message": "copied a\nb",
        "destination": "x",
        "action": "copy",
    }


def test_a_json_line_is_ascii_and_takes_any_value() -> None:
    line = JsonFormatter().format(record("ü", path=ValueError("x"), other="\u202e"))
    assert line.isascii()
    assert json.loads(line)["path"] == "x"


def test_a_json_line_holds_a_traceback() -> None:
    line = JsonFormatter().format(with_traceback())
    assert "\n" not in line
    assert "ZeroDivisionError: integer division or modulo by zero" in json.loads(line)["error"]


def test_a_text_line_is_for_reading() -> None:
    line = TextFormatter().format(record("copied %s", "key", destination="x"))
    assert line == "08:00:00 warning copied key destination=x"


def test_a_text_line_ends_with_a_traceback() -> None:
    first, *rest = TextFormatter().format(with_traceback()).splitlines()
    assert first == "08:00:00 warning it broke"
    assert rest[-1] == "ZeroDivisionError: integer division or modulo by zero"


@pytest.mark.parametrize("field", ["message", "extra"])
def test_data_cannot_move_the_cursor_or_fake_a_line(field: str) -> None:
    evil = "\x1b[2J\r\n08:00:00 error fake\u202e\x9b"
    made = record("%s", evil) if field == "message" else record("x", key=evil)
    line = TextFormatter().format(made)
    assert line.isprintable()
    assert "\\x1b[2J\\r\\n08:00:00 error fake\\u202e\\x9b" in line


def test_printable_text_stays_as_it_is() -> None:
    assert printable("a ü \N{GRINNING FACE} \\n") == "a ü \N{GRINNING FACE} \\n"
    assert printable("ü\t") == "ü\\t"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("style", "stream", "is_json"),
    [
        ("json", Terminal(), True),
        ("text", io.StringIO(), False),
        ("auto", Terminal(), False),
        ("auto", io.StringIO(), True),
    ],
)
def test_the_style_follows_the_stream_unless_it_is_given(
    root_logger: logging.Logger, style: str, stream: io.StringIO, is_json: bool
) -> None:
    stream.truncate(0)
    configure(style=style, level="info", stream=stream)
    logging.getLogger("s3fanout.test").info("hello")
    logging.getLogger("s3fanout.test").debug("not shown")
    logging.getLogger("botocore.auth").info("a signed request")
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().startswith("{") == is_json
    assert "hello" in stream.getvalue()


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
@pytest.mark.parametrize("evil", ["\x1b]0;owned\x07", "\x9b31m", "\u202egnp.exe", "nul\0byte"])
def test_no_log_lets_a_key_speak_to_the_terminal(formatter: logging.Formatter, evil: str) -> None:
    made = record("failed key=%s", evil, path=evil)
    error = ValueError(evil)
    made.exc_info = (ValueError, error, None)
    text = formatter.format(made)
    assert [each for each in text if not each.isprintable() and each != "\n"] == []
