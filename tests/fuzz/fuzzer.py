"""A small coverage-guided fuzzer: what reaches new lines of ours is kept and changed further.

The same number gives the same inputs. Why it is our own: docs/decisions.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

OURS = str(Path(__file__).parents[2] / "src" / "s3fanout")
BYTES_MAX = 20_000
_EDGES = (
    b"", b"0", b"-1", b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b"9" * 25, b"9" * 5000,
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"%", b"%00", b"%ff", b"&#0;", b"&#xd800;",
    b"<![CDATA[", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b'"' * 3, b"'" * 3,
    b"=", b"\r\n", b"\xe2\x80\xa8",
    b"9999-12-31T23:59:59Z", b"0001-01-01T00:00:00+14:00", b"[" * 300, b'{"a":' * 300,
)  # fmt: skip
_WORD = re.compile(rb"[A-Za-z0-9_:.-]{2,}")


@dataclass
class Outcome:
    """What a run of the fuzzer came to."""

    inputs: int = 0
    lines: set[tuple[str, int]] = field(default_factory=set)
    kept: int = 0
    crash: bytes | None = None
    error: BaseException | None = None


class Fuzzer:
    """One target."""

    def __init__(
        self, run: Callable[[bytes], object], seeds: tuple[bytes, ...], *, number: int
    ) -> None:
        """Prepare.

        Args:
            run: Raises only what is a defect.
            seeds: What it begins with.
            number: Of the chance.
        """
        self._run = run
        self._chance = random.Random(number)
        self._corpus = list(seeds)
        self._words = sorted({word for seed in seeds for word in _WORD.findall(seed)}) or [b"a"]
        self.outcome = Outcome()

    def fuzz(self, more: Callable[[int], bool]) -> Outcome:
        """Inputs until ``more`` says no, or one crashes."""
        outcome = self.outcome
        for seed in tuple(self._corpus):
            if not self._try(seed, keep=False):
                return outcome
        while more(outcome.inputs):
            if not self._try(self._changed(), keep=True):
                break
        return outcome

    def _try(self, body: bytes, *, keep: bool) -> bool:
        outcome, seen = self.outcome, set[tuple[str, int]]()
        outcome.inputs += 1
        before = sys.gettrace()
        sys.settrace(_tracer(seen))
        try:
            self._run(body)
        except RecursionError:
            pass  # of the tracer on top of a deep parser: found without it, or it is none
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            outcome.crash, outcome.error = body, error
            return False
        finally:
            sys.settrace(before)
        if not seen <= outcome.lines:
            outcome.lines |= seen
            if keep:
                outcome.kept += 1
                self._corpus.append(body)
        return True

    def _changed(self) -> bytes:
        chance, body = self._chance, self._chance.choice(self._corpus)
        for _ in range(chance.choice((1, 1, 2, 4))):
            at = chance.randrange(len(body) + 1)
            end = min(len(body), at + chance.choice((1, 1, 2, 8, 60)))
            match chance.randrange(7):
                case 0:
                    piece = bytes([chance.randrange(256)])
                case 1:
                    piece = b""
                case 2:
                    piece = body[at:end] * 2
                case 3:
                    piece = chance.choice(self._words)
                case 4:
                    piece = chance.choice(_EDGES)
                case 5:
                    other = chance.choice(self._corpus)
                    start = chance.randrange(len(other) + 1)
                    piece = other[start : start + chance.randrange(1, 80)]
                case _:
                    words = list(_WORD.finditer(body))
                    if not words:
                        continue
                    word = chance.choice(words)
                    at, end = word.span()
                    piece = chance.choice((chance.choice(self._words), chance.choice(_EDGES)))
            body = body[:at] + piece + body[end:]
        return body[:BYTES_MAX]


def _tracer(seen: set[tuple[str, int]]) -> Callable[[FrameType, str, Any], Any]:
    """Notes the lines of our code that run."""

    def line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            seen.add((frame.f_code.co_qualname, frame.f_lineno))
        return line

    def call(frame: FrameType, _event: str, _: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(OURS) else None

    return call
