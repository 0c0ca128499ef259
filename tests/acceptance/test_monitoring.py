"""A site as its monitoring sees it: what is counted while a study goes through, and what is said when a part fails."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.conftest import wrap_study
from tests.acceptance.test_serve import pid_of
from tests.daemon import Daemon, wait_until
from tests.dcmtk import free_port, storescu

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]
PATIENCE = 20
"""Seconds for an answer: less than the database's lock is waited for."""


class Site:
    """A daemon with one destination where nobody answers."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.port = free_port()
        nobody = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": free_port(), "timeout": "2s"}
        more = {"metrics": {"port": self.port}}
        self.daemon = Daemon(folder, bundle, [nobody], more=more, quiet_period="8s")

    def page(self, name: str) -> tuple[int, dict[str, Any]]:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/{name}", timeout=PATIENCE)
        return answer.status_code, answer.json()

    def is_ready(self) -> bool:
        try:
            return self.page("ready")[0] == 200
        except httpx.ConnectError:
            return False

    def problems(self) -> list[str]:
        return self.page("ready")[1]["problems"]

    def scrape(self) -> dict[str, float]:
        """Every sample by its name and the values of its labels."""
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=PATIENCE).raise_for_status().text
        return {
            " ".join([sample.name, *map(str, sample.labels.values())]): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture(scope="module")
def site(untrained_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    found = Site(tmp_path_factory.mktemp("monitored") / "site", untrained_bundle)
    found.daemon.start()
    try:
        wait_until(found.is_ready, "the site to be ready")
        yield found
    finally:
        found.daemon.stop()


def test_what_prometheus_is_told_before_during_and_after_a_study(
    site: Site, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    before = site.scrape()
    assert before["ocunet_queue_jobs analyse waiting"] == before["ocunet_studies_open"] == 0
    assert before["ocunet_destination_down pacs"] == 0
    assert all(before[f"ocunet_ready {check}"] == 1 for check in ("database", "store", "disk", "model"))
    assert before["ocunet_live"] == 1

    files = wrap_study(drawn_photographs[:2], tmp_path / "study")
    assert storescu(site.daemon.port, *files, options=("-R", "-xy")).status == 0
    wait_until(lambda: site.scrape()["ocunet_studies_open"] == 1, "the study to be open", 20)
    wait_until(lambda: site.scrape().get("ocunet_destination_down pacs"), "the destination to be down")

    after = site.scrape()
    assert after["ocunet_studies_open"] == after["ocunet_queue_jobs analyse waiting"] == 0
    assert after["ocunet_images_assessed_total"] == 2
    assert after["ocunet_jobs_total analyse done "] == 1
    assert after["ocunet_jobs_total deliver later unavailable"] >= 1
    assert after["ocunet_assembly_seconds_count quiet"] == 1
    assert after["ocunet_job_wait_seconds_count analyse"] == 1
    assert all(after[f"ocunet_analysis_seconds_sum {part}"] > 0 for part in ("reading", "inference", "report"))
    assert after["ocunet_batch_photographs_sum work"] == 2
    assert after["ocunet_delivery_seconds_count pacs"] >= 1
    assert after["ocunet_deliveries_waiting pacs"] >= 1
    assert after["ocunet_store_free_bytes"] > after["ocunet_store_least_free_bytes"] == 10 << 20
    assert after["ocunet_database_bytes"] > 0
    assert site.page("ready")[0] == 200, "a PACS that is down turns no camera away"
    text = httpx.get(f"http://127.0.0.1:{site.port}/metrics", timeout=PATIENCE).text
    assert "Marked" not in text
    assert "P1" not in text


def test_a_part_that_fails_is_named_while_the_process_lives(site: Site) -> None:
    incoming = site.daemon.folder / "store" / "incoming"
    incoming.rename(incoming.with_name("elsewhere"))
    wait_until(lambda: [p for p in site.problems() if p.startswith("store: ")], "the store to be named", 20)
    assert site.page("live")[0] == 200
    incoming.with_name("elsewhere").rename(incoming)
    wait_until(site.is_ready, "the site to be ready again", 20)

    with closing(sqlite3.connect(site.daemon.folder / "ocunet.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        wait_until(lambda: [p for p in site.problems() if p.startswith("database: ")], "the database to be named", 20)
        assert site.page("live")[0] == 200
        assert site.scrape()["ocunet_ready database"] == 0
        holder.rollback()
    wait_until(site.is_ready, "the site to be ready again", 60)

    worker = pid_of(site.daemon, "work")
    os.kill(worker, signal.SIGSTOP)
    try:
        wait_until(lambda: [p for p in site.problems() if p.startswith("model: work")], "the model to be named", 40)
        assert site.page("live")[0] == 200, "it has longer than that"
        assert site.page("live")[1]["loops"]["work"]["still_for_seconds"] >= 5
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_until(site.is_ready, "the site to be ready again", 60)
