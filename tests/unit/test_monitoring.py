"""What the page, the dashboard and the alert rules name is what there is."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from ocunet_pacs.metrics import catalogue
from tests.conftest import PROJECT

FOLDER = PROJECT / "docs" / "monitoring"
METRICS = {one.name: one for one in catalogue()}
PARTS = {
    f"{one.name}{suffix}": one
    for one in METRICS.values()
    if one.type == "histogram"
    for suffix in ("_bucket", "_sum", "_count")
}
ADDED_BY_PROMETHEUS = {"instance", "job", "le"}


def rules() -> list[dict[str, Any]]:
    tree = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = tree["groups"][0]["rules"]
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))["panels"]
    return found


def targets() -> list[tuple[str, str]]:
    """Each query of the dashboard, and how its lines are named."""
    return [(target["expr"], target["legendFormat"]) for panel in panels() for target in panel.get("targets", [])]


def queries() -> list[str]:
    return [rule["expr"] for rule in rules()] + [query for query, _ in targets()]


def named(query: str) -> set[str]:
    return set(re.findall(r"ocunet_[a-z_]+", query))


def wrong(query: str) -> list[str]:
    """Names of metrics and labels in a query that do not exist."""
    known = METRICS | PARTS
    histograms = {name for name in named(query) if name in METRICS and METRICS[name].type == "histogram"}
    unknown = [name for name in named(query) if name not in known or name in histograms]
    for name, selector in re.findall(r"(ocunet_[a-z_]+)\{([^}]*)\}", query):
        labels = set(re.findall(r"(\w+)\s*[=!]~?", re.sub(r'"[^"]*"', "", selector)))
        unknown += [f"{name}: {label}" for label in labels - ADDED_BY_PROMETHEUS - set(known[name].labels)]
    there = {label for name in named(query) if name in known for label in known[name].labels}
    by = {label.strip() for found in re.findall(r"by \(([^)]*)\)", query) for label in found.split(",")}
    return unknown + [f"by {label}" for label in by - ADDED_BY_PROMETHEUS - there]


@pytest.mark.parametrize("query", queries())
def test_a_query_names_only_metrics_and_labels_that_there_are(query: str) -> None:
    assert named(query) or query.startswith("up{")
    assert wrong(query) == []


@pytest.mark.parametrize(
    "query",
    [
        "ocunet_queue_job > 0",
        'ocunet_queue_jobs{status="dead"} > 0',
        "sum by (reason) (ocunet_queue_jobs)",
        "rate(ocunet_pass_seconds[5m])",
    ],
)
def test_a_wrong_name_would_be_found(query: str) -> None:
    assert wrong(query)


def test_alerts_and_legends_show_labels_that_their_queries_have() -> None:
    for query, legend in targets():
        there = {label for name in named(query) for label in (METRICS | PARTS)[name].labels} | ADDED_BY_PROMETHEUS
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= there, legend
    for rule in rules():
        there = {label for name in named(rule["expr"]) for label in (METRICS | PARTS)[name].labels}
        shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert shown <= there | ADDED_BY_PROMETHEUS, rule["alert"]


def test_panels_lie_beside_each_other() -> None:
    def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
        return all(
            one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
            for start, size in (("x", "w"), ("y", "h"))
        )

    assert len({panel["id"] for panel in panels()}) == len(panels())
    places = [panel["gridPos"] for panel in panels()]
    assert not [pair for pair in combinations(places, 2) if overlap(*pair)]


def test_the_page_has_every_metric_as_it_is() -> None:
    page = (PROJECT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    rows = [
        f"| `{one.name}` | {one.type} | {', '.join(one.labels)} | {one.text} |".replace("|  |", "| |")
        for one in catalogue()
    ]
    there = [line for line in page.splitlines() if line.startswith("| `ocunet_")]
    assert there == rows, "put this into the page:\n" + "\n".join(rows)


def test_the_page_says_what_to_do_about_every_alert() -> None:
    page = (PROJECT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(OcunetPacs\w+)` \| .{20,} \|$", page, re.MULTILINE)
    assert told == [rule["alert"] for rule in rules()]
