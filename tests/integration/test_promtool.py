"""Prometheus' own tool reads the alert rules, and they fire for what they are for and not before."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.conftest import PROJECT, program

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peers
RULES = PROJECT / "docs" / "monitoring" / "alerts.yaml"


def promtool(*arguments: object) -> str:
    done = subprocess.run(
        [program("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_read() -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES)


def fires(name: str, series: dict[str, str], at: str, step: str = "1m", **labels: str) -> dict[str, Any]:
    """`series`: name with labels, and its values step by step. With no `labels` nothing is to fire."""
    rule = next(rule for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"] if rule["alert"] == name)
    expected = {"exp_labels": rule["labels"] | labels}
    return {
        "interval": step,
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "alert_rule_test": [{"alertname": name, "eval_time": at, "exp_alerts": [expected] if labels else []}],
    }


DEAD = 'ocunet_queue_jobs{kind="KIND", state="dead"}'
GIB = 1 << 30
NIGHT = 'ocunet_drift_night_timestamp_seconds{instance="a"}'
CASES = {
    "not ready for two minutes": fires(
        "OcunetPacsNotReady", {'ocunet_ready{check="disk"}': "1 0x9"}, "4m", check="disk"
    ),
    "not ready for a moment": fires("OcunetPacsNotReady", {'ocunet_ready{check="disk"}': "1 0 1x9"}, "4m"),
    "a dead analysis": fires(
        "OcunetPacsJobsDead", {DEAD.replace("KIND", "analyse"): "1x9"}, "6m", kind="analyse", state="dead"
    ),
    "a dead look of a candidate's": fires("OcunetPacsJobsDead", {DEAD.replace("KIND", "shadow"): "1x9"}, "6m"),
    "a camera that has changed": fires(
        "OcunetPacsDrift",
        {
            'ocunet_drift_alerts{camera="3f0c", part="image"}': "0 2x9",
            'ocunet_drift_alerts{camera="ab", part="image"}': "0x9",
        },
        "3m",
        camera="3f0c",
        part="image",
    ),
    "a camera that is as it was": fires(
        "OcunetPacsDrift", {'ocunet_drift_alerts{camera="3f0c", part="image"}': "2 0x9"}, "3m"
    ),
    "a file that the database has forgotten": fires(
        "OcunetPacsFilesAndRowsDiffer",
        {'ocunet_inconsistencies_total{instance="a", kind="file_without_row"}': "0 1x9"},
        "3m",
        instance="a",
        kind="file_without_row",
    ),
    "what a worker left that was killed": fires(
        "OcunetPacsFilesAndRowsDiffer",
        {'ocunet_inconsistencies_total{instance="a", kind="result_without_row"}': "0 1x9"},
        "3m",
    ),
    "no nightly comparison for two days": fires(
        "OcunetPacsDriftNotWatched", {NIGHT: "0x400"}, "50h", step="10m", instance="a"
    ),
    "no nightly comparison since the night before": fires(
        "OcunetPacsDriftNotWatched", {NIGHT: "0x400"}, "47h", step="10m"
    ),
    "a closed clinic, where every night compares nothing": fires(
        "OcunetPacsDriftNotWatched",
        {NIGHT: " ".join(f"{night * 86400}x143" for night in range(4))},
        "80h",
        step="10m",
    ),
    "a machine that was off over the holidays, a moment after its start": fires(
        "OcunetPacsDriftNotWatched", {NIGHT: "_x431 0x1 259500x99"}, "72h10m", step="10m"
    ),
    "a PACS down for an hour": fires(
        "OcunetPacsDestinationDown",
        {'ocunet_destination_down_seconds{destination="pacs"}': "0+60x60"},
        "30m",
        destination="pacs",
    ),
    "a PACS down for ten minutes": fires(
        "OcunetPacsDestinationDown", {'ocunet_destination_down_seconds{destination="pacs"}': "0+60x60"}, "10m"
    ),
    "a disk that fills within a day": fires(
        "OcunetPacsDiskFullTomorrow",
        {
            'ocunet_store_free_bytes{instance="a"}': f"{15 * GIB}-{GIB // 60}x480",
            'ocunet_store_least_free_bytes{instance="a"}': f"{GIB}x480",
        },
        "3h",
        instance="a",
    ),
    "a disk that has room for a month": fires(
        "OcunetPacsDiskFullTomorrow",
        {
            'ocunet_store_free_bytes{instance="a"}': f"{800 * GIB}-{GIB // 60}x480",
            'ocunet_store_least_free_bytes{instance="a"}': f"{GIB}x480",
        },
        "3h",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_rule_fires_when_it_should(case: dict[str, Any], tmp_path: Path) -> None:
    expected = case["alert_rule_test"][0]
    rules = yaml.safe_load(RULES.read_text())
    for rule in rules["groups"][0]["rules"]:
        rule["annotations"] = {}
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(rules))
    told = {"rule_files": ["alerts.yaml"], "evaluation_interval": case["interval"], "tests": [case]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(told))
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "tests.yaml"), expected
