"""The MinIO front end, through the product's own embedded store: S3 with bucket notifications."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from s3fanout.adapters.store.embedded import EmbeddedStore, WebhookTarget
from s3fanout.adapters.system import SystemClock
from tests.servers.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCESS_KEY, SECRET_KEY = "testkey", "testsecret"


@contextmanager
def minio_frontend(directory: Path, *, webhook: WebhookTarget | None = None) -> Iterator[Server]:
    """A server on a free port with its files in ``directory``; it dies with us.

    Raises:
        Misconfigured: It did not start; its last words are in the hint.
    """
    store = asyncio.run(
        EmbeddedStore.start(
            directory,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            clock=SystemClock(),
            webhook=webhook,
        )
    )
    try:
        yield Server(
            name="minio",
            endpoint=store.endpoint,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            region=store.region,
            notification_arns=store.notification_arns,
            pid=store.pid,
        )
    finally:
        store.kill()
