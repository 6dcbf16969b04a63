"""docs/metrics.md lists the metrics that there are."""

from __future__ import annotations

import re

from prometheus_client import Counter, Gauge
from prometheus_client.parser import text_string_to_metric_families

from s3fanout.awslambda.report import _ACTIONS, _UNITS
from s3fanout.engine.delivery import UNFINISHED
from s3fanout.service.metrics import Metrics
from tests.docs.pages import page, rows, spans


def documented() -> set[tuple[str, str, tuple[str, ...]]]:
    """Name, type and labels of each row."""
    return {
        (spans(cells[0])[0], cells[1], tuple(spans(cells[2]))) for cells in rows(page("metrics.md"))
    }


def registered() -> set[tuple[str, str, tuple[str, ...]]]:
    """The same, of everything that the daemon registers."""
    metrics = Metrics()
    found = [
        (metric._name, metric._type, tuple(metric._labelnames))
        for metric in vars(metrics).values()
        if isinstance(metric, Counter | Gauge)
    ]
    found += [
        (family.name, family.type, tuple(family._labelnames))
        for family in metrics._replicas.collect()
    ]
    return {(name + "_total" * (kind == "counter"), kind, labels) for name, kind, labels in found}


def test_the_page_lists_the_metrics_with_types_and_labels() -> None:
    assert documented() == registered()


def test_no_metric_is_missed() -> None:
    families = text_string_to_metric_families(Metrics().render([], [], now_ms=0).decode())
    exposed = {family.name for family in families}
    assert {name.removesuffix("_total") for name, _, _ in registered()} == exposed


def test_metrics_that_other_pages_name_exist() -> None:
    names = {name for name, _, _ in registered()}
    text = page("operating.md") + page("quick-start.md") + page("concepts.md")
    named = {
        word
        for span in spans(text)
        for word in span.replace("(", " ").replace("[", " ").split()
        if word.startswith("s3fanout_")
    }
    assert named
    assert named - names == set()


def test_the_page_on_functions_lists_their_metrics_and_actions() -> None:
    (metrics,) = re.findall(r"dimension `FunctionName`: (.*?)\.\n", page("function.md"), re.DOTALL)
    assert set(spans(metrics)) == set(_UNITS)
    (actions,) = re.findall(r"\(`action` is (.*?);", page("function.md"), re.DOTALL)
    assert set(spans(actions)) == {*_ACTIONS.values(), UNFINISHED}
