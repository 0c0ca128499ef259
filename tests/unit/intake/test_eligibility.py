"""Each gate, what passes it, and which reason comes first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts as standard

from ocunet_pacs.domain.gates import OPEN_FROM_THE_START, PIXEL_GATES, Gate, GateRules, Rules
from ocunet_pacs.domain.study import ImageHeader, Laterality, ReasonCode
from ocunet_pacs.intake import concepts
from ocunet_pacs.intake.eligibility import SECONDARY_CAPTURE, VL_PHOTOGRAPHIC, eligibility

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
        ({"device_types": ("SCT:102321001",), "anatomic_regions": ()}, ReasonCode.NOT_RETINA),
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


CODED = (
    (
        concepts.FUNDUS_REGIONS | concepts.OTHER_REGIONS.keys(),
        (4209, 4211),
        {"SCT:81745001", "SCT:40638003", "SCT:26386000"},
    ),
    (concepts.FUNDUS_DEVICES | concepts.OTHER_DEVICES.keys() | {"SCT:392012008"}, (4202,), set()),
    (concepts.COLOURED_FILTERS.keys(), (4204,), {"SCT:445391002"}),
    (concepts.OTHER_CHANNELS.keys() | concepts.PRIMARY_CHANNELS | {concepts.FULL_SPECTRUM}, (4206,), set()),
    (concepts.AGENTS.keys(), (4200,), set()),
)


@pytest.mark.parametrize(("ours", "groups", "says_nothing"), CODED)
def test_every_concept_of_a_context_group_has_its_place(
    ours: frozenset[str], groups: tuple[int, ...], says_nothing: set[str]
) -> None:
    """pydicom's tables, made from PS3.16, are the oracle: nothing of a group is overlooked."""
    for group in groups:
        for name in cid_concepts[group]["SCT"]:
            for code, (meaning, members) in standard["SCT"][name].items():
                if group in members:
                    assert f"SCT:{code}" in ours | says_nothing, f"{meaning} of CID {group}"


CLOSED_FROM_THE_START = sorted(frozenset(Gate) - OPEN_FROM_THE_START - frozenset(PIXEL_GATES.values()))
STOPPED_BY: dict[Gate, dict[str, Any]] = {
    Gate.VL_PHOTOGRAPHIC: {"sop_class_uid": VL_PHOTOGRAPHIC},
    Gate.SECONDARY_CAPTURE: {"sop_class_uid": SECONDARY_CAPTURE},
    Gate.WIDE_FIELD: {"field_of_view_degrees": 200.0},
    Gate.DERIVED: {"image_type": ("DERIVED", "PRIMARY", "", "COLOR")},
    Gate.CALIBRATION: {"is_calibration_or_qc": True},
    Gate.OTHER_REGION: {"anatomic_regions": ("SCT:78076003",)},
    Gate.NOT_COLOUR: {"path_filters": ("SCT:445465004",)},
    Gate.ANGIOGRAPHY: {"contrast_agents": ("SCT:350086004",)},
    Gate.CHILD: {"age_years": 4.0},
}


@pytest.mark.parametrize("gate", CLOSED_FROM_THE_START)
def test_each_gate_opens_and_opens_nothing_else(gate: Gate) -> None:
    rules = GateRules(OPEN_FROM_THE_START | {gate})
    assert eligibility(replace(GOOD, **STOPPED_BY[gate]), rules).reasons == ()
    for other in CLOSED_FROM_THE_START:
        if other != gate:
            assert eligibility(replace(GOOD, **STOPPED_BY[other]), rules).reasons, other


@given(st.frozensets(st.sampled_from(Gate)), st.frozensets(st.sampled_from(Gate)))
def test_no_choice_of_gates_lets_our_own_output_or_unreadable_pixels_pass(
    opened: frozenset[Gate], by_name: frozenset[Gate]
) -> None:
    rules = GateRules(opened | by_name, by_name)
    for change in ({"made_by_us": True}, {"has_pixel_data": False}, {"photometric_interpretation": "MONOCHROME2"}):
        for sop_class in (GOOD.sop_class_uid, SECONDARY_CAPTURE, VL_PHOTOGRAPHIC):
            assert eligibility(replace(GOOD, sop_class_uid=sop_class, **change), rules).stop is not None


@given(st.frozensets(st.sampled_from(Gate)), st.sampled_from(sorted(STOPPED_BY)))
def test_opening_a_gate_never_stops_anything(opened: frozenset[Gate], gate: Gate) -> None:
    header = replace(GOOD, **STOPPED_BY[gate])
    if not eligibility(header, GateRules(opened)).reasons:
        assert not eligibility(header, GateRules(opened | {gate})).reasons


def test_limits_of_field_and_age_are_the_site_s() -> None:
    rules = GateRules(minimum_age=12.0, widest_field=100.0)
    assert eligibility(replace(GOOD, age_years=12.0, field_of_view_degrees=100.0), rules).reasons == ()
    (reason,) = eligibility(replace(GOOD, age_years=11.9), rules).reasons
    assert reason.detail == "the patient is younger than 12 years"


def test_rules_have_one_digest_each() -> None:
    child = GateRules(OPEN_FROM_THE_START | {Gate.CHILD})
    every = [
        Rules(),
        Rules(child),
        Rules(sources={"a": child}),
        Rules(sources={"b": child}),
        Rules(GateRules(minimum_age=3)),
    ]
    assert len({rules.digest for rules in every}) == len(every)
    assert Rules(sources={"a": child, "b": child}).digest == Rules(sources={"b": child, "a": child}).digest


def test_a_relationship_is_context_and_no_failure() -> None:
    (reason,) = eligibility(replace(GOOD, sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.5.3")).reasons
    assert reason.code is ReasonCode.CONTEXT
