"""Whether an image may be analysed, from its header alone: the first gate that fails says why. Pure.

Only positive evidence excludes: exports leave most of these attributes out, and an absent one is no evidence. The
pixels decide last, elsewhere. Laterality never excludes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.domain.study import Reason, ReasonCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.domain.study import ImageHeader

OPHTHALMIC_PHOTOGRAPHY_8_BIT = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
OPHTHALMIC_PHOTOGRAPHY_16_BIT = "1.2.840.10008.5.1.4.1.1.77.1.5.2"
WIDE_FIELD_STEREOGRAPHIC_PROJECTION = "1.2.840.10008.5.1.4.1.1.77.1.5.5"
WIDE_FIELD_3D_COORDINATES = "1.2.840.10008.5.1.4.1.1.77.1.5.6"
_ANALYSED = frozenset({OPHTHALMIC_PHOTOGRAPHY_8_BIT, OPHTHALMIC_PHOTOGRAPHY_16_BIT})
_WIDE_FIELD = frozenset({WIDE_FIELD_STEREOGRAPHIC_PROJECTION, WIDE_FIELD_3D_COORDINATES})

# Anatomic Region Sequence (0008,2218), CID 4209 Ophthalmic Anatomic Structure Imaged; "Eye" says nothing.
_FUNDUS_REGIONS = frozenset({"SCT:5665001", "SCT:81016008", "SCT:67046006", "SCT:68703001"})
_OTHER_REGIONS = {
    "SCT:31636006": "anterior chamber of eye",
    "SCT:29534007": "ciliary body",
    "SCT:29445007": "conjunctiva",
    "SCT:28726007": "cornea",
    "SCT:80243003": "eyelid",
    "SCT:41296002": "iris",
    "SCT:43045000": "lacrimal caruncle",
    "SCT:13561001": "lacrimal gland",
    "SCT:3954005": "lacrimal sac",
    "SCT:78076003": "lens",
    "SCT:62736007": "lower eyelid",
    "SCT:18619003": "sclera",
    "SCT:38934000": "upper eyelid",
}
# Acquisition Device Type Code Sequence (0022,0015), CID 4202 Ophthalmic Photography Acquisition Device.
_FUNDUS_DEVICES = frozenset({"SCT:409898007", "SCT:392001008", "SCT:409900009", "SCT:409901008"})
_OTHER_DEVICES = {
    "SCT:409903006": "external camera",
    "SCT:397522002": "keratoscope",
    "SCT:420827006": "pupillograph",
    "SCT:397247004": "slit lamp biomicroscope",
    "SCT:409899004": "specular microscope",
}
# Light Path Filter Type Stack and Image Path Filter Type Stack (0022,0017/0018), CID 4204 Ophthalmic Filter.
_COLOURED_FILTERS = {
    "SCT:422915004": "blue-green",
    "SCT:445084008": "blue",
    "SCT:445465004": "green",
    "SCT:445169002": "infrared",
    "SCT:445279009": "red",
    "SCT:445340000": "yellow-green",
}
# Channel Description Code Sequence (0022,001A), CID 4206 Ophthalmic Channel Description. A colour photograph may name
# its three channels; one that names fewer is not in colour, whatever its pixels are stored as.
_FULL_SPECTRUM = "SCT:414298005"
_PRIMARY_CHANNELS = frozenset({"SCT:371240000", "SCT:371246006", "SCT:405738005"})
_OTHER_CHANNELS = {"SCT:414497003": "infrared", "SCT:405739002": "red-free", "SCT:415770004": "ultraviolet"}
# Image Type (0008,0008) value 4 (PS3.3 section C.8.17.2.1.4), with older terms and those of real exports.
_COLOUR_TERMS = frozenset({"", "COLOR", "COLOUR"})
_ANGIOGRAPHY_TERMS = frozenset({"FA", "ICG", "FLUORESCEIN"})
_OTHER_TERMS = frozenset({"REDFREE", "RED", "BLUE", "GREEN", "INFRARED", "IR", "AUTOFLUORESCENCE", "FAF", "MONOCHROME"})
_PHOTOMETRIC = frozenset(
    {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "YBR_RCT", "YBR_ICT"}
)
_MONOCHROME = frozenset({"MONOCHROME1", "MONOCHROME2"})

WIDEST_FIELD_DEGREES = 60.0
ADULT_YEARS = 18.0


def eligibility(header: ImageHeader) -> tuple[Reason, ...]:
    """Empty when nothing in the header speaks against an analysis, else the one reason of the first gate that fails."""
    for gate in _GATES:
        reason = gate(header)
        if reason is not None:
            return (reason,)
    return ()


def _own_output(header: ImageHeader) -> Reason | None:
    if header.made_by_us:
        return Reason(ReasonCode.OWN_OUTPUT, "made by this software")
    return None


def _sop_class(header: ImageHeader) -> Reason | None:
    if header.sop_class_uid in _ANALYSED:
        return None
    if header.sop_class_uid in _WIDE_FIELD:
        return Reason(ReasonCode.WIDE_FIELD, "wide field photography is outside the model's 45 to 50 degree images")
    return Reason(ReasonCode.SOP_CLASS, "only Ophthalmic Photography 8 Bit and 16 Bit Images are analysed")


def _original(header: ImageHeader) -> Reason | None:
    if _term(header, 1) == "DERIVED":
        return Reason(ReasonCode.DERIVED, "Image Type value 1 is DERIVED")
    if _term(header, 3) == "MONTAGE":
        return Reason(ReasonCode.DERIVED, "Image Type value 3 is MONTAGE")
    if header.is_calibration_or_qc:
        return Reason(ReasonCode.CALIBRATION, "Calibration Image or Quality Control Image is YES")
    return None


def _retina(header: ImageHeader) -> Reason | None:
    regions = frozenset(header.anatomic_regions)
    if regions & _FUNDUS_REGIONS:
        return None
    for code in header.anatomic_regions:
        if code in _OTHER_REGIONS:
            return Reason(ReasonCode.NOT_RETINA, f"Anatomic Region is {_OTHER_REGIONS[code]}")
    if frozenset(header.device_types) & _FUNDUS_DEVICES:
        return None
    for code in header.device_types:
        if code in _OTHER_DEVICES:
            return Reason(ReasonCode.NOT_RETINA, f"Acquisition Device Type is {_OTHER_DEVICES[code]}")
    return None


def _colour(header: ImageHeader) -> Reason | None:
    term = _term(header, 4)
    if term in _ANGIOGRAPHY_TERMS:
        return Reason(ReasonCode.ANGIOGRAPHY, f"Image Type value 4 is {term}")
    if term in _OTHER_TERMS:
        return Reason(ReasonCode.NOT_COLOUR, f"Image Type value 4 is {term}")
    if term not in _COLOUR_TERMS:
        # Not quoted: free text of unknown origin may be anything.
        return Reason(ReasonCode.NOT_COLOUR, "Image Type value 4 is an unknown term; only COLOR is analysed")
    if header.contrast_agents:
        return Reason(ReasonCode.ANGIOGRAPHY, "a contrast agent is recorded")
    return None


def _light(header: ImageHeader) -> Reason | None:
    """Filters and channels, which the header holds in one list: their code sets have nothing in common."""
    for code in header.path_filters:
        if code in _COLOURED_FILTERS:
            return Reason(ReasonCode.NOT_COLOUR, f"taken through a {_COLOURED_FILTERS[code]} filter")
        if code in _OTHER_CHANNELS:
            return Reason(ReasonCode.NOT_COLOUR, f"a channel is {_OTHER_CHANNELS[code]}")
    channels = frozenset(header.path_filters)
    named = channels & _PRIMARY_CHANNELS
    if named and named != _PRIMARY_CHANNELS and _FULL_SPECTRUM not in channels:
        return Reason(ReasonCode.NOT_COLOUR, "the channels described are not red, green and blue together")
    return None


def _pixels(header: ImageHeader) -> Reason | None:
    if not header.has_pixel_data:
        return Reason(ReasonCode.NO_PIXELS, "Pixel Data is missing")
    if header.photometric_interpretation in _MONOCHROME:
        return Reason(ReasonCode.NOT_COLOUR, f"Photometric Interpretation is {header.photometric_interpretation}")
    if header.photometric_interpretation not in _PHOTOMETRIC:
        return Reason(ReasonCode.PHOTOMETRIC, "Photometric Interpretation is missing or not one of a colour photograph")
    return None


def _samples(header: ImageHeader) -> Reason | None:
    if header.samples_per_pixel != 3:
        found = "missing" if header.samples_per_pixel is None else str(header.samples_per_pixel)
        return Reason(ReasonCode.PHOTOMETRIC, f"Samples per Pixel is {found}, a colour photograph has 3")
    if header.bits_allocated not in {8, 16}:
        found = "missing" if header.bits_allocated is None else str(header.bits_allocated)
        return Reason(ReasonCode.PHOTOMETRIC, f"Bits Allocated is {found}, only 8 and 16 are read")
    if not header.rows or not header.columns:
        return Reason(ReasonCode.TOO_SMALL, "Rows or Columns is missing or zero")
    return None


def _field_of_view(header: ImageHeader) -> Reason | None:
    degrees = header.field_of_view_degrees
    if degrees is not None and degrees > WIDEST_FIELD_DEGREES:
        return Reason(
            ReasonCode.WIDE_FIELD,
            f"Horizontal Field of View is {degrees:g} degrees, validated up to {WIDEST_FIELD_DEGREES:g}",
        )
    return None


def _adult(header: ImageHeader) -> Reason | None:
    if header.age_years is not None and header.age_years < ADULT_YEARS:
        # The age itself is the patient's and stays out.
        return Reason(ReasonCode.CHILD, f"the patient is younger than {ADULT_YEARS:g} years")
    return None


def _term(header: ImageHeader, number: int) -> str:
    """Image Type value `number`, counted from 1 as the standard does; "" where there is none."""
    return header.image_type[number - 1].strip().upper() if len(header.image_type) >= number else ""


_GATES: tuple[Callable[[ImageHeader], Reason | None], ...] = (
    _own_output,
    _sop_class,
    _original,
    _retina,
    _colour,
    _light,
    _pixels,
    _samples,
    _field_of_view,
    _adult,
)
