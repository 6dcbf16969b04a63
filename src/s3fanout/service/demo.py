"""The demo: a store with real bucket notifications, a source, three destinations, a daemon.

Everything that a user would set up by hand, in one directory, with the configuration file that they
would write: other commands work on it from another terminal.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from s3fanout.adapters.store.embedded import EmbeddedStore, WebhookTarget
from s3fanout.adapters.store.loopback import LOOPBACK, reserved_port
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.config.load import load
from s3fanout.config.settings import Settings
from s3fanout.model.jobs import JobState
from s3fanout.model.objects import Body, ObjectAttributes, Present
from s3fanout.service.daemon import RunningDaemon
from s3fanout.wiring import Stores, open_ledger, system_clock

SOURCE = "demo-source"
DESTINATIONS = ("paris", "tokyo", "lima")
WRITERS = 16
COMPARERS = 16
SETTLE_POLL_S = 0.05
STALLED_S = 30.0
"""With nothing settled for so long the demo gives up and says so."""

_CONFIG = """\
schema = 1
source.bucket = "{source}"
source.endpoint = "{endpoint}"
source.credentials = {{ file = "credentials.json" }}
intake.webhook.token = {{ file = "token" }}
server.listen = "127.0.0.1:{port}"
ledger.path = "ledger.db"
"""


@dataclass(frozen=True, slots=True)
class RunningDemo:
    """What is running, and how to reach it."""

    settings: Settings
    config_path: Path
    daemon: RunningDaemon
    stores: Stores
    endpoint: str
    access_key: str
    secret_key: str

    @property
    def source(self) -> S3Store:
        """The source bucket."""
        return self.stores.open(self.settings.source)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the byte-for-byte comparison of all objects with all replicas showed.

    Attributes:
        objects: Objects in the source that were compared.
        replicas: Replicas that were compared.
        different: Keys and destinations of replicas that are missing or not equal.
        lags_s: From event to settled replica, ascending, one per replica.
    """

    objects: int
    replicas: int
    different: tuple[tuple[str, str], ...]
    lags_s: tuple[float, ...]


@asynccontextmanager
async def running(
    directory: Path, *, access_key: str, secret_key: str, token: str, env: Mapping[str, str]
) -> AsyncIterator[RunningDemo]:
    """Start all of it in ``directory``; stop it at the end.

    Raises:
        Misconfigured: The embedded store is not installed.
    """
    with reserved_port() as port:
        store = await EmbeddedStore.start(
            directory / "store",
            access_key=access_key,
            secret_key=secret_key,
            clock=system_clock(),
            webhook=WebhookTarget(f"http://{LOOPBACK}:{port}/events", token, keep_events=True),
        )
        async with store:
            config_path = _write_config(directory, store, port, token)
            settings = load(config_path, env=env).settings
            await store.create_buckets(SOURCE, *(bucket_of(name) for name in DESTINATIONS))
            await store.watch(SOURCE)
            daemon = await RunningDaemon.start(settings, env)
            stores = Stores(settings, env, clock=system_clock())
            try:
                yield RunningDemo(
                    settings, config_path, daemon, stores, store.endpoint, access_key, secret_key
                )
            finally:
                await daemon.stop()
                await stores.close()


def bucket_of(destination: str) -> str:
    """The bucket of a destination of the demo."""
    return f"demo-{destination}"


async def write_samples(demo: RunningDemo, keys: Sequence[str]) -> None:
    """Write one small object per key, ``WRITERS`` at a time."""
    pending = iter(keys)
    source = demo.source

    async def write() -> None:
        for key in pending:
            await source.put(key, sample(key), SAMPLE_ATTRIBUTES)

    await asyncio.gather(*(write() for _ in range(WRITERS)))


SAMPLE_ATTRIBUTES = ObjectAttributes(
    headers={"content-type": "text/plain; charset=utf-8"}, metadata={"written-by": "s3fanout-demo"}
)


def sample(key: str) -> Body:
    """A small object, different for each key."""
    seed = hashlib.sha256(key.encode()).hexdigest()
    content = f"object {key}\n{seed * (1 + int(seed[:2], 16) % 64)}\n".encode()
    md5_hex = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return Body(
        Present(key, len(content), md5_hex), content, md5_hex, hashlib.sha256(content).hexdigest()
    )


async def wait_replicated(demo: RunningDemo, count: int) -> bool:
    """Until each destination has settled ``count`` objects; ``False`` if nothing moves any more."""
    clock = system_clock()
    best, moved_at_s = -1, clock.monotonic_s()
    while True:
        summaries = await demo.daemon.summaries()
        settled = [min(summary.settled, count) for summary in summaries]
        if len(settled) == len(DESTINATIONS) and min(settled) == count:
            return True
        if sum(settled) > best:
            best, moved_at_s = sum(settled), clock.monotonic_s()
        if clock.monotonic_s() - moved_at_s > STALLED_S:
            return False
        await clock.sleep(SETTLE_POLL_S)


async def compare(demo: RunningDemo, keys: Sequence[str]) -> Comparison:
    """Read every object and every replica, and compare bytes and attributes."""
    source = demo.source
    replicas = {name: demo.stores.open(demo.settings.destinations[name]) for name in DESTINATIONS}
    limit = demo.settings.limits.part_size_bytes
    different: list[tuple[str, str]] = []
    pending = iter(keys)

    async def work() -> None:
        for key in pending:
            wanted = await source.get(key, if_match=None, size_bytes_max=limit)
            for name, store in replicas.items():
                found = await store.head(key)
                equal = isinstance(found, Present)
                if equal:
                    got = await store.get(key, if_match=None, size_bytes_max=limit)
                    equal = got.content == wanted.content and (
                        got.facts.attributes == wanted.facts.attributes
                    )
                if not equal:
                    different.append((key, name))

    await asyncio.gather(*(work() for _ in range(COMPARERS)))
    return Comparison(
        len(keys), len(keys) * len(replicas), tuple(different), await _lags_s(demo, keys)
    )


async def _lags_s(demo: RunningDemo, keys: Sequence[str]) -> tuple[float, ...]:
    ledger = await open_ledger(demo.settings, exclusive=False)
    try:
        lags = [
            (record.settled_at_ms - record.event_at_ms) / 1000
            for key in keys
            for record in await ledger.records_of_key(key)
            if record.state is JobState.SETTLED and record.settled_at_ms is not None
        ]
    finally:
        await ledger.close()
    return tuple(sorted(lags))


def _write_config(directory: Path, store: EmbeddedStore, port: int, token: str) -> Path:
    credentials = {"AccessKeyId": store.access_key, "SecretAccessKey": store.secret_key}
    for name, text in (("credentials.json", json.dumps(credentials)), ("token", token)):
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    text = _CONFIG.format(source=SOURCE, endpoint=store.endpoint, port=port)
    for name in DESTINATIONS:
        text += f'destinations.{name}.bucket = "{bucket_of(name)}"\n'
    path = directory / "s3fanout.toml"
    path.write_text(text, encoding="utf-8")
    return path
