r"""SeaweedFS: changes of filer entries, of which S3 objects are one sort.

A message is ``{"event_type", "key", "message": {"old_entry", "new_entry", "new_parent_path"}}``.
``key`` is the unencoded path ``/buckets/<bucket>/<key>`` of the old entry, or of the new one where
there was none. What happened is read off the entries, not off ``event_type``, whose spelling of a
rename differs between versions.

| path and entry | what it is |
|---|---|
| not below ``/buckets/<name>``, or a name that starts with a dot | ignored: ``outside-buckets`` |
| ``<bucket>/.uploads/…`` | ignored: ``multipart-part`` |
| a directory (a bucket, a folder, ``K.versions``, which points at the latest version) | ignored: ``directory`` |
| a directory with an S3 etag | the object ``K/`` |
| ``K.versions/v_<id>`` whose extended attributes name that version id | version ``<id>`` of ``K`` |
| anything else | the object of that path |

| old | new | meaning |
|---|---|---|
| – | object | created (removed, if it is a delete marker) |
| object | – | removed |
| object | object, other bytes | created |
| object | object, same bytes | attributes |
| version | the same, but for being noncurrent now | ignored: ``other-event``; the newer one has its own event |
| object | object, other path | removed there, created here |

No order point: nothing in a message grows with each change of a key, and messages of one request
come in any order. (Payloads of SeaweedFS 4.48; ``extended`` and ``md5`` are base64.)
"""  # noqa: E501 - a table row cannot be broken

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass

from s3fanout.intake import fields
from s3fanout.model.errors import MalformedEvent
from s3fanout.model.events import ChangeEvent, ChangeKind, Ignored, Route

_ROOT = "/buckets/"
_UPLOADS = ".uploads"
_VERSIONS = ".versions"
_ETAG = "Seaweed-X-Amz-ETag"
_VERSION_ID = "Seaweed-X-Amz-Version-Id"
_DELETE_MARKER = "Seaweed-X-Amz-Delete-Marker"
_NONCURRENT_SINCE = "Seaweed-X-Amz-Noncurrent-Since-Ns"
_NS_PER_MS = 1_000_000

Entry = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Place:
    """An S3 object, or one version of it, that an entry stands for."""

    bucket: str
    key: str
    version_id: str | None


@dataclass(frozen=True, slots=True)
class _Message:
    """What every event of one message has in common."""

    name: str
    received_at_ms: int
    is_rename: bool


def is_message(document: dict[str, object]) -> bool:
    """Whether a document has the shape of this route."""
    return isinstance(document.get("event_type"), str) and isinstance(document.get("message"), dict)


def read_message(
    document: dict[str, object], received_at_ms: int
) -> Iterator[ChangeEvent | Ignored]:
    """What one webhook message says: one thing, or two for a rename.

    Args:
        document: The decoded message, for which ``is_message`` is true.
        received_at_ms: When it arrived.

    Raises:
        MalformedEvent: ``unknown-shape`` or ``bad-key``.
    """
    path, change = document.get("key"), document.get("message")
    if not isinstance(path, str) or not isinstance(change, dict):
        raise MalformedEvent("unknown-shape", "key is not text or message is not an object")
    old, new = _entry(change.get("old_entry")), _entry(change.get("new_entry"))
    if old is None and new is None:
        raise MalformedEvent("unknown-shape", "message without old_entry and new_entry")
    new_path = path
    if old is not None and new is not None:
        parent, entry_name = change.get("new_parent_path"), new.get("name")
        if isinstance(parent, str) and parent and isinstance(entry_name, str):
            new_path = f"{parent.rstrip('/')}/{entry_name}"
    name = fields.printable(document.get("event_type"))
    is_rename = new_path != path
    message = _Message(name, received_at_ms, is_rename)
    if not is_rename:
        yield _change(message, path, old, new)
    else:
        yield _change(message, path, old, None)
        yield _change(message, new_path, None, new)


def _entry(value: object) -> Entry | None:
    return value if isinstance(value, dict) else None


def _change(
    message: _Message, path: str, old: Entry | None, new: Entry | None
) -> ChangeEvent | Ignored:
    """What became of the entry of one path."""
    before = _place(path, old) if old is not None else None
    after = _place(path, new) if new is not None else None
    if isinstance(after, _Place) and new is not None:
        kind = ChangeKind.CREATED
        if isinstance(before, _Place) and old is not None and _same_bytes(old, new):
            if _only_became_noncurrent(old, new):
                return Ignored("other-event", f"{fields.quoted(path)} is not the latest version")
            kind = ChangeKind.ATTRIBUTES_CHANGED
        if _DELETE_MARKER in _extended(new):
            kind = ChangeKind.REMOVED
        return _event(message, kind, after, new)
    if isinstance(before, _Place) and old is not None:
        return _event(message, ChangeKind.REMOVED, before, old)
    ignored = after if after is not None else before
    return ignored if isinstance(ignored, Ignored) else Ignored("directory", fields.quoted(path))


def _place(path: str, entry: Entry) -> _Place | Ignored:
    """Which object an entry stands for, or why it stands for none."""
    if not path.startswith(_ROOT):
        return Ignored("outside-buckets", fields.quoted(path))
    bucket, _, key = path[len(_ROOT) :].partition("/")
    is_directory = bool(entry.get("is_directory"))
    if bucket.startswith(".") or not bucket.isprintable() or not (key or is_directory):
        return Ignored("outside-buckets", fields.quoted(path))
    if key == _UPLOADS or key.startswith(_UPLOADS + "/"):
        return Ignored("multipart-part", fields.quoted(path))
    extended = _extended(entry)
    version_id = _decoded_text(extended.get(_VERSION_ID)) or None
    folder, _, name = key.rpartition("/")
    if is_directory:
        if not bucket or not key or _ETAG not in extended:
            return Ignored("directory", fields.quoted(path))
        key += "/"
    elif version_id is not None and name == f"v_{version_id}" and folder.endswith(_VERSIONS):
        key = folder.removesuffix(_VERSIONS)
    if not bucket:
        raise MalformedEvent("unknown-shape", "path without a bucket's name")
    return _Place(bucket, fields.plain_key(key), version_id)


def _event(message: _Message, kind: ChangeKind, place: _Place, entry: Entry) -> ChangeEvent:
    newest_ns = _newest_ns(entry)
    # The times of an entry are those of its last write, which was something else than this event
    # if the event is a delete, a rename or a change of tags.
    written = kind is ChangeKind.CREATED and not message.is_rename
    event_at_ms = newest_ns // _NS_PER_MS if written and newest_ns else message.received_at_ms
    # Zero is not sent; chunks without a size of their sum are of a client that does not set it.
    size = _attributes(entry).get("file_size", None if _chunks(entry) else 0)
    return ChangeEvent(
        Route.SEAWEEDFS,
        message.name,
        kind,
        place.bucket,
        place.key,
        min(event_at_ms, message.received_at_ms),
        place.version_id,
        _etag(entry),
        None if kind is ChangeKind.REMOVED else fields.size_bytes(size),
    )


def _attributes(entry: Entry) -> dict[str, object]:
    value = entry.get("attributes")
    return value if isinstance(value, dict) else {}


def _extended(entry: Entry) -> dict[str, object]:
    value = entry.get("extended")
    return value if isinstance(value, dict) else {}


def _chunks(entry: Entry) -> list[dict[str, object]]:
    value = entry.get("chunks")
    return [chunk for chunk in value if isinstance(chunk, dict)] if isinstance(value, list) else []


def _newest_ns(entry: Entry) -> int:
    """Nanoseconds of the newest chunk or, if later, of the entry; 0 where it has neither.

    The entry's own time has a resolution of one second, unless ``mtime_ns`` is set; the chunks of
    a multipart upload may be hours older than its completion.
    """
    attributes = _attributes(entry)
    seconds = fields.size_bytes(attributes.get("mtime")) or 0
    fraction = fields.size_bytes(attributes.get("mtime_ns")) or 0
    newest = seconds * 1_000_000_000 + fraction
    for chunk in _chunks(entry):
        newest = max(newest, fields.size_bytes(chunk.get("modified_ts_ns")) or 0)
    return newest


def _same_bytes(old: Entry, new: Entry) -> bool:
    return (
        _etag(old) == _etag(new)
        and _attributes(old).get("file_size", 0) == _attributes(new).get("file_size", 0)
        and old.get("content") == new.get("content")
        and [_chunk_identity(c) for c in _chunks(old)] == [_chunk_identity(c) for c in _chunks(new)]
    )


def _chunk_identity(chunk: dict[str, object]) -> tuple[object, ...]:
    """What tells two chunks apart (an old entry's chunk also repeats its fid as text)."""
    names = ("fid", "offset", "size", "modified_ts_ns", "e_tag")
    return tuple(chunk.get(name) for name in names)


def _only_became_noncurrent(old: Entry, new: Entry) -> bool:
    before, after = _extended(old), dict(_extended(new))
    became = after.pop(_NONCURRENT_SINCE, None) is not None and _NONCURRENT_SINCE not in before
    return became and before == after and _attributes(old) == _attributes(new)


def _etag(entry: Entry) -> str | None:
    """The S3 etag where the gateway stored one, else the MD5 that the filer computed."""
    stored = fields.etag(_decoded_text(_extended(entry).get(_ETAG)))
    return stored or _decoded(_attributes(entry).get("md5")).hex() or None


def _decoded_text(value: object) -> str:
    try:
        return fields.printable(_decoded(value).decode())
    except UnicodeDecodeError:
        return ""


def _decoded(value: object) -> bytes:
    """Base64 of a protobuf ``bytes`` field; empty for anything else."""
    if not isinstance(value, str):
        return b""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return b""
