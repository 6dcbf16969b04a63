"""What strangers can put into keys, metadata and files does nothing but stand there, quoted."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from s3fanout.adapters.store.credentials import StaticCredentials
from s3fanout.adapters.store.endpoint import Endpoint
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.cli.main import root
from s3fanout.config.load import parse
from s3fanout.config.template import template
from s3fanout.model.errors import S3FanoutError
from s3fanout.model.events import ChangeKind
from s3fanout.model.jobs import ErrorRecord, JobState, NewJob, Settlement
from s3fanout.model.objects import Body, ObjectAttributes, Present
from s3fanout.wiring import open_ledger
from tests.unit.reciting import COPIED, FixedClock, Reciting, answer

EVIL_KEYS = (
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[31mred",
    "a\r\nX-Evil: 1\r\n\r\nb",
    "\x9b31m",
    "\u202egnp.exe",
    "=cmd|' /C calc'!A1",
    "../../etc/passwd",
    "[bold]markup[/bold]",
    "nul\x00byte",
)
CONFIG = """\
schema = 1
source.bucket = "photos"
source.endpoint = "http://127.0.0.1:9000"
destinations.paris.bucket = "photos-paris"
intake.webhook.token = { env = "TOKEN" }
"""
keys = st.text(min_size=1, max_size=40).filter(lambda key: len(key.encode("utf-8", "ignore")) > 0)
lines = st.sampled_from([line for line in template().splitlines() if line] + CONFIG.splitlines())


@pytest.mark.parametrize("command", [["failures"], ["explain"], ["status"]])
@pytest.mark.parametrize("key", EVIL_KEYS)
def test_no_command_lets_a_key_speak_to_the_terminal(
    command: list[str], key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3fanout.toml").write_text(CONFIG, "utf-8")

    async def fill() -> None:
        config = parse(CONFIG, path=tmp_path / "s3fanout.toml", env={}).settings
        ledger = await open_ledger(config, exclusive=True)
        await ledger.accept([NewJob("paris", key, ChangeKind.CREATED, 1)], now_ms=1)
        (job,) = await ledger.claim("paris", 1, now_ms=1)
        error = ErrorRecord("refused", f"said {key}", f"look at {key}")
        await ledger.settle([Settlement(job, JobState.DEAD, 1, key, 1, error=error)])
        await ledger.close()

    asyncio.run(fill())
    arguments = [*command, key] if command == ["explain"] else command
    done = CliRunner().invoke(root, arguments, standalone_mode=False)
    text = done.stdout + done.stderr
    assert [character for character in text if not character.isprintable()] == [
        character for character in text if character == "\n"
    ]
    assert "X-Evil: 1\n" not in text


@given(key=keys, value=st.text(max_size=20))
@settings(max_examples=200)
def test_no_key_or_metadata_makes_a_header_or_another_path(key: str, value: str) -> None:
    transport = Reciting([answer(body=COPIED), answer()])
    store = S3Store(
        bucket="bucket",
        endpoint=Endpoint.parse("https://s3.test", region="r"),
        credentials=StaticCredentials("AK", "SK"),
        transport=transport,
        clock=FixedClock(),
    )
    body = Body(Present("k", 0, "e"), b"", "0" * 32, "0" * 64)

    async def ask() -> None:
        for attempt in (
            store.copy(key, source_bucket="source", source_key=key, if_match='e"\r\nx: y'),
            store.put(key, body, ObjectAttributes(metadata={"a": value})),
        ):
            try:
                await attempt
            except (S3FanoutError, UnicodeError):
                continue

    asyncio.run(ask())
    for sent in transport.sent:
        assert sent.url.isascii()
        assert sent.url.isprintable()
        assert " " not in sent.url
        assert sent.url.startswith("https://s3.test/bucket/")
        assert "?" not in sent.url
        assert "#" not in sent.url
        for name, text in sent.headers.items():
            assert not {"\r", "\n", "\0"} & set(name + text)


@given(text=st.lists(lines | st.text(max_size=30), max_size=12).map("\n".join))
@settings(max_examples=200)
def test_a_configuration_is_read_or_refused(text: str) -> None:
    with suppress(S3FanoutError):
        parse(text, path=Path("c.toml"), env={})
