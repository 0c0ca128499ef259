"""A candidate in the shadow of a real service: what reaches the PACS is the same with it, without it, if it dies."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from pydicom import dcmread

from tests.acceptance.conftest import wrap_study
from tests.acceptance.pacs import destination, download
from tests.acceptance.test_serve import events, pid_of
from tests.daemon import Daemon, cli, wait_until
from tests.dcmtk import storescu
from tests.orthanc import orthanc

if TYPE_CHECKING:
    from typing import Any

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def candidate(untrained_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights under another digest: what it says is what the active bundle says, to the last bit."""
    from ocunet_pacs.model.untrained import write_untrained_bundle

    folder = tmp_path_factory.mktemp("bundles") / "candidate"
    write_untrained_bundle(folder, datetime(2026, 2, 2, tzinfo=UTC))
    return folder


def said(path: Path) -> dict[str, Any]:
    """An object without the moments at which it was made."""

    def without_times(item: Any) -> Any:
        if isinstance(item, list):
            return [without_times(one) for one in item]
        if not isinstance(item, dict):
            return item
        return {
            tag: without_times(value)
            for tag, value in item.items()
            if not (isinstance(value, dict) and value.get("vr") in {"DA", "TM", "DT"})
        }

    found: dict[str, Any] = without_times(dcmread(path).to_json_dict())
    return found


def deliver_study(daemon: Daemon, files: list[Path]) -> None:
    daemon.wait_for_listener()
    assert storescu(daemon.port, *files, options=("-R", "-xy")).status == 0
    daemon.wait_until_idle(1)


def look_at_study(daemon: Daemon) -> dict[str, Any]:
    """Wait until the candidate has looked at the one study that there is; the report."""
    wait_until(lambda: daemon.status()["shadow"]["done"] == 1, "the candidate to look at the study")
    found: dict[str, Any] = json.loads(cli("shadow", "report", "--json", "--config", daemon.config).stdout)
    return found


def kill_shadow(daemon: Daemon) -> None:
    wait_until(lambda: pid_of(daemon, "shadow"), "the shadow to be started")
    os.kill(pid_of(daemon, "shadow"), signal.SIGKILL)


def test_what_is_delivered_is_the_same_with_a_candidate_in_the_shadow(
    untrained_bundle: Path, candidate: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    files = wrap_study(drawn_photographs[:2], tmp_path / "study")
    watched = {"shadow": {"bundle": str(candidate), "allow_untrained": True}}
    delivered, report, died = [], {}, []
    for number, more in enumerate(({}, watched)):
        with orthanc(tmp_path / f"pacs-{number}") as pacs:
            daemon = Daemon(tmp_path / f"site-{number}", untrained_bundle, [destination(pacs)], more=more)
            daemon.start()
            try:
                if more:
                    kill_shadow(daemon)
                deliver_study(daemon, files)
                if more:
                    report = look_at_study(daemon)
                    died = [line["role_name"] for line in events(daemon, "role_died")]
                    assert daemon.status()["ready"]
                got = download(pacs, tmp_path / f"got-{number}")
                delivered.append({str(dcmread(path).SOPInstanceUID): said(path) for path in got})
            finally:
                assert daemon.stop() == [0]
    alone, beside = delivered
    assert alone
    assert alone == beside
    assert died == ["shadow"]
    assert report["images"]["compared"] == 2
    assert report["candidate"]["digest"] != report["active"]["digest"]
    assert {(one["agreement"], one["mean_difference"]) for one in report["labels"]} == {(1.0, 0.0)}


def test_a_candidate_that_cannot_be_loaded_costs_nobody_a_result(
    untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    files = wrap_study(drawn_photographs[:1], tmp_path / "study")
    record = tmp_path / "record"
    record.mkdir()
    daemon = Daemon(tmp_path / "site", untrained_bundle, [])
    tree = yaml.safe_load(daemon.config.read_text())
    tree["records"] = [{"name": "record", "folder": str(record)}]
    tree["shadow"] = {"bundle": str(untrained_bundle)}  # untrained, which is not allowed for it
    daemon.config.write_text(yaml.safe_dump(tree))
    daemon.start()
    try:
        deliver_study(daemon, files)
        wait_until(lambda: events(daemon, "role_cannot_run"), "the candidate to be refused")
        assert len(list(record.glob("*.json"))) == 1
        status = daemon.status()
        assert status["ready"]
        assert "untrained" in status["shadow"]["problem"]
        assert "shadow.allow_untrained" in daemon.log_text()
    finally:
        assert daemon.stop() == [0]
