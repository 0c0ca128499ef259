"""Bad input through the whole daemon: a status, or a reason in the report; the good photograph beside it is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, generate_uid

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.report.readable import as_text
from tests.acceptance.conftest import wrap_study
from tests.acceptance.pacs import Contents, assert_valid, destination, download
from tests.daemon import Daemon, cli
from tests.dcmtk import echoscu, storescu
from tests.integration.objects import photograph, write
from tests.orthanc import orthanc

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]


def unreadable_jpeg() -> Dataset:
    ds = photograph(rows=240, columns=320)
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PhotometricInterpretation = "YBR_FULL_422"
    ds.PixelData = encapsulate([b"\xff\xd8\xff\xe0 this is no JPEG \xff\xd9"])
    ds["PixelData"].VR = "OB"
    return ds


def without(keyword: str) -> Dataset:
    ds = photograph(rows=240, columns=320)
    delattr(ds, keyword)
    return ds


def zero_size() -> Dataset:
    ds = photograph(rows=240, columns=320)
    ds.Rows = 0
    return ds


def marked(ds: Dataset, name: str) -> Dataset:
    ds.PatientName = name
    return ds


def eye() -> Dataset:
    """An uncompressed photograph that can be assessed."""
    ds = photograph(rows=240, columns=320)
    ds.PixelData = draw_fundus(seed=9, laterality=Laterality.RIGHT, size=(320, 240)).tobytes()
    return ds


def without_patient() -> Dataset:
    ds = eye()
    del ds.PatientName, ds.PatientID
    return ds


REPORTED = {
    "unreadable JPEG": (unreadable_jpeg, "unreadable_pixels"),
    "no Pixel Data": (lambda: without("PixelData"), "no_pixel_data"),
    "zero size": (zero_size, "too_small"),
    "1 x 1": (lambda: photograph(rows=1, columns=1), "too_small"),
    "monochrome": (lambda: photograph(rows=240, columns=320, samples=1), "not_colour"),
    "four samples": (lambda: photograph(rows=240, columns=320, samples=4), "unsupported_photometric_interpretation"),
    "a pattern that is no fundus": (lambda: photograph(rows=240, columns=320), "not_a_fundus_photograph"),
    "secondary capture": (
        lambda: _as_class(photograph(rows=240, columns=320), "1.2.840.10008.5.1.4.1.1.7"),
        "sop_class_not_analysed",
    ),
}
ASSESSED = {
    "no patient": without_patient,
    "non-ASCII name": lambda: marked(eye(), "Yamada^Tarou=山田^太郎=やまだ^たろう"),
}


def texts(report: Dataset) -> str:
    """Every Text Value of the report."""
    return "\n".join(str(element.value) for element in report.iterall() if element.keyword == "TextValue")


def _as_class(ds: Dataset, uid: str) -> Dataset:
    ds.SOPClassUID = uid
    return ds


def test_every_bad_object_ends_in_a_report_that_says_why(
    untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    """One study an object, each with a good photograph beside it."""
    good = wrap_study(drawn_photographs[:1], tmp_path / "good")[0]
    studies: dict[str, str] = {}
    with orthanc(tmp_path / "orthanc") as pacs:
        daemon = Daemon(tmp_path / "site", untrained_bundle, [destination(pacs)])
        daemon.start()
        try:
            daemon.wait_for_listener()
            for number, (case, make) in enumerate({**{k: v[0] for k, v in REPORTED.items()}, **ASSESSED}.items()):
                bad = make()
                studies[case] = bad.StudyInstanceUID
                beside = dcmread(good)
                beside.StudyInstanceUID, beside.SOPInstanceUID = bad.StudyInstanceUID, generate_uid()
                beside.file_meta.MediaStorageSOPInstanceUID = beside.SOPInstanceUID
                for key in ("PatientID", "PatientName"):
                    setattr(beside, key, bad.get(key, ""))
                files = [tmp_path / f"{number}-bad.dcm", tmp_path / f"{number}-good.dcm"]
                write(bad, files[0])
                beside.save_as(files[1])
                for path in files:
                    sent = storescu(daemon.port, path, options=("-R", "-xy") if "good" in path.name else _syntax(bad))
                    assert sent.status == 0, (case, sent.text)
                assert echoscu(daemon.port).status == 0
            status = daemon.wait_until_idle(len(studies))
            assert status["jobs"]["dead"] == 0, status
            downloaded = download(pacs, tmp_path / "pacs")
        finally:
            assert daemon.stop() == [0]
    assert_valid(downloaded)
    reports = {str(report.StudyInstanceUID): report for report in Contents.read(downloaded).reports}
    for case, (_, code) in REPORTED.items():
        report = reports[studies[case]]
        assert code in texts(report), f"{case}: the coded reason is in the report"
        assert "not assessed" in as_text(report).lower(), case
        assert "above threshold" in as_text(report).lower(), f"{case}: the good photograph beside it was read"
    for case in ASSESSED:
        assert "not assessed" not in as_text(reports[studies[case]]).lower().replace("were not assessed", ""), case
    assert str(reports[studies["non-ASCII name"]].PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    log = daemon.log_text()
    for secret in ("Testperson", "T-4711", "Yamada", "山田"):
        assert secret not in log


def _syntax(ds: Dataset) -> tuple[str, ...]:
    return ("-R", "-xy") if ds.file_meta.TransferSyntaxUID == JPEGBaseline8Bit else ("-R",)


def test_predict_gives_a_reason_for_every_file_that_it_cannot_read(untrained_bundle: Path, tmp_path: Path) -> None:
    import json

    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "text.dcm").write_text("no DICOM at all")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no JPEG")
    write(photograph(rows=1, columns=1), folder / "tiny.dcm")
    done = cli("predict", folder, "--bundle", untrained_bundle, "--json")
    entries = {Path(entry["path"]).name: entry for entry in json.loads(done.stdout)}
    assert set(entries) == {"text.dcm", "broken.jpg", "tiny.dcm"}
    for entry in entries.values():
        assert entry["eligible"] is False
        assert entry["reasons"]
        assert entry["labels"] == {}
    assert entries["text.dcm"]["reasons"][0].startswith("not_dicom")
    assert entries["tiny.dcm"]["reasons"][0].startswith("too_small")
