"""Wire formats in, change events out. Pure: no I/O, no clock, and nothing raises.

``parse_message`` finds out by the content which route a message came by. There is one file per
route; ``detect`` knows them all, and ``fields``, ``names`` and ``sequencer`` read single values.
"""

from __future__ import annotations

from s3fanout.intake.detect import PAYLOAD_BYTES_MAX, WRAPPINGS_MAX, parse_message

__all__ = ["PAYLOAD_BYTES_MAX", "WRAPPINGS_MAX", "parse_message"]
