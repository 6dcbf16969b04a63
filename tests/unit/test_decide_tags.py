"""What the silence of a store about tags means."""

from __future__ import annotations

import pytest

from s3fanout.decide.tags import DENIED_S, HEARD_S, Heard, Silence, meaning_of_silence
from s3fanout.model.vendors import OTHER, Vendor, VendorName, vendor_named

AWS = vendor_named(VendorName.AWS)
R2 = vendor_named(VendorName.R2)
NOW_S = 10_000.0
LATELY_S, OLD_S = NOW_S - HEARD_S, NOW_S - HEARD_S - 1


@pytest.mark.parametrize(
    ("vendor", "heard", "meaning", "of_a_large_one"),
    [
        (R2, Heard(), Silence.NONE, Silence.NONE),
        (AWS, Heard(), Silence.ASK_ONCE, Silence.ASK),
        (AWS, Heard(read_s=LATELY_S), Silence.NONE, Silence.ASK),
        (AWS, Heard(read_s=OLD_S), Silence.ASK_ONCE, Silence.ASK),
        (AWS, Heard(told_s=LATELY_S), Silence.NONE, Silence.ASK),
        (AWS, Heard(told_s=OLD_S), Silence.ASK_ONCE, Silence.ASK),
        (AWS, Heard(denied_s=NOW_S - DENIED_S), Silence.HIDDEN, Silence.HIDDEN),
        (AWS, Heard(denied_s=NOW_S - DENIED_S - 1), Silence.ASK_ONCE, Silence.ASK),
        (AWS, Heard(read_s=LATELY_S, hid=True), Silence.ASK, Silence.ASK),
        (AWS, Heard(unknown_s=LATELY_S), Silence.NONE, Silence.NONE),
        (OTHER, Heard(), Silence.ASK, Silence.ASK),
        (OTHER, Heard(read_s=LATELY_S), Silence.ASK, Silence.ASK),
        (OTHER, Heard(told_s=LATELY_S), Silence.NONE, Silence.ASK),
        (OTHER, Heard(told_s=OLD_S), Silence.ASK, Silence.ASK),
        (OTHER, Heard(unknown_s=LATELY_S), Silence.NONE, Silence.NONE),
        (OTHER, Heard(unknown_s=OLD_S), Silence.ASK, Silence.ASK),
        (OTHER, Heard(denied_s=LATELY_S), Silence.ASK, Silence.ASK),
    ],
)
def test_silence_means_none_only_with_evidence(
    vendor: Vendor, heard: Heard, meaning: Silence, of_a_large_one: Silence
) -> None:
    assert meaning_of_silence(vendor, heard, now_s=NOW_S) is meaning
    assert meaning_of_silence(vendor, heard, now_s=NOW_S, is_large=True) is of_a_large_one


def test_a_count_ends_a_refusal_and_the_doubt_of_what_was_hidden() -> None:
    heard = Heard(denied_s=NOW_S)
    heard.read(NOW_S, any_found=True)
    assert meaning_of_silence(AWS, heard, now_s=NOW_S) is Silence.ASK
    heard.denied_s = NOW_S
    heard.told(NOW_S)
    assert meaning_of_silence(AWS, heard, now_s=NOW_S) is Silence.NONE
