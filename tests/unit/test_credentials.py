"""Who signs: found where the configuration says, renewed in time, never printed."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from s3fanout.adapters.store.credentials import (
    REREAD_S,
    BotocoreCredentials,
    Credentials,
    FileCredentials,
    StaticCredentials,
    from_environment,
)
from s3fanout.model.errors import AccessDenied

ROLE = "arn:aws:iam::111122223333:role/replicator"


@dataclass(slots=True)
class ManualClock:
    at_s: float = 0.0

    def now_ms(self) -> int:
        return int(self.at_s * 1000)

    def monotonic_s(self) -> float:
        return self.at_s

    async def sleep(self, seconds: float) -> None:
        self.at_s += seconds


@pytest.fixture(autouse=True)
def _no_identity_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


# --- static and environment -----------------------------------------------------------------


def test_secrets_are_not_part_of_the_text_form() -> None:
    text = repr(Credentials("AKEXAMPLE", "the-secret", "the-token"))
    assert "AKEXAMPLE" in text
    assert "the-secret" not in text
    assert "the-token" not in text


async def test_static_credentials_are_what_was_given() -> None:
    assert await StaticCredentials("a", "b", "c").current() == Credentials("a", "b", "c")


async def test_the_environment_is_read_under_its_prefix() -> None:
    env = {"MAIN_ACCESS_KEY_ID": "a", "MAIN_SECRET_ACCESS_KEY": "b\n", "AWS_ACCESS_KEY_ID": "no"}
    assert await from_environment("MAIN", env).current() == Credentials("a", "b")
    env["MAIN_SESSION_TOKEN"] = "c"
    assert await from_environment("MAIN", env).current() == Credentials("a", "b", "c")


@pytest.mark.parametrize(
    ("env", "missing"),
    [
        ({}, "MAIN_ACCESS_KEY_ID,MAIN_SECRET_ACCESS_KEY"),
        ({"MAIN_ACCESS_KEY_ID": "a"}, "MAIN_SECRET_ACCESS_KEY"),
        ({"MAIN_ACCESS_KEY_ID": " ", "MAIN_SECRET_ACCESS_KEY": "b"}, "MAIN_ACCESS_KEY_ID"),
    ],
)
def test_a_missing_variable_is_named(env: dict[str, str], missing: str) -> None:
    with pytest.raises(AccessDenied, match=f"missing={missing}$") as denied:
        from_environment("MAIN", env)
    assert missing.split(",", maxsplit=1)[0] in denied.value.hint


async def test_a_variable_that_no_request_can_carry_is_named_and_not_quoted() -> None:
    env = {"MAIN_ACCESS_KEY_ID": "a", "MAIN_SECRET_ACCESS_KEY": "b", "MAIN_SESSION_TOKEN": "c\nd"}
    with pytest.raises(AccessDenied, match=r"MAIN_.*session token") as denied:
        from_environment("MAIN", env)
    assert "c\nd" not in f"{denied.value}{denied.value.hint}"
    env = {"MAIN_ACCESS_KEY_ID": "a", "MAIN_SECRET_ACCESS_KEY": "päß wörd"}
    assert (await from_environment("MAIN", env).current()).secret_key == "päß wörd"


# --- file -----------------------------------------------------------------------------------


def write(path: Path, content: object) -> None:
    path.write_text(content if isinstance(content, str) else json.dumps(content))


async def test_a_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    path, clock = tmp_path / "s3.json", ManualClock()
    write(path, {"AccessKeyId": "a", "SecretAccessKey": "b"})
    source = FileCredentials(path, clock=clock)
    assert await source.current() == Credentials("a", "b")
    write(path, {"AccessKeyId": "a2", "SecretAccessKey": "b2", "SessionToken": "c2"})
    assert await source.current() == Credentials("a", "b")
    clock.at_s += REREAD_S
    assert await source.current() == Credentials("a2", "b2", "c2")


async def test_a_file_that_did_not_change_is_not_parsed_again(tmp_path: Path) -> None:
    path, clock = tmp_path / "s3.json", ManualClock()
    write(path, {"AccessKeyId": "a", "SecretAccessKey": "b"})
    source = FileCredentials(path, clock=clock)
    first = await source.current()
    clock.at_s += REREAD_S
    assert await source.current() is first


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not JSON: the-secret",
        [],
        {"AccessKeyId": "a"},
        {"AccessKeyId": "", "SecretAccessKey": "the-secret"},
        {"AccessKeyId": 1, "SecretAccessKey": "the-secret"},
        {"AccessKeyId": "a", "SecretAccessKey": "the-secret", "SessionToken": 5},
        "[" * 100_000,
        {"AccessKeyId": "a\r\nx-evil: 1", "SecretAccessKey": "the-secret"},
        {"AccessKeyId": "a\u00e9", "SecretAccessKey": "the-secret"},
        {"AccessKeyId": "a", "SecretAccessKey": "the-secret\ud800"},
        {"AccessKeyId": "a", "SecretAccessKey": "the-secret", "SessionToken": "token\n"},
    ],
    ids=lambda content: str(content)[:80],
)
async def test_a_file_that_is_none_is_named_and_not_quoted(tmp_path: Path, content: object) -> None:
    path = tmp_path / "s3.json"
    write(path, content)
    with pytest.raises(AccessDenied) as denied:
        await FileCredentials(path, clock=ManualClock()).current()
    assert str(path) in str(denied.value)
    assert "the-secret" not in f"{denied.value}{denied.value.hint}"


async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(AccessDenied, match="no such file") as denied:
        await FileCredentials(tmp_path / "absent.json", clock=ManualClock()).current()
    assert "absent.json" in str(denied.value)


# --- botocore -------------------------------------------------------------------------------


async def test_the_standard_chain_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "c")
    assert await BotocoreCredentials(clock=ManualClock()).current() == Credentials("a", "b", "c")


async def test_what_no_request_can_carry_is_named_also_where_the_chain_found_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "c\nd")
    with pytest.raises(AccessDenied, match=r"standard AWS chain.*session token"):
        await BotocoreCredentials(clock=ManualClock()).current()


async def test_a_profile_is_read_from_the_shared_files(tmp_path: Path) -> None:
    write(
        tmp_path / "credentials",
        "[default]\naws_access_key_id = no\naws_secret_access_key = no\n"
        "[other]\naws_access_key_id = a\naws_secret_access_key = b\n",
    )
    source = BotocoreCredentials(clock=ManualClock(), profile="other")
    assert await source.current() == Credentials("a", "b")


@pytest.mark.parametrize(
    ("profile", "named"), [(None, "the standard AWS chain"), ("absent", "absent")]
)
async def test_where_nothing_was_found_is_named(profile: str | None, named: str) -> None:
    with pytest.raises(AccessDenied, match=f"from={named}") as denied:
        await BotocoreCredentials(clock=ManualClock(), profile=profile).current()
    assert denied.value.hint


async def test_botocore_is_asked_once_for_many_requests_and_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    clock = ManualClock()
    source, asked = BotocoreCredentials(clock=clock), 0
    ask = source._ask

    def counted() -> Credentials:
        nonlocal asked
        asked += 1
        return ask()

    monkeypatch.setattr(source, "_ask", counted)
    await asyncio.gather(*(source.current() for _ in range(20)))
    assert asked == 1
    clock.at_s += REREAD_S
    await asyncio.gather(*(source.current() for _ in range(20)))
    assert asked == 2


# --- role -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Sts:
    """As much of AWS STS as ``AssumeRole`` needs."""

    status: int = 200
    expires: str = "2099-01-01T00:00:00Z"
    asked: list[dict[str, str]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n") if b": " in line)
        form = await reader.readexactly(int(fields[b"content-length"]))
        self.asked.append({name: values[0] for name, values in parse_qs(form.decode()).items()})
        body = (self._granted() if self.status == 200 else self._denied()).encode()
        writer.write(b"HTTP/1.1 %d X\r\nConnection: close\r\n" % self.status)
        writer.write(b"Content-Type: text/xml\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    def _granted(self) -> str:
        return (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            "<AssumeRoleResult><Credentials><AccessKeyId>role-a</AccessKeyId>"
            f"<SecretAccessKey>role-b{len(self.asked)}</SecretAccessKey>"
            "<SessionToken>role-c</SessionToken>"
            f"<Expiration>{self.expires}</Expiration></Credentials></AssumeRoleResult>"
            "</AssumeRoleResponse>"
        )

    def _denied(self) -> str:
        return (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
            "<Code>AccessDenied</Code><Message>not authorized: sts:AssumeRole</Message>"
            "</Error></ErrorResponse>"
        )


@pytest.fixture
async def sts(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sts]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    service = Sts()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "base-secret")
    yield service
    server.close()
    await server.wait_closed()


def role_of(
    clock: ManualClock, external_id: str | None = "from-the-customer"
) -> BotocoreCredentials:
    return BotocoreCredentials(clock=clock, role=ROLE, external_id=external_id, region="eu-west-1")


async def test_a_role_is_assumed_with_its_external_id(sts: Sts) -> None:
    found = await role_of(ManualClock()).current()
    assert found == Credentials("role-a", "role-b1", "role-c")
    (form,) = sts.asked
    assert (form["Action"], form["RoleArn"]) == ("AssumeRole", ROLE)
    assert (form["ExternalId"], form["RoleSessionName"]) == ("from-the-customer", "s3fanout")


async def test_a_role_needs_no_external_id(sts: Sts) -> None:
    await role_of(ManualClock(), external_id=None).current()
    assert "ExternalId" not in sts.asked[0]


async def test_a_role_that_is_still_good_is_not_assumed_again(sts: Sts) -> None:
    clock = ManualClock()
    source = role_of(clock)
    first = await source.current()
    clock.at_s += REREAD_S
    assert await source.current() == first
    assert len(sts.asked) == 1


async def test_a_role_that_may_not_be_assumed_says_so(sts: Sts) -> None:
    sts.status = 403
    with pytest.raises(AccessDenied, match="not authorized") as denied:
        await role_of(ManualClock()).current()
    assert ROLE in str(denied.value)
    assert "trust policy" in denied.value.hint
    assert "base-secret" not in f"{denied.value}{denied.value.hint}"


async def test_a_role_whose_credentials_are_expired_already_is_denied(sts: Sts) -> None:
    sts.expires = "2001-01-01T00:00:00Z"
    with pytest.raises(AccessDenied, match="expired"):
        await role_of(ManualClock()).current()
