"""What a demo came to, for a person or as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from s3fanout.cli.output import human_seconds, print_json, print_line
from s3fanout.model.errors import ExitCode
from s3fanout.service.demo import Comparison
from s3fanout.service.status import SCHEMA_VERSION

_PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))


def report(result: Comparison, *, complete: bool, took_s: float, as_json: bool) -> ExitCode:
    """Print it; returns what to end with.

    Args:
        result: Of the comparison.
        complete: Every replica arrived.
        took_s: From the first write to the last settled replica.
        as_json: As ``docs/json.md`` says.
    """
    equal = complete and not result.different
    lags = {name: _percentile(result.lags_s, share) for name, share in _PERCENTILES}
    if as_json:
        print_json(
            {
                "schema_version": SCHEMA_VERSION,
                "kind": "demo",
                "equal": equal,
                "objects": result.objects,
                "replicas": result.replicas,
                "different": [{"key": key, "destination": name} for key, name in result.different],
                "seconds": round(took_s, 3),
                "lag_s": lags,
            }
        )
    else:
        print_line(
            f"{result.objects} objects, {result.replicas} replicas in {human_seconds(took_s)}: "
            + ("all equal" if equal else f"{len(result.different)} DIFFERENT")
        )
        for key, name in result.different[:20]:
            print_line(f"  differs: {key} in {name}", style="red")
        shown = "  ".join(f"{name} {value * 1000:.0f} ms" for name, value in lags.items())
        print_line(f"lag from event to settled replica: {shown}")
    return ExitCode.OK if equal else ExitCode.DIFFERENT


def _percentile(ascending: Sequence[float], share: float) -> float:
    if not ascending:
        return 0.0
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]
