"""A clinic's mixed study through the whole daemon: what is assessed, what is not and why, told everywhere alike."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
import yaml

from tests import exports
from tests.acceptance.pacs import Contents, assert_valid, destination, download, photographs_of
from tests.daemon import Daemon, cli
from tests.dcmtk import free_port, storescu
from tests.orthanc import orthanc

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]

STUDY = "1.2.826.0.1.3680043.10.7"
REFUSED = {
    exports.clarus_infrared: "not_colour",
    exports.clarus_autofluorescence: "not_colour",
    exports.clarus_angiography: "angiography",
    exports.clarus_external_eye: "not_retina",
    exports.clarus_wide: "wide_field",
    exports.iolmaster: "not_retina",
    exports.canon_sc: "sop_class_not_analysed",
    exports.optovue_sc: "sop_class_not_analysed",
    exports.tomography: "sop_class_not_analysed",
    exports.mislabelled: "not_a_fundus_photograph",
    exports.montage: "derived_image",
    exports.calibration: "calibration_or_quality_control_image",
    exports.child: "child",
}
ASSESSED = (exports.canon_op, exports.canon_vl, exports.visucam_op, exports.visucam_vl)


def set_up(daemon: Daemon, **sections: object) -> int:
    """Add sections to the daemon's settings; the port of its counters."""
    port = free_port()
    tree = yaml.safe_load(daemon.config.read_text())
    daemon.config.write_text(yaml.safe_dump(tree | sections | {"metrics": {"host": "127.0.0.1", "port": port}}))
    return port


def counted(port: int) -> dict[str, int]:
    """`images_assessed`, and `images_not_assessed` by reason."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found = re.findall(
        r'^ocunet_images_(?:assessed|not_assessed)_total(?:{reason="(\w+)"})? ([\d.]+)$', text, re.MULTILINE
    )
    return {reason or "assessed": int(float(value)) for reason, value in found}


def notes(daemon: Daemon) -> list[str]:
    """What the analyses' jobs say, oldest first."""
    listed = json.loads(cli("jobs", "list", "--json", "--config", daemon.config).stdout)
    analyses = sorted((job for job in listed if job["kind"] == "analyse"), key=lambda job: job["id"])
    return [job["reason"] for job in analyses]


def send(daemon: Daemon, files: list[Path], calling: str = "CAMERA") -> None:
    sent = storescu(daemon.port, *files, options=("-R", "-xy"), calling=calling)
    assert sent.status == 0, sent.text


def texts(report: Dataset) -> str:
    return "\n".join(str(element.value) for element in report.iterall() if element.keyword == "TextValue")


def test_a_mixed_study_is_told_alike_by_report_job_and_counters(untrained_bundle: Path, tmp_path: Path) -> None:
    objects = [make(STUDY) for make in (*ASSESSED, *REFUSED)]
    objects += [*exports.stereo_pair(STUDY), exports.both_eyes(STUDY), exports.out_of_focus(STUDY)]
    with orthanc(tmp_path / "orthanc") as pacs:
        daemon = Daemon(tmp_path / "site", untrained_bundle, [destination(pacs)], quiet_period="5s")
        port = set_up(daemon, eligibility={"open": ["vl_photographic", "ungradable"]})
        daemon.start()
        try:
            daemon.wait_for_listener()
            send(daemon, exports.save(objects, tmp_path / "files"))
            status = daemon.wait_until_idle(1)
            assert status["jobs"]["dead"] == 0, status
            told, (note,) = counted(port), notes(daemon)
            downloaded = download(pacs, tmp_path / "pacs")
        finally:
            assert daemon.stop() == [0]
    assert_valid(downloaded)
    (report,) = Contents.read(downloaded).reports
    said = texts(report)
    for number, code in enumerate(REFUSED.values(), len(ASSESSED) + 1):
        assert re.search(rf"images? [^.:]*\b{number}\b[^.:]*: not assessed\. Reason: .*{code}", said), (number, code)
    after = len(ASSESSED) + len(REFUSED)
    assert f"Object {after + 3} of the study: a Stereometric Relationship" in said
    assert f"OD images {after + 1}, {after + 2} are a stereo pair" in said
    assert f"OS image {after + 5}: scored by this site's rules although judged: not gradable" in said
    for frame, eye in ((1, "OD"), (2, "OS")):
        assert re.search(rf"{eye} [^\n]*, image {after + 4} frame {frame}\b", said), "each frame is its eye's"
    assert len(photographs_of(report)) == len(objects) - 1, "every image is in the library, the relationship as object"

    assessed = len(ASSESSED) + 2 + 2 + 1
    assert told.pop("assessed") == assessed
    expected = {code: list(REFUSED.values()).count(code) for code in REFUSED.values()}
    assert told == expected
    assert note.startswith(f"{assessed} of {assessed + len(REFUSED)} images assessed; not assessed: 3 sop class")
    for code, number in expected.items():
        assert f"{number} {code.replace('_', ' ')}" in note
    assert note.endswith("; 1 assessed behind opened gates; kept as context: 1 object")
    assert "Testperson" not in daemon.log_text()


def test_nothing_eligible_is_reported_once_and_a_named_source_has_gates_of_its_own(
    untrained_bundle: Path, tmp_path: Path
) -> None:
    with orthanc(tmp_path / "orthanc") as pacs:
        daemon = Daemon(tmp_path / "site", untrained_bundle, [destination(pacs)])
        set_up(daemon, sources=[{"name": "canon", "ae_title": "CR2", "open": ["secondary_capture"]}])
        daemon.start()
        try:
            daemon.wait_for_listener()
            for number in (1, 2):
                send(daemon, exports.save([exports.child(STUDY)], tmp_path / f"files-{number}"))
                daemon.wait_until_idle(number)
            for number, calling in ((3, "CR2"), (4, "CAMERA")):
                capture = exports.canon_sc(f"{STUDY}.{number}")
                send(daemon, exports.save([capture], tmp_path / f"files-{number}"), calling)
                daemon.wait_until_idle(number)
            first, second, named, stranger = notes(daemon)
            downloaded = download(pacs, tmp_path / "pacs")
        finally:
            assert daemon.stop() == [0]
    assert first == "0 of 1 image assessed; not assessed: 1 child"
    assert second == "0 of 2 images assessed; not assessed: 2 child; no report: the last one gave the same reasons"
    assert named == "1 of 1 image assessed"
    assert stranger == "0 of 1 image assessed; not assessed: 1 sop class not analysed"
    assert [str(report.StudyInstanceUID) for report in Contents.read(downloaded).reports].count(STUDY) == 1
    assert_valid(downloaded)


def test_predict_applies_the_gates_of_the_source_that_is_named(untrained_bundle: Path, tmp_path: Path) -> None:
    config = tmp_path / "site.yaml"
    tree = {
        "model": {"bundle": str(untrained_bundle), "device": "cpu"},
        "sources": [{"name": "ward", "open": ["child"]}],
    }
    config.write_text(yaml.safe_dump(tree))
    (path,) = exports.save([exports.child("1.2.826.0.1.9")], tmp_path / "files")
    told = [
        json.loads(cli("predict", path, "--config", config, "--json", *more).stdout)[0]
        for more in ((), ("--source", "ward"))
    ]
    assert [entry["eligible"] for entry in told] == [False, True]
    assert told[0]["reasons"][0].startswith("child")
    assert told[1]["despite"][0].startswith("child")
    wrong = cli("predict", path, "--config", config, "--source", "warden", check=False)
    assert wrong.returncode == 2
    assert "warden" in wrong.stderr
