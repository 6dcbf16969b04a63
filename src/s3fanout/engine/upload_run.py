"""One multipart upload in hand: what is there of it, and what was read and sent."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from s3fanout.decide.checksums import composite_of_parts, told_checksum, whole_of_parts
from s3fanout.decide.parts import Layout, etag_of_parts
from s3fanout.model.errors import Unavailable
from s3fanout.model.objects import Present, UploadedPart
from s3fanout.model.uploads import ReplicaUpload

if TYPE_CHECKING:
    from s3fanout.engine.keeper import Load
    from s3fanout.model.objects import Checksum, PartBody


@dataclass(frozen=True, slots=True)
class Source:
    """The state of the source that is copied.

    Attributes:
        facts: As probed.
        load: What the replica is to carry.
        version_id: Of the object, if it is not the current one.
    """

    facts: Present
    load: Load
    version_id: str | None = None


class AlteredBytes(Unavailable):
    """What was read are not the bytes that the source keeps a checksum of."""


@dataclass(slots=True)
class UploadRun:
    """One upload in hand.

    Attributes:
        source: What it is to be.
        upload: As the ledger knows it.
        layout: How it is cut.
        done: Parts that are there, by number.
        carried: The source's composite checksum, if the upload was begun with one of its kind.
        told: The source's checksum that what is read is compared with.
        sent: MD5 digests of the parts that this attempt sent, by number.
        checksums: Of the algorithm of ``told``, of the parts that this process read for the upload,
            or that the store copied and told, by number.
    """

    source: Source
    upload: ReplicaUpload
    layout: Layout
    done: dict[int, UploadedPart]
    carried: Checksum | None
    checksums: dict[int, str]
    told: Checksum | None = field(init=False)
    sent: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.told = told_checksum(self.source.facts, parts=self.layout.count)
        if self.carried is not None:
            # Some stores want them all to complete the upload, and list none (SeaweedFS 4.48,
            # probed 2026-11): then parts that another process sent are sent again.
            known = {
                number: replace(part, checksum=part.checksum or self.checksums.get(number, ""))
                for number, part in self.done.items()
            }
            self.done = {number: part for number, part in known.items() if part.checksum}

    def sends(self, number: int, body: PartBody) -> None:
        """Part ``number`` was read, and is sent now."""
        self.sent[number] = body.md5_hex
        if body.checksum:
            self.checksums[number] = body.checksum

    def copied(self, part: UploadedPart) -> None:
        """The store made a part by itself."""
        self.done[part.number] = part
        if part.checksum:
            self.checksums[part.number] = part.checksum

    def parts(self) -> list[UploadedPart]:
        """Those that are there, in order."""
        return [self.done[number] for number in sorted(self.done)]

    def sent_etag(self) -> str | None:
        """The etag that S3 makes of what this attempt sent; ``None`` if it did not send all."""
        if len(self.sent) < self.layout.count:
            return None
        return etag_of_parts(
            [
                UploadedPart(number, self.sent[number], self.layout.length_of(number))
                for number in sorted(self.sent)
            ]
        )

    def found_checksum(self) -> Checksum | None:
        """Of what was read, to be compared with ``told``; ``None`` if that is not all."""
        if self.told is None or len(self.checksums) < self.layout.count:
            return None
        numbers = range(1, self.layout.count + 1)
        algorithm = self.told.algorithm
        if not self.told.full_object:
            return composite_of_parts(algorithm, [self.checksums[number] for number in numbers])
        return whole_of_parts(
            algorithm,
            ((self.checksums[number], self.layout.length_of(number)) for number in numbers),
        )


class PartChecksums:
    """Those of parts that were read for uploads that are not finished, by upload id."""

    UPLOADS_MAX = 100

    def __init__(self) -> None:
        self._of: OrderedDict[str, dict[int, str]] = OrderedDict()

    def of(self, upload_id: str) -> dict[int, str]:
        """By number; what is put into it is remembered."""
        found = self._of.setdefault(upload_id, {})
        self._of.move_to_end(upload_id)
        while len(self._of) > self.UPLOADS_MAX:
            self._of.popitem(last=False)
        return found

    def forget(self, upload_id: str) -> None:
        """The upload is finished."""
        self._of.pop(upload_id, None)


class TwiceRead:
    """Composite checksums of what was read that are not the ones that sources tell.

    The bytes may be altered, or the object is cut in another way than it seems, in parts of several
    sizes. Another read tells: what is altered by chance is not altered twice in the same way.
    """

    REMEMBERED_MAX = 1000

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], str] = {}

    def is_as_told(self, run: UploadRun) -> bool:
        """Whether what was read has the source's checksum; ``False`` if that cannot be told.

        Raises:
            AlteredBytes: It has another one.
        """
        told, found = run.told, run.found_checksum()
        if told is None or found is None:
            return False
        name = (run.upload.key, run.source.facts.etag)
        before = self._seen.pop(name, None)
        if found == told:
            return True
        if not told.full_object:
            if before == found.value:
                return False
            if len(self._seen) >= self.REMEMBERED_MAX:
                self._seen.clear()
            self._seen[name] = found.value
        raise AlteredBytes(
            f"the bytes that were read have the {told.algorithm} {found.value}, the source has "
            f"{told.value} key={run.upload.key!r}",
            operation="GetObject",
            status=HTTPStatus.OK,  # It does answer: one object says nothing of the others.
            s3_code="WrongChecksum",
            of_source=True,
        )
