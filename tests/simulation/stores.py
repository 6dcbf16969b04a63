"""Stores of the simulation: memory stores behind latency, faults and lies, watched by the auditors.

What a request meets, in this order: the way there (latency; a crash now may drop or complete it), a
refusal that the store did not act on, the act itself, the way back (the answer may get lost).

Recoverable by design: everything here, because a request acts at most once, and never after its
process is gone.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from s3fanout.adapters.store.memory import MemoryStore, StoredObject
from s3fanout.adapters.store.memory_versions import VersionedObjects
from s3fanout.decide.plan import Way
from s3fanout.model.errors import (
    AccessDenied,
    SourceChanged,
    StoreError,
    Throttled,
    Unavailable,
)
from tests.simulation.histories import HistoryAudit, entries_of

if TYPE_CHECKING:
    from tests.simulation.options import Place
    from tests.simulation.process import Process
    from tests.simulation.world import World

WRITES = frozenset(
    {
        "put",
        "copy",
        "delete",
        "delete_version",
        "create_upload",
        "upload_part",
        "upload_part_copy",
        "complete_upload",
        "abort_upload",
    }
)
PINNED = frozenset({"copy", "delete", "upload_part_copy"})
READS = frozenset({"copy", "upload_part_copy", "get", "get_range"})


class SimStore:
    """One bucket as one process sees it. Every async method of the port goes through ``_call``."""

    def __init__(
        self,
        world: World,
        process: Process,
        store: MemoryStore,
        place: Place | None,
        *,
        is_engines: bool = True,
    ) -> None:
        """A bucket for the engine, or for those who walk over listings: they are not counted."""
        self._world = world
        self._process = process
        self._store = store
        self._place = place
        self._is_engines = is_engines
        self._name = "source" if place is None else place.name

    @property
    def bucket(self) -> str:
        return self._store.bucket

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, operation)

        async def call(key: str, *args: Any, **options: Any) -> Any:
            return await self._call(operation, method, key, args, options)

        return call

    async def keeps_versions(self) -> Any:
        return await self._call(
            "keeps_versions", lambda _: self._store.keeps_versions(), "", (), {}
        )

    async def close(self) -> None:
        """Nothing is held."""

    async def _call(
        self,
        operation: str,
        method: Callable[..., Coroutine[Any, Any, Any]],
        key: str,
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        world = self._world
        self._process.check()
        if operation == "list_page":
            options = {**options, "limit": 2}
        elif operation == "list_versions":
            options = {**options, "limit": 3}
        if self._is_engines:
            world.requested(self._name, operation, key)
        arrives = False
        try:
            await asyncio.sleep(world.latency_s())
            arrives = True
        finally:
            if not arrives and operation in WRITES and world.rng.random() < 0.5:
                # The process died, but the request was on its way already.
                self._act_blindly(operation, method, key, args, options)
        error = self._refusal(operation)
        if error is not None:
            self._count_fault()
            world.note(self._name, operation, key, error.code)
            error.of_source = self._place is None
            raise error
        if operation in WRITES:
            world.effect()
            self._process.check()
        answer = await self._act(operation, method, key, args, options)
        world.note(self._name, operation, key, "done")
        if operation in WRITES:
            world.effect()
            self._process.check()
        if not world.calm and world.chance(world.options.lost_after):
            await asyncio.sleep(world.latency_s())
            self._count_fault()
            raise Unavailable(
                "the answer got lost",
                maybe_applied=operation in WRITES,
                of_source=self._place is None,
            )
        return answer

    def _count_fault(self) -> None:
        """A fault that an attempt may fail for."""
        if self._is_engines:
            self._world.audit.faulted(self._name)

    def _refusal(self, operation: str) -> StoreError | None:
        """What the store says instead of acting, or what becomes of the request on its way."""
        world, options = self._world, self._world.options
        if world.calm:
            return None
        if self._name in world.denied:
            return AccessDenied("denied", status=403)
        if world.chance(options.fails):
            return Unavailable("internal error", status=500)
        if world.chance(options.throttles):
            return Throttled("slow down", status=503, retry_after_s=world.rng.choice((None, 0.5)))
        if world.chance(options.lost_before):
            return Unavailable("connection reset", maybe_applied=operation in WRITES)
        if operation in READS and world.chance(options.false_412):
            return SourceChanged("changed, it says", status=412)
        return None

    async def _act(
        self,
        operation: str,
        method: Callable[..., Coroutine[Any, Any, Any]],
        key: str,
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        world, place = self._world, self._place
        if key and self._is_engines and world.moves_now():
            world.audit.faults += 1
            world.change(options.get("source_key", world.source_key(place, key)))
        if place is None:
            answer = await method(key, *args, **options)
            if operation == "head" and self._is_engines:
                world.audit.probed(key, answer)
            elif operation == "get":
                # The memory store takes its etag for the digest, but the etag may be opaque here.
                digest = hashlib.md5(answer.content, usedforsecurity=False).hexdigest()
                answer = replace(answer, md5_hex=digest)
            return answer
        if place.lies:
            options = {
                name: None if name == "if_match" and operation in PINNED else value
                for name, value in options.items()
            }
        before = self._store.objects.get(key)
        if operation == "delete_version":
            for entry in entries_of(self._store.objects, key):
                if entry.version_id == args[0]:
                    assert isinstance(world.audit, HistoryAudit)
                    world.audit.removed(place, key, entry)
        answer = await method(key, *args, **options)
        if operation in {"put", "copy", "complete_upload"}:
            answer = self._altered(operation, key, answer)
            world.audit.wrote(place, key, self._store.objects[key])
        elif operation == "delete" and before is not None:
            world.audit.deleted(place, key, before)
        return answer

    def _altered(self, operation: str, key: str, answer: Any) -> Any:
        """What a store with other etags, or with holes, made of the write."""
        world, place, objects = self._world, self._place, self._store.objects
        assert place is not None
        if place.opaque:
            _amend(objects, key, replace(objects[key], etag=f"opaque-{world.number()}"))
        checked = operation == "put" or place.way is Way.SERVER
        if place.spoils and checked and not world.calm and world.chance(place.spoils):
            world.audit.faults += 1
            _amend(objects, key, replace(objects[key], content=objects[key].content[:-1]))
        # The memory store answers with the source's etag, which is another one if it is opaque.
        return answer._replace(etag=objects[key].etag)

    def _act_blindly(
        self,
        operation: str,
        method: Callable[..., Coroutine[Any, Any, Any]],
        key: str,
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> None:
        """Act without anybody who hears of it; no store of the simulation suspends."""
        act = self._act(operation, method, key, args, options)
        try:
            act.send(None)
        except (StopIteration, StoreError):
            return
        raise AssertionError("a memory store suspended")


def _amend(objects: dict[str, StoredObject], key: str, stored: StoredObject) -> None:
    """Put ``stored`` in place of the current object: no version more."""
    if isinstance(objects, VersionedObjects):
        entries = objects.history[key]
        entries[-1] = replace(entries[-1], stored=stored)
        dict.__setitem__(objects, key, stored)
    else:
        objects[key] = stored
