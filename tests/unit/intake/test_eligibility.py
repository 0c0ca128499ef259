"""Each gate, what passes it, and which reason comes first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ocunet_pacs.domain.study import ImageHeader, Laterality, ReasonCode
from ocunet_pacs.intake.eligibility import eligibility

GOOD = ImageHeader(
    study_instance_uid="1.2.1",
    series_instance_uid="1.2.2",
    sop_instance_uid="1.2.3",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.5.1",
    transfer_syntax_uid="1.2.840.10008.1.2.4.50",
    modality="OP",
    image_type=("ORIGINAL", "PRIMARY", "", "COLOR"),
    laterality=Laterality.RIGHT,
    anatomic_regions=("SCT:5665001",),
    device_types=("SCT:409898007",),
    photometric_interpretation="YBR_FULL_422",
    samples_per_pixel=3,
    bits_allocated=8,
    rows=2000,
    columns=2000,
    has_pixel_data=True,
    field_of_view_degrees=45.0,
    age_years=61.0,
)

BARE = replace(
    GOOD,
    modality="",
    image_type=(),
    laterality=Laterality.UNKNOWN,
    anatomic_regions=(),
    device_types=(),
    field_of_view_degrees=None,
    age_years=None,
)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.77.1.5.2", "bits_allocated": 16},
        {"laterality": Laterality.UNKNOWN},
        {"image_type": ("ORIGINAL", "PRIMARY")},
        {"image_type": ("ORIGINAL", "PRIMARY", "", "")},
        {"image_type": ("original", "primary", "", "Color")},
        {"anatomic_regions": ("SCT:81016008",)},
        {"anatomic_regions": ("SCT:81745001",)},
        {"anatomic_regions": ("99LOCAL:whatever",)},
        {"anatomic_regions": ("SCT:78076003", "SCT:5665001")},
        {"device_types": ("SCT:397247004",)},  # a slit lamp, but the region says retina
        {"device_types": ("SCT:392001008",)},
        {"path_filters": ("SCT:371240000", "SCT:371246006", "SCT:405738005")},
        {"path_filters": ("SCT:414298005",)},
        {"path_filters": ("DCM:111609", "SCT:445391002")},
        {"photometric_interpretation": "RGB"},
        {"photometric_interpretation": "YBR_ICT"},
        {"photometric_interpretation": "YBR_PARTIAL_422"},
        {"number_of_frames": 2},
        {"field_of_view_degrees": 60.0},
        {"age_years": 18.0},
        {"age_years": None},
    ],
)
def test_passes(change: dict[str, Any]) -> None:
    assert eligibility(replace(GOOD, **change)).reasons == ()


def test_an_export_that_says_next_to_nothing_passes() -> None:
    assert eligibility(BARE).reasons == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"made_by_us": True}, ReasonCode.OWN_OUTPUT),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.77.1.4"}, ReasonCode.SOP_CLASS),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, ReasonCode.SOP_CLASS),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7.4"}, ReasonCode.SOP_CLASS),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.77.1.5.4"}, ReasonCode.SOP_CLASS),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.77.1.5.5"}, ReasonCode.WIDE_FIELD),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.77.1.5.6"}, ReasonCode.WIDE_FIELD),
        ({"image_type": ("DERIVED", "PRIMARY", "", "COLOR")}, ReasonCode.DERIVED),
        ({"image_type": ("ORIGINAL", "PRIMARY", "MONTAGE", "COLOR")}, ReasonCode.DERIVED),
        ({"is_calibration_or_qc": True}, ReasonCode.CALIBRATION),
        ({"anatomic_regions": ("SCT:28726007",)}, ReasonCode.NOT_RETINA),
        ({"anatomic_regions": ("SCT:78076003",), "device_types": ("SCT:409898007",)}, ReasonCode.NOT_RETINA),
        ({"anatomic_regions": (), "device_types": ("SCT:397247004",)}, ReasonCode.NOT_RETINA),
        ({"anatomic_regions": ("SCT:81745001",), "device_types": ("SCT:409903006",)}, ReasonCode.NOT_RETINA),
        *(
            ({"image_type": ("ORIGINAL", "PRIMARY", "", term)}, ReasonCode.NOT_COLOUR)
            for term in ("REDFREE", "RED", "BLUE", "INFRARED", "AUTOFLUORESCENCE", "SOMETHING")
        ),
        ({"image_type": ("ORIGINAL", "PRIMARY", "", "FA")}, ReasonCode.ANGIOGRAPHY),
        ({"image_type": ("ORIGINAL", "PRIMARY", "", "ICG")}, ReasonCode.ANGIOGRAPHY),
        ({"contrast_agents": ("SCT:350086004",)}, ReasonCode.ANGIOGRAPHY),
        ({"path_filters": ("SCT:445465004",)}, ReasonCode.NOT_COLOUR),
        ({"path_filters": ("SCT:445169002",)}, ReasonCode.NOT_COLOUR),
        ({"path_filters": ("SCT:405739002",)}, ReasonCode.NOT_COLOUR),
        ({"path_filters": ("SCT:371246006",)}, ReasonCode.NOT_COLOUR),
        ({"has_pixel_data": False}, ReasonCode.NO_PIXELS),
        ({"photometric_interpretation": "MONOCHROME2", "samples_per_pixel": 1}, ReasonCode.NOT_COLOUR),
        ({"photometric_interpretation": "PALETTE COLOR", "samples_per_pixel": 1}, ReasonCode.PHOTOMETRIC),
        ({"photometric_interpretation": ""}, ReasonCode.PHOTOMETRIC),
        ({"samples_per_pixel": 4}, ReasonCode.PHOTOMETRIC),
        ({"samples_per_pixel": None}, ReasonCode.PHOTOMETRIC),
        ({"bits_allocated": 32}, ReasonCode.PHOTOMETRIC),
        ({"rows": 0}, ReasonCode.TOO_SMALL),
        ({"columns": None}, ReasonCode.TOO_SMALL),
        ({"field_of_view_degrees": 60.1}, ReasonCode.WIDE_FIELD),
        ({"age_years": 17.99}, ReasonCode.CHILD),
        ({"age_years": 0.0}, ReasonCode.CHILD),
    ],
)
def test_one_reason_excludes(change: dict[str, Any], code: ReasonCode) -> None:
    (reason,) = eligibility(replace(GOOD, **change)).reasons
    assert reason.code is code
    assert reason.detail


IN_ORDER: list[tuple[dict[str, Any], ReasonCode]] = [
    ({"made_by_us": True}, ReasonCode.OWN_OUTPUT),
    ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, ReasonCode.SOP_CLASS),
    ({"is_calibration_or_qc": True}, ReasonCode.CALIBRATION),
    ({"anatomic_regions": ("SCT:41296002",)}, ReasonCode.NOT_RETINA),
    ({"contrast_agents": ("SCT:7292004",)}, ReasonCode.ANGIOGRAPHY),
    ({"path_filters": ("SCT:445084008",)}, ReasonCode.NOT_COLOUR),
    ({"bits_allocated": 12}, ReasonCode.PHOTOMETRIC),
    ({"field_of_view_degrees": 200.0}, ReasonCode.WIDE_FIELD),
    ({"age_years": 4.0}, ReasonCode.CHILD),
]


@pytest.mark.parametrize("first", range(len(IN_ORDER)))
def test_the_first_gate_that_fails_says_why(first: int) -> None:
    everything: dict[str, Any] = {}
    for change, _ in IN_ORDER[first:]:
        everything |= change
    assert [reason.code for reason in eligibility(replace(GOOD, **everything)).reasons] == [IN_ORDER[first][1]]


def test_details_quote_no_free_text_and_no_age() -> None:
    (term,) = eligibility(replace(GOOD, image_type=("ORIGINAL", "PRIMARY", "", "TESTPERSON^ERIKA"))).reasons
    (child,) = eligibility(replace(GOOD, age_years=4.25)).reasons
    assert "TESTPERSON" not in term.detail
    assert "4" not in child.detail
