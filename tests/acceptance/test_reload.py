"""Settings and bundles that change while the daemon runs: nothing that is open is dropped, nothing is done twice."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydicom import dcmread
from pynetdicom import AE

from tests.acceptance.conftest import wrap_study
from tests.acceptance.test_serve import events
from tests.daemon import CLEAN_ENVIRONMENT, Daemon, wait_until
from tests.dcmtk import HOST, echoscu, storescp, storescu
from tests.notices import Notices

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pynetdicom.association import Association

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]


@dataclass
class Site:
    """`serve`, whose settings a person edits, and a service manager that hears it."""

    daemon: Daemon
    notices: Notices
    tree: dict[str, Any]
    reloads: int = 0

    def start(self) -> None:
        self.daemon.start()
        self.notices.wait_for("READY=1", alive=self.daemon.answers)

    def edit(self, **sections: Any) -> None:
        self.tree |= {
            name: self.tree.get(name, {}) | new if isinstance(new, dict) else new for name, new in sections.items()
        }
        self.daemon.config.write_text(yaml.safe_dump(self.tree))

    def ask(self) -> None:
        """SIGHUP."""
        self.reloads += 1
        (process,) = self.daemon.processes.values()
        process.send_signal(signal.SIGHUP)

    def reload(self) -> str:
        """The same; the STATUS when it is over."""
        self.ask()
        return self.answer()

    def answer(self) -> str:
        """The STATUS when it is over."""
        wait_until(lambda: self.notices.said.count("READY=1") > self.reloads, "READY after a reload")
        said = [line for line in self.notices.said if line.startswith(("READY", "RELOADING", "MONOTONIC", "STATUS"))]
        assert [line.partition("=")[0] for line in said[-4:]] == ["RELOADING", "MONOTONIC_USEC", "READY", "STATUS"]
        return said[-1]


@pytest.fixture
def site(untrained_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    notices = Notices(tmp_path / "notify")
    monkeypatch.setitem(CLEAN_ENVIRONMENT, "NOTIFY_SOCKET", str(notices.path))
    link = tmp_path / "active"
    link.symlink_to(untrained_bundle)
    daemon = Daemon(tmp_path / "site", link, [])
    yield Site(daemon, notices, yaml.safe_load(daemon.config.read_text()))
    try:
        assert daemon.stop() == [0]
    finally:
        notices.close()


def associated(site: Site, title: str, file: Path) -> Association:
    """An association of this sender for what the file holds."""
    header = dcmread(file, stop_before_pixels=True)
    sender = AE(ae_title=title)
    sender.add_requested_context(header.SOPClassUID, header.file_meta.TransferSyntaxUID)
    return sender.associate(HOST, site.daemon.port, ae_title="OCUNET")


def test_an_association_outlives_a_reload_and_the_next_is_judged_by_the_new_rules(
    site: Site, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    first, second = wrap_study(drawn_photographs[:2], tmp_path / "study")
    camera = {"name": "camera", "ae_title": "CAMERA"}
    trail = tmp_path / "audit.xml"
    site.edit(dicom={"only_listed_sources": True}, sources=[camera], audit={"to": "file", "file": str(trail)})
    site.start()
    held = associated(site, "CAMERA", first)
    assert held.is_established
    assert held.send_c_store(first).Status == 0

    # A slip: the settings of before stay in force, all of them, and every mistake is named.
    good = dict(site.tree)
    site.edit(destinations=[{"name": "archive"}], sources=[{"name": "No Name"}])
    assert "new settings refused" in site.reload()
    (refused,) = events(site.daemon, "reload_refused")
    assert len(refused["problems"]) == 2
    assert echoscu(site.daemon.port, calling="CAMERA").status == 0

    site.tree = good
    archive = tmp_path / "archive"
    archive.mkdir()
    with storescp(archive) as port:
        site.edit(
            destinations=[{"name": "archive", "ae_title": "ARCHIVE", "host": HOST, "port": port}],
            sources=[{"name": "gateway", "ae_title": "GATEWAY"}],
            logging={"level": "warning"},
            metrics={"host": "127.0.0.2"},
        )
        assert site.reload() == "STATUS=receiving, analysing and delivering"
        for role in ("serve", "listen", "work", "deliver"):
            told = [line for line in events(site.daemon, "reload_needs_restart") if line["role"] == role]
            assert [line["settings"] for line in told] == [["metrics.host"]]

        assert held.send_c_store(second).Status == 0
        held.release()
        assert not associated(site, "CAMERA", first).is_established
        assert echoscu(site.daemon.port, calling="GATEWAY").status == 0
        site.daemon.wait_until_idle(1)
        assert "SR" in {dcmread(path).Modality for path in archive.iterdir()}
    assert trail.read_text().count("changed since they were last read: sources") == 1
    assert events(site.daemon, "study_analysed") == []
    assert len(events(site.daemon, "role_started")) == 3


def studies(photographs: list[Path], folder: Path, number: int) -> list[list[Path]]:
    """So many studies of the same photographs."""
    wrapped = wrap_study(photographs, folder / "first")
    found = [wrapped]
    for copy in range(1, number):
        (folder / str(copy)).mkdir()
        found.append([])
        for path in wrapped:
            ds = dcmread(path)
            ds.PatientID, ds.StudyInstanceUID = f"P{copy}", f"{ds.StudyInstanceUID[:40]}.{copy}"
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID[:40]}.{copy}"
            found[-1].append(folder / str(copy) / path.name)
            ds.save_as(found[-1][-1])
    return found


def test_a_bundle_is_swapped_under_load_and_every_study_is_of_one(
    site: Site, untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    from ocunet_pacs.model.manifest import read_manifest
    from ocunet_pacs.model.untrained import write_untrained_bundle

    link, other, archive = tmp_path / "active", tmp_path / "other", tmp_path / "archive"
    write_untrained_bundle(other, datetime(2026, 5, 5, tzinfo=UTC))
    archive.mkdir()
    waiting = studies(drawn_photographs[:2], tmp_path, 6)

    def send(number: int) -> None:
        for _ in range(number):
            assert storescu(site.daemon.port, *waiting.pop(), options=("-R", "-xy")).status == 0

    def move(to: Path) -> None:
        link.unlink()
        link.symlink_to(to)

    with storescp(archive) as port:
        site.edit(
            assembly={"quiet_period": "30s", "close_on_release": True},
            destinations=[{"name": "archive", "ae_title": "ARCHIVE", "host": HOST, "port": port}],
        )
        site.start()
        send(2)
        wait_until(lambda: events(site.daemon, "study_analysed"), "the first study to be analysed")
        move(other)
        site.ask()
        send(2)
        assert site.answer() == "STATUS=receiving, analysing and delivering"
        send(1)
        # One that cannot be loaded: what is there stays, and it is said.
        move(tmp_path / "gone")
        assert "work: new bundle refused, untrained-demo stays" in site.reload()
        assert len(events(site.daemon, "bundle_refused")) == 1
        send(1)
        site.daemon.wait_until_idle(6)
        reports = [ds for ds in map(dcmread, archive.iterdir()) if ds.Modality == "SR"]

    with sqlite3.connect(site.daemon.folder / "ocunet.db") as database:
        rows = database.execute("select result, bundle_digest from analyses").fetchall()
    assert [json.loads(result)["bundle"]["digest"] for result, _ in rows] == [digest for _, digest in rows]
    used = Counter(digest for _, digest in rows)
    assert set(used) == {read_manifest(bundle).digest for bundle in (untrained_bundle, other)}
    assert len(reports) == len({report.StudyInstanceUID for report in reports}) == len(rows) == 6
    assert {line["outcome"] for line in events(site.daemon, "job_finished") if line["kind"] == "analyse"} <= {"done"}
    assert len(events(site.daemon, "bundle_left")) == 1
