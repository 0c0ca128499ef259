from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from ocunet_pacs.domain.result import MadeObject, OutputKind
from ocunet_pacs.report.encapsulated_pdf import build_pdf
from ocunet_pacs.report.picture_rules import ENCAPSULATED_PDF
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.typeface import Typeface
from tests.unit.report.made import STUDY, image, mixed, read, reporter, with_heatmaps


def document(ds: Dataset) -> bytes:
    return bytes(ds.EncapsulatedDocument)[: ds.EncapsulatedDocumentLength]


def made_pdf(tmp_path: Path) -> tuple[MadeObject, MadeObject, list[MadeObject]]:
    reports = reporter()
    result, sources, heatmaps, pictures = mixed(tmp_path, reports)
    report = reports.report(result, sources, heatmaps)
    files = {}
    for one in pictures:
        files[one.sop_instance_uid] = tmp_path / one.sop_instance_uid
        files[one.sop_instance_uid].write_bytes(one.content)
    return reports.pdf(report, files), report, pictures


def test_it_belongs_to_the_study_and_names_what_it_was_made_from(tmp_path: Path) -> None:
    made, report, pictures = made_pdf(tmp_path)
    ds, source = read(made), read(report)
    assert (made.kind, made.sop_class_uid, made.form) == (OutputKind.PDF, ENCAPSULATED_PDF, report.form)
    assert (ds.StudyInstanceUID, ds.PatientName, ds.AccessionNumber) == (STUDY, "Roe^Jane", "A-7")
    assert ds.SeriesInstanceUID != source.SeriesInstanceUID
    assert (ds.Modality, ds.SeriesNumber, ds.MIMETypeOfEncapsulatedDocument) == ("DOC", 952, "application/pdf")
    assert (ds.BurnedInAnnotation, ds.VerificationFlag) == ("YES", "UNVERIFIED")
    assert ds.ContributingEquipmentSequence == source.ContributingEquipmentSequence
    named = [item.ReferencedSOPInstanceUID for item in ds.SourceInstanceSequence]
    assert named[0] == source.SOPInstanceUID
    assert {one.sop_instance_uid for one in pictures} <= set(named)
    # Right, left, and one of which nobody knows.
    assert "ImageLaterality" not in ds
    assert document(ds).startswith(b"%PDF-")


@pytest.mark.parametrize(("eyes", "side"), [("R", "R"), ("L", "L"), ("RL", "B"), ("RU", None)])
def test_it_says_which_eyes_it_is_about(tmp_path: Path, eyes: str, side: str | None) -> None:
    reports = reporter()
    images = [image(place, eye, DR=0.9) for place, eye in enumerate(eyes, 1)]
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reports, images)
    ds = read(reports.pdf(reports.report(result, sources, heatmaps), {}))
    assert ds.get("ImageLaterality") == side


def test_the_same_report_gives_the_same_bytes_and_another_one_another_object(tmp_path: Path) -> None:
    reports = reporter()
    result, sources, heatmaps, _ = with_heatmaps(tmp_path, reports, [image(1, "R", DR=0.9)])
    report = reports.report(result, sources, heatmaps)
    first, again = (build_pdf(report.content, {}, settings=ReportSettings()) for _ in range(2))
    assert first == again
    dates = re.findall(rb'xmp:\w+Date="([^"]*)"', document(read(first)))
    assert dates == [b"2026-03-04T05:06:07+00:00"] * 3
    assert b"Roe" not in document(read(first))
    later = reports.report(replace(result, key="another", revision=2), sources, heatmaps)
    assert reports.pdf(later, {}).sop_instance_uid != first.sop_instance_uid


def test_pictures_of_both_encodings_go_in_and_a_missing_one_is_left_out(tmp_path: Path) -> None:
    reports = reporter()
    result, sources, heatmaps, pictures = with_heatmaps(tmp_path, reports, [image(1, "R", DR=0.9)])
    report = reports.report(result, sources, heatmaps)
    with_picture = reports.pdf(report, {})
    uid = pictures[0].sop_instance_uid
    full = build_pdf(report.content, {uid: pictures[0].content}, settings=ReportSettings())
    assert document(read(full)).count(b"/DCTDecode") == document(read(with_picture)).count(b"/DCTDecode") + 1


def test_names_are_written_as_far_as_the_typeface_goes() -> None:
    face = Typeface()
    assert face.write_name("M\u00fcller^J\u00fcrgen") == "M\u00fcller J\u00fcrgen"
    assert (
        face.write_name("\u0418\u0432\u0430\u043d\u043e\u0432^\u041f\u0451\u0442\u0440")
        == "\u0418\u0432\u0430\u043d\u043e\u0432 \u041f\u0451\u0442\u0440"
    )
    assert (
        face.write_name("Yamada^Tarou=\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046")
        == "Yamada Tarou"
    )
    assert face.write_name("Wang^Li=\u0412\u0430\u043d^\u041b\u0438") == "Wang Li (\u0412\u0430\u043d \u041b\u0438)"
    assert face.write_name("\u5c71\u7530^\u592a\u90ce") == "?? ??"
    assert face.write_name("=\u5c71\u7530=\u3084\u307e\u3060") == "??"
    assert face.write_name("") == ""
    assert face.write("a\x00b\n\tc\u00a0d") == "a b c d"
