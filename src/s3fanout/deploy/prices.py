"""The price list that is shipped: dated, with a source for every price."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from s3fanout.decide.cost import Prices


def shipped_prices() -> Prices:
    """What ``prices.json`` beside this file says."""
    text = resources.files(__package__).joinpath("prices.json").read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    by_region = {
        "s3_put_per_thousand": document["s3_put_per_thousand"],
        "transfer_out_per_gb": document["transfer_out_per_gb"],
    }
    named = {**by_region, **document["flat"]}
    return Prices(
        read_on=document["read_on"],
        put_per_thousand=by_region["s3_put_per_thousand"]["by_region"],
        transfer_out_per_gb=by_region["transfer_out_per_gb"]["by_region"],
        transfer_exceptions=by_region["transfer_out_per_gb"]["exceptions"],
        flat={name: entry["value"] for name, entry in document["flat"].items()},
        unconfirmed=sorted(name for name, entry in named.items() if entry["confirm"]),
        fallback=document["fallback_region"],
    )
