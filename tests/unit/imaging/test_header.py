"""The facts that decide, from well-formed headers and from what arrives instead."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping
from pydicom.tag import Tag

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.imaging import part10
from ocunet_pacs.imaging.header import _DECIDING, header_of, read_header
from ocunet_pacs.imaging.messages import header_in, header_out
from ocunet_pacs.imaging.snomed_rt import SNOMED_CT
from ocunet_pacs.imaging.wrap import write_dicom
from tests.unit.imaging.conftest import encode, plain, save, wrap
from tests.unit.report.made import photograph


def coded(value: str, scheme: str = "SCT") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "meaning"
    return item


def dataset(**attributes) -> Dataset:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def facts(**attributes):
    return header_of(dataset(**attributes), has_pixel_data=True)


def side_in_region(value: str, scheme: str = "SCT") -> list[Dataset]:
    region = coded("5665001")
    region.AnatomicRegionModifierSequence = [coded(value, scheme)]
    return [region]


def side_of_frames(*sides: str) -> list[Dataset]:
    return [dataset(FrameAnatomySequence=[dataset(FrameLaterality=side)]) for side in sides]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ImageLaterality": "R"}, "R"),
        ({"ImageLaterality": "L"}, "L"),
        ({"ImageLaterality": "B"}, "U"),
        ({"ImageLaterality": ""}, "U"),
        ({}, "U"),
        ({"ImageLaterality": "OD"}, "U"),
        ({"FrameLaterality": "L"}, "L"),
        ({"Laterality": "R"}, "R"),
        ({"ImageLaterality": "", "Laterality": "L"}, "L"),
        ({"AnatomicRegionSequence": side_in_region("24028007")}, "R"),
        ({"AnatomicRegionSequence": side_in_region("7771000")}, "L"),
        ({"AnatomicRegionSequence": side_in_region("G-A101", "SRT")}, "L"),
        ({"AnatomicRegionSequence": side_in_region("51440002")}, "U"),
        ({"SharedFunctionalGroupsSequence": side_of_frames("L")}, "L"),
        ({"PerFrameFunctionalGroupsSequence": side_of_frames("R", "R")}, "R"),
        ({"PerFrameFunctionalGroupsSequence": side_of_frames("R", "L")}, "U"),
        ({"ImageLaterality": "R", "Laterality": "L"}, "U"),
        ({"ImageLaterality": "R", "Laterality": "R"}, "R"),
        ({"ImageLaterality": "R", "Laterality": "B"}, "U"),
        ({"ImageLaterality": "R", "FrameLaterality": "U"}, "R"),
        ({"ImageLaterality": "R", "AnatomicRegionSequence": side_in_region("7771000")}, "U"),
    ],
)
def test_the_eye_is_named_or_unknown_and_never_guessed(attributes, expected):
    assert facts(**attributes).laterality == Laterality(expected)


@pytest.mark.parametrize(
    ("attributes", "whole", "frames"),
    [
        ({"ImageLaterality": "R"}, "R", ""),
        ({"PerFrameFunctionalGroupsSequence": side_of_frames("R", "R")}, "R", "RR"),
        ({"PerFrameFunctionalGroupsSequence": side_of_frames("R", "L")}, "U", "RL"),
        ({"ImageLaterality": "B", "PerFrameFunctionalGroupsSequence": side_of_frames("R", "L")}, "U", "RL"),
        ({"ImageLaterality": "R", "PerFrameFunctionalGroupsSequence": side_of_frames("R", "L")}, "U", "RU"),
        ({"ImageLaterality": "R", "PerFrameFunctionalGroupsSequence": side_of_frames("R", "")}, "R", "RR"),
        ({"PerFrameFunctionalGroupsSequence": side_of_frames("", "L")}, "L", "UL"),
        ({"PerFrameFunctionalGroupsSequence": side_of_frames("B", "L")}, "U", "UL"),
        ({"PerFrameFunctionalGroupsSequence": side_of_frames("", "")}, "U", ""),
        (
            {
                "SharedFunctionalGroupsSequence": side_of_frames("L"),
                "PerFrameFunctionalGroupsSequence": side_of_frames("L", "R"),
            },
            "U",
            "LU",
        ),
    ],
)
def test_frames_name_their_own_eye(attributes, whole, frames):
    header = facts(**attributes)
    assert header.laterality == Laterality(whole)
    assert header.frame_lateralities == tuple(map(Laterality, frames))
    for number, side in enumerate(frames, 1):
        assert header.laterality_of(number) == Laterality(side)
    for number in (None, 0, len(frames) + 1):
        assert header.laterality_of(number) == Laterality(whole)


def test_the_station_that_routes_ask_for_and_the_camera_are_read(tmp_path):
    """From the file itself: what is not among the deciding elements is never copied."""
    named = {"Manufacturer": "Acme", "ManufacturerModelName": "Retina 7", "DeviceSerialNumber": "0815"}
    header = read_header(photograph(tmp_path / "x.dcm", 1, StationName="ROOM-3", **named))
    assert header.station_name == "ROOM-3"
    assert (header.manufacturer, header.model_name, header.device_serial) == ("Acme", "Retina 7", "0815")


def test_an_empty_element_of_no_representation_that_is_known_counts_as_absent(tmp_path):
    """pydicom decodes what is empty as soon as it is asked for, and raises on letters that are none."""
    good = photograph(tmp_path / "good.dcm", 1, PatientID="")
    content = good.read_bytes()
    assert content.count(b"\x10\x00\x20\x00LO\x00\x00") == 1
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(content.replace(b"\x10\x00\x20\x00LO\x00\x00", b"\x10\x00\x20\x00MO\x00\x00"))
    assert read_header(bad).patient_identity == read_header(good).patient_identity


def test_both_eyes_in_one_region_is_no_eye():
    assert facts(AnatomicRegionSequence=[coded("T-AA180", "SRT")], ImageLaterality="R").laterality == Laterality.UNKNOWN


def test_a_stereometric_relationship_names_its_pairs():
    def pair(left: str, right: str) -> Dataset:
        return dataset(
            LeftImageSequence=[dataset(ReferencedSOPInstanceUID=left)] if left else [],
            RightImageSequence=[dataset(ReferencedSOPInstanceUID=right)],
        )

    header = facts(StereoPairsSequence=[pair("1.2", "1.3"), pair("", "1.4"), pair("1.5", "1.6")])
    assert header.stereo_pairs == (("1.2", "1.3"), ("1.5", "1.6"))


def test_facts_survive_the_way_from_a_decoding_process():
    header = facts(
        PerFrameFunctionalGroupsSequence=side_of_frames("R", "L"),
        StereoPairsSequence=[
            dataset(
                LeftImageSequence=[dataset(ReferencedSOPInstanceUID="1.2")],
                RightImageSequence=[dataset(ReferencedSOPInstanceUID="1.3")],
            )
        ],
    )
    assert header_in(json.loads(json.dumps(header_out(header)))) == header


@pytest.mark.parametrize(
    ("value", "scheme", "expected"),
    [
        ("5665001", "SCT", "SCT:5665001"),
        ("T-AA610", "SRT", "SCT:5665001"),
        ("T-AA610", "SNM3", "SCT:5665001"),
        ("T-AA630", "SRT", "SCT:81016008"),
        ("T-12345", "SRT", "SRT:T-12345"),
        ("5665001", "SRT", "SCT:5665001"),
        ("T-AA610", "SCT", "SCT:5665001"),
        ("X", "99VENDOR", "99VENDOR:X"),
    ],
)
def test_old_snomed_codes_read_as_new_ones(value, scheme, expected):
    assert facts(AnatomicRegionSequence=[coded(value, scheme)]).anatomic_regions == (expected,)


def test_translations_are_the_standard_s():
    """pydicom's table, made from PS3.16, is the oracle."""
    assert {old: mapping["SRT"][old] for old in SNOMED_CT} == dict(SNOMED_CT)


@pytest.mark.parametrize("cid", [244, 4200, 4202, 4204, 4206, 4209, 4210, 4211])
def test_every_concept_of_the_groups_that_decide_is_translated(cid):
    ours = set(SNOMED_CT.values())
    for name in cid_concepts[cid]["SCT"]:
        for code, (meaning, groups) in concepts["SCT"][name].items():
            if cid in groups and code in mapping["SCT"]:
                assert code in ours, f"{meaning} of CID {cid}"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"PatientAge": "045Y"}, 45),
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": "052W"}, 52 * 7 / 365.2425),
        ({"PatientAge": "003D"}, 3 / 365.2425),
        ({"PatientAge": "45"}, None),
        ({"PatientAge": "000Y"}, None),
        ({"PatientAge": ""}, None),
        ({"PatientBirthDate": "19800506", "AcquisitionDateTime": "20240506070809+0200"}, 44),
        ({"PatientBirthDate": "19800506", "StudyDate": "20240506"}, 44),
        ({"PatientAge": "000Y", "PatientBirthDate": "19800506", "ContentDate": "20240506"}, 44),
        ({"PatientBirthDate": "1980", "StudyDate": "20240506"}, None),
        ({"PatientBirthDate": "20250101", "StudyDate": "20240506"}, None),
        ({"PatientBirthDate": "18000101", "StudyDate": "20240506"}, None),
        ({"PatientBirthDate": "19800506"}, None),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_age_is_stated_computed_or_unknown(attributes, expected):
    assert facts(**attributes).age_years == (None if expected is None else pytest.approx(expected, abs=0.01))


def test_the_rest_of_the_facts():
    header = facts(
        ImageType=["ORIGINAL", "PRIMARY", "", "COLOR"],
        Manufacturer=" Acme ",
        AcquisitionDeviceTypeCodeSequence=[coded("R-1021A", "SRT")],
        ContrastBolusAgentSequence=[coded("35550003")],
        LightPathFilterTypeStackCodeSequence=[coded("111606", "DCM")],
        ChannelDescriptionCodeSequence=[coded("405738005")],
        HorizontalFieldOfView=45.0,
        QualityControlImage="YES",
        NumberOfFrames=3,
        Rows=100,
        Columns=200,
        BitsAllocated=16,
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
    )
    assert header.image_type == ("ORIGINAL", "PRIMARY", "", "COLOR")
    assert header.manufacturer == "Acme"
    assert header.device_types == ("SCT:409898007",)
    assert header.contrast_agents == ("SCT:35550003",)
    assert header.path_filters == ("DCM:111606", "SCT:405738005")
    assert header.field_of_view_degrees == 45
    assert header.is_calibration_or_qc
    assert (header.number_of_frames, header.rows, header.columns) == (3, 100, 200)
    assert (header.bits_allocated, header.samples_per_pixel) == (16, 3)


@pytest.mark.parametrize(("text", "expected"), [("Fluorescein", ("Fluorescein",)), ("NONE", ()), ("", ())])
def test_an_agent_in_free_text_counts(text, expected):
    assert facts(ContrastBolusAgent=text).contrast_agents == expected


def test_our_own_objects_are_known_again():
    ours = dataset(Manufacturer="OcuNet", ManufacturerModelName="ocunet_pacs")
    assert header_of(ours, has_pixel_data=False).made_by_us
    assert facts(Manufacturer="Acme", ContributingEquipmentSequence=[ours]).made_by_us
    assert facts(SeriesDescription="OcuNet AI report UNTRAINED").made_by_us, "an archive may strip the equipment"
    assert not facts(Manufacturer="OcuNet", ManufacturerModelName="camera").made_by_us


def test_a_sequence_of_nonsense_where_text_belongs_counts_as_absent():
    """Found by the test below: its item cannot even be put in words."""
    ds = Dataset()
    nonsense = b"\0\0\0\0\0\0\0\1\0\0\0\0AA\0\0"
    ds._dict[Tag("ImageType")] = RawDataElement(Tag("ImageType"), "SQ", len(nonsense), nonsense, 0, False, True)
    assert header_of(ds, has_pixel_data=False).image_type == ()


@given(st.data())
def test_no_value_is_too_broken(data):
    """Any bytes under any deciding element leave a header, and no warning escapes (warnings are errors here)."""
    ds = Dataset()
    for keyword in data.draw(st.lists(st.sampled_from(_DECIDING), unique=True, max_size=8)):
        tag = Tag(keyword)
        value = data.draw(st.binary(max_size=24))
        vr = data.draw(st.sampled_from([None, "UN", "SQ", "DS", "IS", "US", "CS", "DA", "AS", "FL", "UI", "LO"]))
        implicit = vr is None
        ds._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, implicit, True)
    header = header_of(ds, has_pixel_data=False)
    assert header.number_of_frames >= 1


def test_a_file_is_read_up_to_its_pixels_and_no_further(tmp_path):
    path = save(plain(np.zeros((1000, 1000, 3), np.uint8)), tmp_path / "a.dcm")
    whole = read_header(path)
    with path.open("r+b") as handle:
        handle.truncate(path.stat().st_size - 2_999_000)
    assert read_header(path) == whole
    assert whole.has_pixel_data
    assert whole.transfer_syntax_uid == "1.2.840.10008.1.2.1"


def test_an_object_without_pixels_says_so(tmp_path):
    ds = plain(np.zeros((64, 64, 3), np.uint8))
    del ds.PixelData
    assert not read_header(save(ds, tmp_path / "a.dcm")).has_pixel_data


def test_a_wrapped_photograph_reads_as_what_was_said(tmp_path, photograph):
    write_dicom(wrap(encode(photograph, "JPEG"), laterality=Laterality.LEFT), tmp_path / "a.dcm")
    header = read_header(tmp_path / "a.dcm")
    assert header.laterality is Laterality.LEFT
    assert header.anatomic_regions == ("SCT:5665001",)
    assert header.device_types == ("SCT:409898007",)
    assert header.image_type == ("ORIGINAL", "PRIMARY", "", "COLOR")
    assert header.has_pixel_data


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", ReasonCode.NOT_DICOM),
        (b"\xff\xd8\xff\xe0" + bytes(500), ReasonCode.NOT_DICOM),
        (bytes(128) + b"DICM", ReasonCode.UNREADABLE_DATASET),
        (bytes(128) + b"DICM" + bytes(200), ReasonCode.UNREADABLE_DATASET),
    ],
)
def test_what_is_no_dicom_is_told_apart_from_what_is_broken(content, code, tmp_path):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_header(tmp_path / "a")
    assert caught.value.reason.code is code


def test_a_data_set_that_breaks_off_is_refused(tmp_path):
    ds = plain(np.zeros((64, 64, 3), np.uint8))
    del ds.PixelData
    path = save(ds, tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BadInput) as caught:
        read_header(path)
    assert caught.value.reason.code is ReasonCode.UNREADABLE_DATASET


def test_a_deflate_bomb_is_defused(tmp_path, monkeypatch):
    monkeypatch.setattr(part10, "MAX_INFLATED_BYTES", 1 << 22)
    ds = plain(np.zeros((64, 64, 3), np.uint8))
    del ds.PixelData
    ds.add_new(0x00200000 + 0x4000, "LT", "a" * 10)
    ds.add_new(0x00420011, "OB", bytes(1 << 24))
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    path = save(ds, tmp_path / "a.dcm")
    assert path.stat().st_size < 1 << 20
    with pytest.raises(BadInput) as caught:
        read_header(path)
    assert caught.value.reason.code is ReasonCode.TOO_LARGE


def test_the_listener_can_import_it_without_cv2_or_torch():
    code = "import sys, ocunet_pacs.imaging.header; sys.exit(bool({'cv2', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
