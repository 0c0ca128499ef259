"""Metrics: what Prometheus is told, by one process and by several."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from ocunet_pacs.app.answering import answer
from ocunet_pacs.metrics import MULTIPROCESS_VARIABLE, Metrics
from tests.dcmtk import free_port

if TYPE_CHECKING:
    from pathlib import Path


def scrape(port: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).raise_for_status().text


def test_what_is_counted_is_answered() -> None:
    metrics, port = Metrics(), free_port()
    metrics.count("images_not_assessed", reason="child")
    metrics.count("images_not_assessed", 2, reason="child")
    metrics.count("patient_conflicts")
    metrics.set("store_bytes", 7, part="results")
    stop = answer(metrics.registry(), "127.0.0.1", port, {})
    try:
        text = scrape(port)
    finally:
        stop()
    assert 'ocunet_images_not_assessed_total{reason="child"} 3.0' in text
    assert "ocunet_patient_conflicts_total 1.0" in text
    assert 'ocunet_store_bytes{part="results"} 7.0' in text
    assert metrics.gauge("store_bytes") == {("results",): 7.0}


def test_a_label_that_does_not_exist_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="label"):
        Metrics().count("images_not_assessed", patient="x")


def test_a_port_that_is_taken_costs_the_metrics_and_not_the_work() -> None:
    port = free_port()
    stop = answer(Metrics().registry(), "127.0.0.1", port, {})
    try:
        answer(Metrics().registry(), "127.0.0.1", port, {})()
    finally:
        stop()


def test_one_process_answers_for_all(tmp_path: Path) -> None:
    environment = {**os.environ, MULTIPROCESS_VARIABLE: str(tmp_path)}
    count = "from ocunet_pacs.metrics import Metrics; Metrics().count('images_assessed', 2)"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", count], env=environment, check=True, timeout=60)
    port = free_port()
    serve = (
        "import urllib.request\nfrom ocunet_pacs.app.answering import answer\nfrom ocunet_pacs.metrics import Metrics\n"
        f"stop = answer(Metrics().registry(), '127.0.0.1', {port}, {{}})\n"
        f"print(urllib.request.urlopen('http://127.0.0.1:{port}/metrics').read().decode())\nstop()"
    )
    done = subprocess.run([sys.executable, "-c", serve], env=environment, check=True, capture_output=True, timeout=60)
    assert b"ocunet_images_assessed_total 4.0" in done.stdout


def test_a_gauge_is_what_any_process_set_last(tmp_path: Path) -> None:
    environment = {**os.environ, MULTIPROCESS_VARIABLE: str(tmp_path)}

    def run(what: str) -> bytes:
        code = f"from ocunet_pacs.metrics import Metrics; metrics = Metrics(); {what}"
        return subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True).stdout

    for value in (3, 2):
        run(f"metrics.set('loop_turn_timestamp_seconds', {value}, role='work')")
    (tmp_path / "gauge_mostrecent_1.db").touch()  # of a process that is just being started
    assert run("print(metrics.gauge('loop_turn_timestamp_seconds'))").strip() == b"{('work',): 2.0}"
