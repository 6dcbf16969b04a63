"""The numbers that the engine works within. Every loop, queue and buffer has one."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
GIB = 1024 * MIB

COPY_BYTES_MAX = 5 * GIB
"""Largest source of one CopyObject request (AWS, "CopyObject" API reference, 2026-11)."""

PART_BYTES_MIN = 5 * MIB
"""Smallest part of an upload but for the last one (AWS user guide, "Multipart upload limits")."""
PART_BYTES_MAX = 5 * GIB
"""Largest part; likewise."""
PARTS_MAX = 10_000
"""Most parts of an upload; likewise."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard and how long the engine tries.

    Attributes:
        attempts_max: Counted attempts before a job becomes a dead letter.
        retry_base_s, retry_cap_s: Full jitter: a failed attempt ``n`` (from 1) waits between 0 and
            ``min(retry_cap_s, retry_base_s * 2 ** (n - 1))``.
        replans_max: How often one attempt re-reads a source that keeps changing before it gives
            the job back.
        part_bytes: Largest object that is streamed in one piece; larger ones in parts of this size.
        part_bytes_min: Smallest part.
        copy_bytes_max: Largest object that is copied by one CopyObject; larger ones in parts.
        copy_part_bytes: Size of those, where the source's own is not known. One has to be copied
            within the time of a request, and each costs the store some beside its bytes.
        parts_in_flight: Parts of one replica that are written at a time.
        stream_bytes: Memory for what was read and is shared by destinations: half of it for whole
            objects, half for parts.
        circuit_failures: Failures in a row, of any objects, that open a destination's circuit.
        circuit_base_s, circuit_cap_s: How long it stays open before one attempt probes, doubling.
        drain_s: How long a graceful stop waits for attempts in hand before it gives them back.
        unsettled_max: Finished attempts that may wait for the ledger before workers pause.
        deletes_max, deletes_percent_max, deletes_window_s: See ``decide.guard``.
    """

    attempts_max: int = 16
    retry_base_s: float = 0.5
    retry_cap_s: float = 300.0
    replans_max: int = 4
    part_bytes: int = 8 * MIB
    part_bytes_min: int = PART_BYTES_MIN
    copy_bytes_max: int = COPY_BYTES_MAX
    copy_part_bytes: int = 256 * MIB
    parts_in_flight: int = 4
    stream_bytes: int = 128 * MIB
    circuit_failures: int = 5
    circuit_base_s: float = 1.0
    circuit_cap_s: float = 60.0
    drain_s: float = 20.0
    unsettled_max: int = 4096
    deletes_max: int = 1000
    deletes_percent_max: int = 25
    deletes_window_s: float = 3600.0
