"""Histories of keys, and destinations that get all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from s3fanout.adapters.store.memory import MemoryStore, StoredObject
from s3fanout.adapters.store.memory_versions import VersionedObjects
from s3fanout.model.limits import Limits
from s3fanout.model.objects import ObjectAttributes
from s3fanout.model.rules import Deletes, Versions
from tests.functional.world import To, World

MakeWorld = Callable[..., World]
WRITES = {"CopyObject", "PutObject", "DeleteObject", "CompleteMultipartUpload"}
LIMITS = Limits(part_bytes=16, part_bytes_min=1, copy_bytes_max=64, copy_part_bytes=16)
"""Small objects are copied at once, those of more than 64 bytes in parts."""


def all_of(name: str = "a", **more: object) -> To:
    """A destination that gets every version and delete marker."""
    chosen: dict[str, object] = {"versions": Versions.ALL, "deletes": Deletes.REPLICATE}
    return To(name, **chosen | more)  # type: ignore[arg-type]


def versioned(bucket: MemoryStore) -> VersionedObjects[StoredObject]:
    objects = bucket.objects
    assert isinstance(objects, VersionedObjects)
    return objects


def history(bucket: MemoryStore, key: str) -> list[object]:
    """What a key's history holds, oldest first: bytes and attributes, or ``None`` for a marker."""
    return [
        None if entry.stored is None else (entry.stored.content, entry.stored.attributes)
        for entry in versioned(bucket).history.get(key, [])
    ]


def ids(bucket: MemoryStore, key: str) -> list[str]:
    return [entry.version_id for entry in versioned(bucket).history.get(key, [])]


def assert_equal(world: World, key: str = "key") -> None:
    for name, bucket in world.buckets.items():
        assert (name, history(bucket, key)) == (name, history(world.source, key))


def deleted(world: World, key: str = "key") -> bytes:
    """Delete a source object. Returns the message that its store sends."""
    world.source.objects.pop(key, None)
    return world.message_of(world.record(key, name="ObjectRemoved:DeleteMarkerCreated"))


def removed_version(world: World, number: int, key: str = "key") -> bytes:
    """Remove a version of the source for good. Returns the message that its store sends."""
    versioned(world.source).remove_version(key, ids(world.source, key)[number])
    return world.message_of(world.record(key, name="ObjectRemoved:Delete"))


def a_life(world: World, *, opaque: bool = False) -> list[bytes]:
    """Versions small and in parts, equal ones too, and delete markers. Returns their messages."""
    tagged = ObjectAttributes({"content-type": "text/x"}, {"of": "it"}, {"tag": "1"})
    messages = [
        world.put("key", b"first"),
        world.put("key", b"second", tagged),
        deleted(world),
        deleted(world),
        world.put("key", b"first"),
        world.put("key", b"in parts " * 10, tagged),
        world.put("key", b"last but one"),
        deleted(world),
        world.put("key", b"last"),
    ]
    if opaque:
        # As after an upload in parts: a copy has an etag of its own.
        entries = versioned(world.source).history["key"]
        for at, entry in enumerate(entries):
            if entry.stored is not None:
                other = replace(entry.stored, etag=f"{at:032x}-2")
                entries[at] = replace(entry, stored=other)
        versioned(world.source).remove_version("key", "none")  # The current object is another now.
    return messages
