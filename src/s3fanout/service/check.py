"""``s3fanout check``: ask the real stores, leave nothing behind, say what to fix."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from s3fanout.adapters.checksums import EXTRA, computable
from s3fanout.adapters.store.s3 import S3Store
from s3fanout.adapters.store.s3_abilities import ask_abilities
from s3fanout.adapters.store.s3_probe import (
    StoreVendor,
    probe_write,
    refuses_wrong_copies,
    server_of,
    store_clock_ms,
)
from s3fanout.config.references import check_references
from s3fanout.config.replicas import Annotations
from s3fanout.config.rules import rule_of, vendor_of
from s3fanout.config.settings import Destination, Settings
from s3fanout.decide.backfill import unfilled
from s3fanout.decide.keeping import NO_TAGS_CODES
from s3fanout.decide.match import common_prefix
from s3fanout.model.abilities import NO, YES, Ability
from s3fanout.model.errors import AccessDenied, Misconfigured, S3FanoutError, StoreError
from s3fanout.model.objects import Listed, Present
from s3fanout.model.rules import Versions
from s3fanout.model.vendors import Vendor
from s3fanout.ports.object_store import ObjectStore
from s3fanout.service.abilities import CHECK_KEY, check_key, order_shown
from s3fanout.wiring import Stores, knowledge_of, open_ledger, open_sqs, system_clock

TRIAL_BYTES_MAX = 1024 * 1024
"""A store that ignores the pin of a copy makes an object of this size at most, for a moment."""
UPLOAD_AGE_S = 24 * 3600.0
SKEW_MAX_S = 60.0
"""S3 refuses requests from 15 minutes on (``RequestTimeTooSkewed``); a minute is worth a word."""


class Grade(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer of one store.

    Attributes:
        target: ``source``, the destination's name, or ``sqs``.
        check: What was asked, stable words.
        grade: Whether it must be fixed.
        message: What was found.
        hint: What to do.
        code: Error code of a failure.
    """

    target: str
    check: str
    grade: Grade
    message: str
    hint: str = ""
    code: str = ""


async def probe(
    settings: Settings, env: Mapping[str, str], *, found: Callable[[Finding], None]
) -> list[Finding]:
    """All findings, also told one by one to ``found`` as they come."""
    findings: list[Finding] = []

    def tell(finding: Finding) -> None:
        findings.append(finding)
        found(finding)

    for problem in check_references(settings, env):
        tell(Finding(problem.path, "reference", Grade.FAILED, problem.message, problem.hint))
    if findings:
        return findings
    stores = Stores(settings, env, clock=system_clock())
    try:
        smallest = await _source(settings, stores, tell)
        shown = await asyncio.gather(
            *(_destination(settings, name, stores, smallest, tell) for name in settings.enabled)
        )
        await _sqs(settings, stores, tell)
        await _keep(settings, stores, dict(zip(settings.enabled, shown, strict=True)), tell)
        if smallest is not None:
            await _backfill(settings, tell)
        await _left_behind(settings, tell)
    finally:
        await stores.close()
    return findings


Tell = Callable[[Finding], None]


async def _source(settings: Settings, stores: Stores, tell: Tell) -> Listed | None:
    """Check the source; returns a small object of it, if it could be listed."""
    store = stores.open(settings.source)
    if not await _reachable("source", store, tell):
        return None
    page = None
    try:
        page = await store.list_page(limit=1000)
    except S3FanoutError as error:
        tell(_failure("source", "list", error))
        return None
    tell(Finding("source", "list", Grade.OK, "can be listed"))
    if any(each.versions is Versions.ALL for each in settings.enabled.values()):
        await _versions("source", store, tell)
    if not page.objects:
        tell(Finding("source", "read", Grade.WARNING, "is empty: reading could not be tried"))
        return None
    smallest = min(page.objects, key=lambda listed: listed.size_bytes)

    async def read() -> str:
        facts = await store.head(smallest.key)
        if isinstance(facts, Present) and facts.size_bytes <= settings.limits.part_size_bytes:
            await store.get(
                smallest.key, if_match=None, size_bytes_max=settings.limits.part_size_bytes
            )
        return "can be read"

    if not await _tried("source", "read", read, tell):
        return None
    kind = vendor_of(settings.source) or await StoreVendor(store, clock=system_clock())()
    # S3 does not tell those who may not read tags that an object has any: replicas would lack them.
    await _tried("source", "tags", lambda: tags_of_source(store, smallest.key, kind), tell)
    if not all(settings.copies_on_server(name) for name in settings.enabled):
        await _compared(store, smallest.key, tell)
    await _annotations(settings, store, smallest.key, tell)
    return smallest


async def tags_of_source(store: ObjectStore, key: str, kind: Vendor) -> str:
    """How the tags of objects are found out, for people. One request.

    Raises:
        StoreError: They may not be read, or the store does not answer.
    """
    try:
        await store.get_tags(key)
    except StoreError as error:
        if error.s3_code not in NO_TAGS_CODES:
            raise
        return "objects have no tags: the store knows none"
    if kind.tells_tags or kind.tags is False:
        return "tags can be read"
    return (
        "tags can be read, which costs a request for each streamed object until the store has told "
        "how many one of them has"
    )


async def _compared(store: ObjectStore, key: str, tell: Tell) -> None:
    """Whether what is read is compared with the checksums that the source keeps."""
    try:
        facts = await store.head(key)
    except S3FanoutError as error:
        tell(_failure("source", "checksums", error))
        return
    kept = {each.algorithm for each in facts.checksums} if isinstance(facts, Present) else set()
    if unknown := sorted(kept - computable()):
        said = f"{', '.join(unknown)} is kept, and not compared with what is read"
        tell(Finding("source", "checksums", Grade.WARNING, said, f"pip install '{EXTRA}'"))
    elif kept:
        said = f"{', '.join(sorted(kept))} is kept, and compared with what is read"
        tell(Finding("source", "checksums", Grade.OK, said))


async def _annotations(settings: Settings, store: ObjectStore, key: str, tell: Tell) -> None:
    """Whether the source knows annotations, and which destinations lose them. One request."""
    enabled = settings.enabled.items()
    kept = [name for name, to in enabled if to.annotations is Annotations.KEEP]
    try:
        await store.list_annotations(key)
    except AccessDenied as error:
        if kept:
            tell(_failure("source", "annotations", error))
    except S3FanoutError:
        return  # It knows none, or the attempt would say so.
    else:
        tell(Finding("source", "annotations", Grade.OK, "annotations can be listed"))
    for name in settings.enabled:
        if name in kept or settings.copies_on_server(name):
            continue
        said = "annotations are not streamed: replicas lack them, and no difference says so"
        hint = 'set annotations = "keep", for a request more for each replica, if objects have any'
        tell(Finding(name, "annotations", Grade.WARNING, said, hint))


async def _destination(
    settings: Settings, name: str, stores: Stores, smallest: Listed | None, tell: Tell
) -> dict[Ability, str]:
    """Check a destination; returns what its store showed."""
    to = settings.destinations[name]
    store = stores.open(to)
    if not await _reachable(name, store, tell):
        return {}
    vendor = vendor_of(to) or await StoreVendor(store, clock=system_clock())()
    tell(Finding(name, "vendor", Grade.OK, f"is {vendor.title}"))
    on_server = settings.copies_on_server(name)
    try:
        probed = await probe_write(
            store,
            check_key(settings, name),
            source_bucket=settings.source.bucket,
            source_key=smallest.key if smallest is not None and on_server else None,
        )
    except S3FanoutError as error:
        tell(_failure(name, "write", error))
        return {}
    tell(Finding(name, "write", Grade.OK, "can be written"))
    if probed.left_upload is not None:
        tell(
            Finding(
                name,
                "abort",
                Grade.WARNING,
                f"the empty upload {probed.left_upload} of {CHECK_KEY} could not be aborted",
                "allow s3:AbortMultipartUpload, or let a lifecycle rule abort old uploads",
            )
        )
    shown: dict[Ability, str] = {}
    if on_server:
        honoured = probed.conditions_honoured
        if honoured and to.endpoint is not None and smallest is not None:
            honoured = await _of_copies(settings, name, store, smallest, tell)
        tell(_conditions(name, honoured))
        if honoured is not None:
            shown[Ability.CONDITIONS] = YES if honoured else NO
    shown |= await _abilities(settings, name, store, vendor, tell)
    if to.versions is Versions.ALL:
        await _versions(name, store, tell)
    await _leftovers(name, to, store, tell)
    return shown


async def _of_copies(
    settings: Settings, name: str, store: S3Store, smallest: Listed, tell: Tell
) -> bool | None:
    """Whether copies of whole objects heed their pin, where copies of parts do."""
    if smallest.size_bytes > TRIAL_BYTES_MAX:
        return None
    key = check_key(settings, name)
    try:
        return await refuses_wrong_copies(
            store, key, source_bucket=settings.source.bucket, source_key=smallest.key
        )
    except S3FanoutError as error:
        said = f"the object {key!r}, which the store made of a trial, is not removed"
        tell(Finding(name, "abort", Grade.WARNING, f"{said}: {error.message}", "delete it"))
        return False


async def _keep(
    settings: Settings, stores: Stores, shown: Mapping[str, Mapping[Ability, str]], tell: Tell
) -> None:
    """Keep what the stores showed in the ledger, where there is one."""
    try:
        ledger = await open_ledger(settings, exclusive=False)
    except S3FanoutError as error:
        for name, found in shown.items():
            # All but this the daemon finds out by itself.
            if found.get(Ability.CONDITIONS) == YES and settings.destinations[name].endpoint:
                said = f"that copy conditions are honoured is not kept: {error.message}"
                hint = "check again once the daemon runs: it saves a look at some sources"
                tell(Finding(name, "abilities", Grade.OK, said, hint))
        return
    try:
        for name, found in shown.items():
            if not found:
                continue
            to = settings.destinations[name]
            store = stores.open(to)
            known = knowledge_of(to, store, ledger)
            try:
                known.met(await server_of(store))
            except S3FanoutError:
                continue
            if await known.keep(found, by="check"):
                said = "what it can do is kept in the ledger"
                tell(Finding(name, "abilities", Grade.OK, said))
    finally:
        await ledger.close()


async def _abilities(
    settings: Settings, name: str, store: S3Store, vendor: Vendor, tell: Tell
) -> dict[Ability, str]:
    """What the store holds of an object, beside what is known of its kind."""
    rule = rule_of(name, settings.destinations[name])
    try:
        seen = await ask_abilities(store, check_key(settings, name))
        page = await store.list_page(common_prefix(rule.key_map))
    except S3FanoutError as error:
        # It can be written, which is what a daemon needs; the rest is found out by refusals.
        said = f"what it holds could not be tried: {error.message}"
        tell(Finding(name, "abilities", Grade.WARNING, said, error.hint, error.code))
        return {}
    tell(
        Finding(
            name,
            "digests",
            Grade.OK,
            "altered parts are refused" + (", and those without digest" * seen.wants_digests),
        )
        if seen.checks_digests
        else Finding(
            name,
            "digests",
            Grade.WARNING,
            "altered parts are taken: this store does not check Content-MD5",
            "use https, which notices what the network alters",
        )
    )
    tell(_tags(name, vendor, seen.tags_refused))
    held = f"of a whole object in parts: {seen.checksums_text}"
    tell(Finding(name, "checksums", Grade.OK, held))
    unordered = order_shown(page.objects)
    if unordered:
        order = "does not list in the order of bytes: verify and the sweep sort by themselves"
    else:
        order = f"lists in the order of bytes, as far as {len(page.objects)} keys can tell"
    tell(Finding(name, "order", Grade.OK, order))
    return {**seen.answers(), **unordered}


def _tags(name: str, vendor: Vendor, refused: StoreError | None) -> Finding:
    if isinstance(refused, AccessDenied):
        return Finding(name, "tags", Grade.FAILED, refused.message, refused.hint, refused.code)
    lacks = "replicas lack them, a named difference; strict = true makes it a failure"
    if refused is not None:
        code = f"{refused.code}:{refused.s3_code}" if refused.s3_code else refused.code
        return Finding(name, "tags", Grade.WARNING, f"tags are refused: {code}", lacks)
    if vendor.tags is False:
        said = f"{vendor.title} is known to hold no tags: they are not sent"
        return Finding(name, "tags", Grade.WARNING, said, lacks)
    return Finding(name, "tags", Grade.OK, "tags are taken")


async def _versions(target: str, store: S3Store, tell: Tell) -> None:
    """Whether a bucket keeps versions and lists them. Two requests."""

    async def ask() -> str:
        if not await store.keeps_versions():
            raise Misconfigured(
                f"the bucket {store.bucket} does not keep versions, and all are wanted",
                hint='enable versioning (PutBucketVersioning), or set versions = "latest"',
            )
        await store.list_versions(CHECK_KEY, limit=1)
        return "versions are kept and can be listed"

    await _tried(target, "versions", ask, tell)


async def _leftovers(name: str, to: Destination, store: S3Store, tell: Tell) -> None:
    """Uploads that are never finished are invisible, and their parts are billed. One request."""
    try:
        uploads = await store.list_uploads(common_prefix(rule_of(name, to).key_map))
    except S3FanoutError:
        return  # Not every store can list them, nor does replication need the right to.
    old_ms = system_clock().now_ms() - round(UPLOAD_AGE_S * 1000)
    old = sum(0 < upload.begun_at_ms <= old_ms for upload in uploads)
    if not old:
        tell(Finding(name, "uploads", Grade.OK, "no unfinished uploads older than a day"))
        return
    hint = "a lifecycle rule aborts them, or abort_uploads_after where nobody else uploads in parts"
    if to.abort_uploads_after_s is not None:
        hint = "the daemon aborts those that it does not know after abort_uploads_after"
    message = f"{old} unfinished uploads are older than a day: invisible, and their parts are kept"
    tell(Finding(name, "uploads", Grade.WARNING, message, hint))


async def _left_behind(settings: Settings, tell: Tell) -> None:
    """Uploads that the ledger knows of destinations that nothing is copied to any more."""
    try:
        ledger = await open_ledger(settings, exclusive=False)
    except S3FanoutError:
        return  # There is none, or nobody can say now.
    try:
        for name in [each.destination for each in await ledger.summaries()]:
            count = 0 if name in settings.enabled else len(await ledger.uploads_of(name))
            if count:
                said = f"{count} unfinished uploads are known, and nothing is copied to it any more"
                hint = "the daemon aborts them at its next start, and every six hours"
                if name not in settings.destinations:
                    hint = (
                        f"put [destinations.{name}] back with enabled = false, start the daemon, "
                        "and take it out when this is gone; or let a lifecycle rule abort them"
                    )
                tell(Finding(name, "uploads", Grade.WARNING, said, hint))
    except S3FanoutError:
        return
    finally:
        await ledger.close()


def _conditions(name: str, honoured: bool | None) -> Finding:  # noqa: FBT001 - three values
    if honoured is None:
        return Finding(
            name,
            "conditions",
            Grade.WARNING,
            "copy conditions could not be tried",
            "the engine looks at the source again where an answer does not prove the copy",
        )
    if honoured:
        return Finding(name, "conditions", Grade.OK, "copy conditions are honoured")
    return Finding(
        name,
        "conditions",
        Grade.WARNING,
        "copy conditions are ignored by this store",
        "nothing to do: the engine compares etags and looks at the source again by itself",
    )


async def _reachable(target: str, store: S3Store, tell: Tell) -> bool:
    clock = system_clock()
    try:
        store_ms = await store_clock_ms(store)
    except S3FanoutError as error:
        tell(_failure(target, "reach", error))
        return False
    tell(Finding(target, "reach", Grade.OK, f"bucket {store.bucket} answers"))
    if store_ms is not None:
        skew_s = (clock.now_ms() - store_ms) / 1000
        if abs(skew_s) > SKEW_MAX_S:
            tell(
                Finding(
                    target,
                    "clock",
                    Grade.WARNING,
                    f"this machine's clock is {skew_s:+.0f} s off the store's",
                    "set the clock (NTP): from 15 minutes on, S3 refuses every request",
                )
            )
    return True


async def _backfill(settings: Settings, tell: Tell) -> None:
    """Offer to copy what was there before, where the ledger knows nothing of a destination."""
    known: list[str] = []
    try:
        ledger = await open_ledger(settings, exclusive=False)
    except Misconfigured:
        pass  # There is none yet.
    except S3FanoutError:
        return  # Nobody can say now.
    else:
        try:
            known = [each.destination for each in await ledger.summaries()]
        except S3FanoutError:
            return
        finally:
            await ledger.close()
    for name in unfilled(settings.enabled, known):
        tell(
            Finding(
                name,
                "backfill",
                Grade.WARNING,
                "the source has objects, and nothing was replicated to here yet",
                f"events tell of changes only; for what is there: s3fanout backfill -d {name}",
            )
        )


async def _sqs(settings: Settings, stores: Stores, tell: Tell) -> None:
    queue = open_sqs(settings, stores)
    if queue is None:
        return

    async def ask() -> str:
        return f"queue answers, about {await queue.probe()} messages"

    await _tried("sqs", "reach", ask, tell)


async def _tried(target: str, check: str, ask: Callable[[], Awaitable[str]], tell: Tell) -> bool:
    try:
        message = await ask()
    except S3FanoutError as error:
        tell(_failure(target, check, error))
        return False
    tell(Finding(target, check, Grade.OK, message))
    return True


def _failure(target: str, check: str, error: S3FanoutError) -> Finding:
    return Finding(target, check, Grade.FAILED, error.message, error.hint, error.code)
