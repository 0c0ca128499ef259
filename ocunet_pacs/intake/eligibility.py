"""Whether an image may be analysed, from its header alone: the first closed gate that it meets says why. Pure.

The order of the gates is that of docs/eligibility.md. Only positive evidence excludes an ophthalmic photograph: exports
leave most of these attributes out, and an absent one is no evidence. The pixels have their say between `_BEFORE` and
`_AFTER`, elsewhere. Laterality never excludes.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from ocunet_pacs.domain.gates import Gate, GateRules, Verdict
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.intake import concepts

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.domain.study import ImageHeader

    Check = Callable[[ImageHeader, GateRules], Reason | None]

OPHTHALMIC_PHOTOGRAPHY_8_BIT = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
OPHTHALMIC_PHOTOGRAPHY_16_BIT = "1.2.840.10008.5.1.4.1.1.77.1.5.2"
WIDE_FIELD_STEREOGRAPHIC_PROJECTION = "1.2.840.10008.5.1.4.1.1.77.1.5.5"
WIDE_FIELD_3D_COORDINATES = "1.2.840.10008.5.1.4.1.1.77.1.5.6"
VL_PHOTOGRAPHIC = "1.2.840.10008.5.1.4.1.1.77.1.4"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MULTI_FRAME_TRUE_COLOUR_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.4"
_OPHTHALMIC = frozenset({OPHTHALMIC_PHOTOGRAPHY_8_BIT, OPHTHALMIC_PHOTOGRAPHY_16_BIT})
_WIDE_FIELD = frozenset({WIDE_FIELD_STEREOGRAPHIC_PROJECTION, WIDE_FIELD_3D_COORDINATES})
_CAPTURES = frozenset({SECONDARY_CAPTURE, MULTI_FRAME_TRUE_COLOUR_SECONDARY_CAPTURE})
_PHOTOGRAPHS = _OPHTHALMIC | _WIDE_FIELD | _CAPTURES | {VL_PHOTOGRAPHIC}
_CONTEXT = MappingProxyType(
    {
        "1.2.840.10008.5.1.4.1.1.77.1.5.3": "a Stereometric Relationship says which photographs are a stereo pair",
        "1.2.840.10008.5.1.4.1.1.78.7": "these are axial measurements",
        "1.2.840.10008.5.1.4.1.1.80.1": "this is a visual field",
        "1.2.840.10008.5.1.4.1.1.81.1": "this is a thickness map",
        "1.2.840.10008.5.1.4.1.1.104.1": "this is a document",
    }
)
_TOMOGRAPHY = frozenset(f"1.2.840.10008.5.1.4.1.1.77.1.5.{last}" for last in (4, 7, 8))

# Image Type (0008,0008) value 4 (PS3.3 section C.8.17.2.1.4), with older terms and those of real exports.
_COLOUR_TERMS = frozenset({"", "COLOR", "COLOUR"})
_ANGIOGRAPHY_TERMS = frozenset({"FA", "ICG", "FLUORESCEIN"})
_OTHER_TERMS = frozenset({"REDFREE", "RED", "BLUE", "GREEN", "INFRARED", "IR", "AUTOFLUORESCENCE", "FAF", "MONOCHROME"})
_PHOTOMETRIC = frozenset(
    {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "YBR_RCT", "YBR_ICT"}
)
_MONOCHROME = frozenset({"MONOCHROME1", "MONOCHROME2"})
_ONLY_THE_WAY = frozenset({Gate.VL_PHOTOGRAPHIC, Gate.SECONDARY_CAPTURE, Gate.UNPROVEN_REGION})
"""Gates about how an image is stored or described: behind them a photograph may be all that the model asks for."""


def eligibility(header: ImageHeader, rules: GateRules = GateRules()) -> Verdict:  # noqa: B008 -- frozen
    """What the rules of its source say of an image."""
    despite: list[Reason] = []
    stop = _first(_BEFORE, header, rules, despite)
    afterwards = None if stop else _first(_AFTER, header, rules, despite)
    strict = header.sop_class_uid not in _OPHTHALMIC | _WIDE_FIELD and not _says_fundus(header)
    return Verdict(stop, afterwards, tuple(despite), strict, rules.open)


def _first(
    gates: tuple[tuple[Gate | None, Check], ...], header: ImageHeader, rules: GateRules, despite: list[Reason]
) -> Reason | None:
    """The reason of the first closed gate; `despite` gets those of open ones that the model was not made for."""
    for gate, check in gates:
        reason = check(header, rules)
        if reason is None:
            continue
        if gate is None or gate not in rules.open:
            return reason
        if gate not in _ONLY_THE_WAY:
            despite.append(reason)
    return None


def _own_output(header: ImageHeader, _: GateRules) -> Reason | None:
    if header.made_by_us:
        return Reason(ReasonCode.OWN_OUTPUT, "made by this software")
    return None


def _no_photograph(header: ImageHeader, _: GateRules) -> Reason | None:
    if header.sop_class_uid in _PHOTOGRAPHS:
        return None
    if header.sop_class_uid in _CONTEXT:
        return Reason(ReasonCode.CONTEXT, f"{_CONTEXT[header.sop_class_uid]}: kept, not analysed")
    if header.sop_class_uid in _TOMOGRAPHY:
        return Reason(ReasonCode.SOP_CLASS, "tomography is kept and not analysed: the model reads photographs")
    return Reason(ReasonCode.SOP_CLASS, "only Ophthalmic Photography 8 Bit and 16 Bit Images are analysed")


def _vl_photographic(header: ImageHeader, _: GateRules) -> Reason | None:
    if header.sop_class_uid == VL_PHOTOGRAPHIC:
        return Reason(ReasonCode.SOP_CLASS, "VL Photographic Images are not analysed by this site's rules")
    return None


def _secondary_capture(header: ImageHeader, _: GateRules) -> Reason | None:
    if header.sop_class_uid in _CAPTURES:
        return Reason(ReasonCode.SOP_CLASS, "Secondary Captures are not analysed by this site's rules")
    return None


def _wide_field_class(header: ImageHeader, _: GateRules) -> Reason | None:
    if header.sop_class_uid in _WIDE_FIELD:
        return Reason(ReasonCode.WIDE_FIELD, "wide field photography is outside the model's 45 to 50 degree images")
    return None


def _derived(header: ImageHeader, _: GateRules) -> Reason | None:
    if _term(header, 1) == "DERIVED":
        return Reason(ReasonCode.DERIVED, "Image Type value 1 is DERIVED")
    if _term(header, 3) == "MONTAGE":
        return Reason(ReasonCode.DERIVED, "Image Type value 3 is MONTAGE")
    return None


def _calibration(header: ImageHeader, _: GateRules) -> Reason | None:
    if header.is_calibration_or_qc:
        return Reason(ReasonCode.CALIBRATION, "Calibration Image or Quality Control Image is YES")
    return None


def _other_region(header: ImageHeader, _: GateRules) -> Reason | None:
    """A region outweighs a device: a slit lamp with a lens photographs a retina too."""
    if frozenset(header.anatomic_regions) & concepts.FUNDUS_REGIONS:
        return None
    for code in header.anatomic_regions:
        if code in concepts.OTHER_REGIONS:
            return Reason(ReasonCode.NOT_RETINA, f"Anatomic Region is {concepts.OTHER_REGIONS[code]}")
    if frozenset(header.device_types) & concepts.FUNDUS_DEVICES:
        return None
    for code in header.device_types:
        if code in concepts.OTHER_DEVICES:
            return Reason(ReasonCode.NOT_RETINA, f"Acquisition Device Type is {concepts.OTHER_DEVICES[code]}")
    return None


def _unproven_region(header: ImageHeader, _: GateRules) -> Reason | None:
    if _says_fundus(header):
        return None
    return Reason(ReasonCode.UNPROVEN_REGION, "neither Anatomic Region nor Acquisition Device Type says fundus")


def _unproven_capture(header: ImageHeader, rules: GateRules) -> Reason | None:
    """A capture may be of anything: without a code it takes a source that the site vouches for."""
    if header.sop_class_uid not in _CAPTURES or Gate.SECONDARY_CAPTURE in rules.by_name:
        return None
    return _unproven_region(header, rules)


def _says_fundus(header: ImageHeader) -> bool:
    return bool(
        frozenset(header.anatomic_regions) & concepts.FUNDUS_REGIONS
        or frozenset(header.device_types) & concepts.FUNDUS_DEVICES
    )


def _angiography_term(header: ImageHeader, _: GateRules) -> Reason | None:
    term = _term(header, 4)
    if term in _ANGIOGRAPHY_TERMS:
        return Reason(ReasonCode.ANGIOGRAPHY, f"Image Type value 4 is {term}")
    return None


def _other_term(header: ImageHeader, _: GateRules) -> Reason | None:
    term = _term(header, 4)
    if term in _OTHER_TERMS:
        return Reason(ReasonCode.NOT_COLOUR, f"Image Type value 4 is {term}")
    if term not in _COLOUR_TERMS | _ANGIOGRAPHY_TERMS:
        # Not quoted: free text of unknown origin may be anything.
        return Reason(ReasonCode.NOT_COLOUR, "Image Type value 4 is an unknown term; only COLOR is analysed")
    return None


def _contrast(header: ImageHeader, _: GateRules) -> Reason | None:
    if not header.contrast_agents:
        return None
    known = [concepts.AGENTS[code] for code in header.contrast_agents if code in concepts.AGENTS]
    return Reason(ReasonCode.ANGIOGRAPHY, f"a contrast agent is recorded{': ' if known else ''}{', '.join(known)}")


def _light(header: ImageHeader, _: GateRules) -> Reason | None:
    """Channels and filters, which the header holds in one list: their code sets have nothing in common."""
    light = frozenset(header.path_filters)
    for code in header.path_filters:
        if code in concepts.OTHER_CHANNELS:
            return Reason(ReasonCode.NOT_COLOUR, f"a channel is {concepts.OTHER_CHANNELS[code]}")
    named = light & concepts.PRIMARY_CHANNELS
    if named and named != concepts.PRIMARY_CHANNELS and concepts.FULL_SPECTRUM not in light:
        return Reason(ReasonCode.NOT_COLOUR, "the channels described are not red, green and blue together")
    for code in header.path_filters:
        if code in concepts.COLOURED_FILTERS:
            return Reason(ReasonCode.NOT_COLOUR, f"taken through a {concepts.COLOURED_FILTERS[code]} filter")
    return None


def _pixels(header: ImageHeader, _: GateRules) -> Reason | None:
    if not header.has_pixel_data:
        return Reason(ReasonCode.NO_PIXELS, "Pixel Data is missing")
    if header.photometric_interpretation in _MONOCHROME:
        return Reason(ReasonCode.NOT_COLOUR, f"Photometric Interpretation is {header.photometric_interpretation}")
    if header.photometric_interpretation not in _PHOTOMETRIC:
        return Reason(ReasonCode.PHOTOMETRIC, "Photometric Interpretation is missing or not one of a colour photograph")
    return None


def _samples(header: ImageHeader, _: GateRules) -> Reason | None:
    if header.samples_per_pixel != 3:
        found = "missing" if header.samples_per_pixel is None else str(header.samples_per_pixel)
        return Reason(ReasonCode.PHOTOMETRIC, f"Samples per Pixel is {found}, a colour photograph has 3")
    if header.bits_allocated not in {8, 16}:
        found = "missing" if header.bits_allocated is None else str(header.bits_allocated)
        return Reason(ReasonCode.PHOTOMETRIC, f"Bits Allocated is {found}, only 8 and 16 are read")
    if not header.rows or not header.columns:
        return Reason(ReasonCode.TOO_SMALL, "Rows or Columns is missing or zero")
    return None


def _field_of_view(header: ImageHeader, rules: GateRules) -> Reason | None:
    degrees = header.field_of_view_degrees
    if degrees is not None and degrees > rules.widest_field:
        return Reason(
            ReasonCode.WIDE_FIELD,
            f"Horizontal Field of View is {degrees:g} degrees, at most {rules.widest_field:g} are analysed",
        )
    return None


def _adult(header: ImageHeader, rules: GateRules) -> Reason | None:
    if header.age_years is not None and header.age_years < rules.minimum_age:
        # The age itself is the patient's and stays out.
        return Reason(ReasonCode.CHILD, f"the patient is younger than {rules.minimum_age:g} years")
    return None


def _term(header: ImageHeader, number: int) -> str:
    """Image Type value `number`, counted from 1 as the standard does; "" where there is none."""
    return header.image_type[number - 1].strip().upper() if len(header.image_type) >= number else ""


_BEFORE: tuple[tuple[Gate | None, Check], ...] = (
    (None, _own_output),
    (None, _no_photograph),
    (Gate.VL_PHOTOGRAPHIC, _vl_photographic),
    (Gate.SECONDARY_CAPTURE, _secondary_capture),
    (Gate.WIDE_FIELD, _wide_field_class),
    (Gate.DERIVED, _derived),
    (Gate.CALIBRATION, _calibration),
    (Gate.OTHER_REGION, _other_region),
    (Gate.UNPROVEN_REGION, _unproven_region),
    (None, _unproven_capture),
    (Gate.ANGIOGRAPHY, _angiography_term),
    (Gate.NOT_COLOUR, _other_term),
    (Gate.ANGIOGRAPHY, _contrast),
    (Gate.NOT_COLOUR, _light),
    (None, _pixels),
    (None, _samples),
)
_AFTER: tuple[tuple[Gate | None, Check], ...] = ((Gate.WIDE_FIELD, _field_of_view), (Gate.CHILD, _adult))
