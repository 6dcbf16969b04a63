"""What strangers can put into keys, metadata and files does nothing but stand there, quoted."""

from __future__ import annotations

import asyncio
import html
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3fanout.adapters.store.credentials import StaticCredentials
from s3fanout.adapters.store.endpoint import Endpoint
from s3fanout.adapters.store.memory import MemoryStores, StoredObject
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.s3_headers import tag_count
from s3fanout.adapters.store.s3_upload_xml import parse_parts_page
from s3fanout.adapters.store.s3_version_xml import parse_versions_page
from s3fanout.cli.main import main
from s3fanout.config.load import parse
from s3fanout.config.template import template
from s3fanout.model.errors import S3FanoutError, Unavailable
from s3fanout.model.events import ChangeKind, Malformed
from s3fanout.model.jobs import ErrorRecord, JobState, NewJob, Settlement
from s3fanout.model.objects import Body, ObjectAttributes, Present
from s3fanout.wiring import Stores, open_ledger
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
source.vendor = "other"
destinations.paris.bucket = "photos-paris"
destinations.paris.vendor = "other"
intake.webhook.token = { env = "TOKEN" }
"""
keys = st.text(min_size=1, max_size=40).filter(lambda key: len(key.encode("utf-8", "ignore")) > 0)
lines = st.sampled_from([line for line in template().splitlines() if line] + CONFIG.splitlines())


@pytest.fixture
def evil(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installation in which everything that others name is evil. Returns a key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", "token")
    (tmp_path / "s3fanout.toml").write_text(CONFIG, "utf-8")
    key: str = request.param
    stores = MemoryStores(FixedClock())
    source, replica = stores.create_bucket("photos"), stores.create_bucket("photos-paris")
    attributes = ObjectAttributes(metadata={"name": key}, tags={key: key})
    source.objects[key] = replace(StoredObject.of(b"1", attributes), etag=key)
    replica.objects[key] = StoredObject.of(b"two")
    source.objects[f"{key} is missing"] = StoredObject.of(b"1")
    replica.objects[f"{key} is extra"] = StoredObject.of(b"1")
    monkeypatch.setattr(Stores, "open", lambda _self, to: stores.open(to.bucket))

    async def fill() -> None:
        config = parse(CONFIG, path=tmp_path / "s3fanout.toml", env={}).settings
        ledger = await open_ledger(config, exclusive=True)
        await ledger.accept([NewJob("paris", key, ChangeKind.CREATED, 1)], now_ms=1)
        (job,) = await ledger.claim("paris", 1, now_ms=1)
        error = ErrorRecord("refused", f"said {key}", f"look at {key}")
        await ledger.settle([Settlement(job, JobState.DEAD, 1, key, 1, error=error)])
        letter = Malformed("no-json", f"said {key}", key.encode())
        await ledger.keep_malformed([letter], route=key, now_ms=1)
        await ledger.close()

    asyncio.run(fill())
    return key


COMMANDS = (
    ["failures"],
    ["failures", "--malformed"],
    ["explain", "KEY"],
    ["status"],
    ["verify"],
    ["verify", "--deep"],
    ["verify", "--attributes"],
    ["verify", "--format=csv"],
    ["verify", "--format=html"],
    ["verify", "--format=ndjson"],
    ["verify", "--prefix=KEY"],
    ["reconcile", "--dry-run", "--prefix=KEY"],
    ["backfill", "--dry-run"],
    ["backfill", "--dry-run", "--prefix=KEY"],
    ["backfill", "--dry-run", "--inventory=KEY"],
    ["backfill", "--dry-run", "--keys=KEY"],
    ["pause", "KEY"],
    ["redrive", "-d", "KEY"],
    ["redrive", "--prefix=KEY"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("evil", EVIL_KEYS, indirect=True)
def test_no_command_lets_a_key_speak_to_the_terminal(
    command: list[str],
    evil: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # No argument of a program can hold NUL.
    arguments = [part.replace("KEY", evil.replace("\0", "")) for part in command]
    monkeypatch.setattr("sys.argv", ["s3fanout", *arguments])
    with pytest.raises(SystemExit):
        main()
    # The lines of a CSV end as its standard says.
    text = "".join(capsys.readouterr()).replace("\r\n", "\n")
    assert [character for character in text if not character.isprintable()] == [
        character for character in text if character == "\n"
    ]
    assert "X-Evil: 1\n" not in text


@pytest.mark.parametrize("evil", ["<script>alert('x')</script><a href=\"x\">"], indirect=True)
def test_no_key_is_markup_in_a_report(
    evil: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["s3fanout", "verify", "--format=html"])
    with pytest.raises(SystemExit):
        main()
    report = capsys.readouterr().out
    assert html.escape(evil) in report
    assert evil not in report
    assert "<script" not in report


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


def test_a_number_of_thousands_of_digits_is_a_broken_answer_and_no_defect() -> None:
    digits = "9" * 5000
    part = f"<Part><PartNumber>1</PartNumber><Size>{digits}</Size></Part>"
    version = f"<Version><Key>k</Key><Size>{digits}</Size></Version>"
    with pytest.raises(Unavailable):
        parse_parts_page(f"<ListPartsResult>{part}</ListPartsResult>".encode())
    with pytest.raises(Unavailable):
        parse_versions_page(f"<ListVersionsResult>{version}</ListVersionsResult>".encode(), "k")
    assert tag_count({"x-amz-tagging-count": digits}) == 0
