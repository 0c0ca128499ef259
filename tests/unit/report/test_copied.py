from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import config
from pydicom.dataset import Dataset

from ocunet_pacs.report.validate import broken_rules
from tests.conformance.reports.cases import MALFORMED
from tests.conformance.reports.peers import write_as_they_are
from tests.unit.report.made import image, photograph, read, reporter, study, with_heatmaps


def code(value: str, scheme: str, meaning: str) -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, scheme, meaning
    return ds


def report_of(path: Path) -> Dataset:
    return read(reporter().report(study(image(1)), {image(1).sop_instance_uid: path}, {}))


@pytest.mark.parametrize("keyword", sorted(MALFORMED.keys() - {"PatientName", "ImageLaterality", "Modality"}))
def test_what_no_reader_could_parse_is_left_out_and_the_report_goes_on(tmp_path: Path, keyword: str) -> None:
    path = photograph(tmp_path / "1", 1)
    write_as_they_are(path, {keyword: MALFORMED[keyword]})
    assert not report_of(path).get(keyword)


def test_a_name_that_cannot_be_decoded_keeps_what_can(tmp_path: Path) -> None:
    path = photograph(tmp_path / "1", 1)
    write_as_they_are(path, {"PatientName": b"M\xfcller^J\xfcrgen"})
    ds = report_of(path)
    assert str(ds.PatientName) == "M?ller^J?rgen"
    assert broken_rules(ds) == []


def test_half_codes_and_nameless_identifiers_are_left_out_and_whole_ones_kept(tmp_path: Path) -> None:
    whole, half = code("FUN", "99CLINIC", "Fundus"), Dataset()
    half.CodeValue = "FUN"
    known, nameless = Dataset(), Dataset()
    known.PatientID, known.IssuerOfPatientID, nameless.IssuerOfPatientID = "X-1", "CLINIC", "CLINIC"
    with config.disable_value_validation():
        long = code("F" * 17, "99CLINIC", "Fundus")
        path = photograph(
            tmp_path / "1",
            1,
            ProcedureCodeSequence=[half, whole, long, Dataset()],
            OtherPatientIDsSequence=[nameless, known],
            DeidentificationMethodCodeSequence=[half],
        )
    ds = report_of(path)
    assert [item.CodeValue for item in ds.ProcedureCodeSequence] == ["FUN"]
    assert [item.PatientID for item in ds.OtherPatientIDsSequence] == ["X-1"]
    assert "DeidentificationMethodCodeSequence" not in ds
    assert broken_rules(ds) == []


def test_private_schemes_of_photographs_are_identified_where_the_photographs_do(tmp_path: Path) -> None:
    scheme, unused = Dataset(), Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = "99CLINIC", "Our clinic's"
    unused.CodingSchemeDesignator = "99UNUSED"
    values = {
        "ProcedureCodeSequence": [code("FUN", "99CLINIC", "Fundus")],
        "CodingSchemeIdentificationSequence": [unused, scheme],
    }
    result, sources, heatmaps, made = with_heatmaps(tmp_path, reporter(), [image(1, DR=0.9)], **values)
    for ds in (read(reporter().report(result, sources, heatmaps)), read(made[0])):
        named = [item.CodingSchemeDesignator for item in ds.CodingSchemeIdentificationSequence]
        assert named == ["99OCUNET", "99CLINIC"]


def test_a_region_without_its_meaning_does_not_keep_the_heatmap_back(tmp_path: Path) -> None:
    half = Dataset()
    half.CodeValue, half.CodingSchemeDesignator = "5665001", "SCT"
    _, _, _, made = with_heatmaps(tmp_path, reporter(), [image(1, DR=0.9)], AnatomicRegionSequence=[half])
    assert read(made[0]).AnatomicRegionSequence[0].CodeMeaning == "Retina"
