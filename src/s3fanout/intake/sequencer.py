"""Order tokens of AWS, and the hexadecimal text that all vendors write theirs in.

Amazon S3 user guide, "Event message structure": right-pad the shorter of two sequencers with zeros,
then compare them as text; only for events of the same key; only PUT and DELETE events have one. The
documents show both upper and lower case. Without its trailing zeros a sequencer compares as text
exactly as the padded ones do (if one is a prefix of the other, the longer one goes on to a digit
that is not zero), so this is the form of a token.
"""

from __future__ import annotations

from s3fanout.model.events import OrderPoint

S3_SCHEME = "aws-s3"
EVENTBRIDGE_SCHEME = "aws-eventbridge"
"""Not compared with ``aws-s3``: EventBridge samples lack the leading ``00`` of S3's, and right
padding would then order them by their lengths."""

DIGITS_MAX = 64
"""AWS's have 16 to 18. What is longer than this is not a sequencer."""

_HEX_DIGITS = "0123456789ABCDEF"


def hex_digits(value: object) -> str | None:
    """Upper-case hexadecimal digits; ``None`` for anything else and for nothing but zeros."""
    if not isinstance(value, str) or len(value) > DIGITS_MAX:
        return None
    digits = value.upper()
    # strip() removes from both ends only: something is left over if any character is not a digit.
    if digits.strip(_HEX_DIGITS) or not digits.strip("0"):
        return None
    return digits


def s3_order(sequencer: object) -> OrderPoint | None:
    """The order point of a record that Amazon S3 sent itself, by SNS or by SQS."""
    digits = hex_digits(sequencer)
    return None if digits is None else OrderPoint(S3_SCHEME, digits.rstrip("0"), trusted=True)


def eventbridge_order(sequencer: object) -> OrderPoint | None:
    """The order point of an EventBridge event."""
    digits = hex_digits(sequencer)
    if digits is None:
        return None
    return OrderPoint(EVENTBRIDGE_SCHEME, digits.rstrip("0"), trusted=True)
