"""What settings refer to but do not contain: variables and files, looked at when they are needed.

``explain`` works without them; ``run`` needs all of them. No message contains what was found.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path

from s3fanout.config.credentials import Credentials, SecretReference
from s3fanout.config.locate import dotted
from s3fanout.config.problems import Problem
from s3fanout.config.settings import Settings, Store
from s3fanout.model.errors import Misconfigured

CUSTOMER_KEY_BITS = 256


def check_references(settings: Settings, env: Mapping[str, str]) -> list[Problem]:
    """References of everything that is switched on and that lead nowhere.

    Reads each file once. Profiles and roles are not looked up here. What a destination or the
    queue inherited is reported at the source only.
    """
    return [*dict.fromkeys(_problems(settings, env))]


def read_secret(reference: SecretReference, env: Mapping[str, str]) -> str:
    """The secret, without a line end behind it.

    Raises:
        Misconfigured: It is not there, or it is empty.
    """
    problem = _secret_problem("secret", reference, env)
    if problem is not None:
        raise Misconfigured(problem.message, hint=problem.hint)
    if reference.env is not None:
        return env[reference.env]
    return (reference.file or Path()).read_text(encoding="utf-8").rstrip("\r\n")


def read_customer_key(reference: SecretReference, env: Mapping[str, str]) -> bytes:
    """A customer's key.

    Raises:
        Misconfigured: It is not there, or is not 256 bits as base64.
    """
    try:
        key = b64decode(read_secret(reference, env).strip(), validate=True)
    except ValueError:
        key = b""
    if 8 * len(key) != CUSTOMER_KEY_BITS:
        raise Misconfigured(
            f"is not {CUSTOMER_KEY_BITS} bits as base64", hint="openssl rand -base64 32 makes one"
        )
    return key


def _problems(settings: Settings, env: Mapping[str, str]) -> Iterator[Problem]:
    source = settings.source
    yield from _file_problems("source.ca_file", source.ca_file)
    yield from _credentials_problems("source.credentials", source.credentials, env)
    yield from _customer_key_problems("source", source, env)
    for name, each in settings.enabled.items():
        path = dotted(("destinations", name))
        yield from _customer_key_problems(path, each, env)
        if each.ca_file != source.ca_file:
            yield from _file_problems(f"{path}.ca_file", each.ca_file)
        if each.credentials != source.credentials:
            yield from _credentials_problems(f"{path}.credentials", each.credentials, env)
    if settings.intake.sqs is not None and settings.intake.sqs.credentials != source.credentials:
        sqs = settings.intake.sqs
        yield from _credentials_problems("intake.sqs.credentials", sqs.credentials, env)
    if settings.intake.webhook is not None:
        problem = _secret_problem("intake.webhook.token", settings.intake.webhook.token, env)
        if problem is not None:
            yield problem


def _credentials_problems(
    path: str, credentials: Credentials, env: Mapping[str, str]
) -> Iterator[Problem]:
    yield from _file_problems(path, credentials.file)
    if credentials.env is not None:
        for suffix in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
            yield from _variable_problems(path, f"{credentials.env}_{suffix}", env)


def _customer_key_problems(path: str, store: Store, env: Mapping[str, str]) -> Iterator[Problem]:
    if store.customer_key is None:
        return
    path = f"{path}.customer_key"
    problem = _secret_problem(path, store.customer_key, env)
    if problem is None:
        try:
            read_customer_key(store.customer_key, env)
        except Misconfigured as error:
            problem = Problem(path, error.message, error.hint)
    if problem is not None:
        yield problem


def _secret_problem(
    path: str, reference: SecretReference, env: Mapping[str, str]
) -> Problem | None:
    if reference.env is not None:
        return next(_variable_problems(path, reference.env, env), None)
    problem = next(_file_problems(path, reference.file), None)
    if problem is None and reference.file is not None and _is_blank(reference.file):
        problem = Problem(path, f"the file {reference.file} holds no text")
    return problem


def _variable_problems(path: str, name: str, env: Mapping[str, str]) -> Iterator[Problem]:
    if not env.get(name, "").strip():
        state = "empty" if name in env else "not set"
        yield Problem(path, f"the environment variable {name} is {state}", f"export {name}=…")


def _file_problems(path: str, file: Path | None) -> Iterator[Problem]:
    if file is None:
        return
    try:
        with file.open("rb") as opened:
            opened.read(1)
    except OSError as error:
        yield Problem(path, f"the file {file} cannot be read: {(error.strerror or '').lower()}")


def _is_blank(file: Path) -> bool:
    try:
        return not file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        return True
