"""Rules for every DICOM object that we make, whatever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.domain.labels import PRIVATE_SCHEME
from ocunet_pacs.imaging.header import MANUFACTURER, MODEL_NAME, SERIES_NAME
from ocunet_pacs.report import codes
from ocunet_pacs.report.codes import same_concept
from ocunet_pacs.report.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset

_UNTRAINED = "UNTRAINED WEIGHTS"


def _contribution(ds: Dataset) -> Dataset:
    """What we contributed; StopIteration where we say nothing of it."""
    ours: Dataset = next(
        item
        for item in ds.ContributingEquipmentSequence
        if same_concept(item.PurposeOfReferenceCodeSequence[0], codes.PROCESSING_EQUIPMENT)
    )
    return ours


def _contributed(holds: Callable[[Dataset, Dataset], bool]) -> Callable[[Dataset], bool]:
    """A rule about our contribution, which C09 asks for: it holds where there is none."""

    def check(ds: Dataset) -> bool:
        try:
            ours = _contribution(ds)
        except (AttributeError, LookupError, StopIteration):
            return True
        return holds(ds, ours)

    return check


def _is_contributor(ds: Dataset) -> bool:
    return bool(_contribution(ds))


def _private_codes_identified(ds: Dataset) -> bool:
    identified = {str(item.CodingSchemeDesignator) for item in ds.get("CodingSchemeIdentificationSequence", ())}
    return PRIVATE_SCHEME in identified


def _untrained_is_said(ds: Dataset) -> bool:
    return _UNTRAINED not in ds.get("SoftwareVersions", ()) or "UNTRAINED" in str(ds.get("SeriesDescription", ""))


OURS = (
    Rule(
        "C01",
        "text is UTF-8",
        "promise: every name of every script",
        lambda ds: ds.SpecificCharacterSet == "ISO_IR 192",
    ),
    Rule(
        "C02", "the series number is at least 900", "promise: behind the photographs", lambda ds: ds.SeriesNumber >= 900
    ),
    Rule("C03", "the instance is numbered", "PS3.3 C.7.6.1, C.17.2", lambda ds: ds.InstanceNumber is not None),
    Rule(
        "C04",
        "the series description begins with our name",
        "promise: known again when it comes back",
        lambda ds: str(ds.SeriesDescription).startswith(SERIES_NAME),
    ),
    Rule(
        "C05",
        "the series description has one code",
        "IHE AI Results",
        lambda ds: len(ds.SeriesDescriptionCodeSequence) == 1,
    ),
    Rule(
        "C06",
        "content date and time are set",
        "PS3.3 C.17.2, C.7.6.1",
        lambda ds: bool(ds.ContentDate and ds.ContentTime),
    ),
    Rule(
        "C07",
        "the content is qualified",
        "IHE AI Results; PS3.3 C.8.13.2.1.1",
        lambda ds: ds.ContentQualification in {"PRODUCT", "RESEARCH", "SERVICE"},
    ),
    Rule(
        "C08",
        "the equipment is ours, with serial number, software versions and Device UID",
        "PS3.3 C.7.5.2",
        lambda ds: (
            (ds.Manufacturer, ds.ManufacturerModelName) == (MANUFACTURER, MODEL_NAME)
            and all(ds.get(keyword) for keyword in ("DeviceSerialNumber", "SoftwareVersions", "DeviceUID"))
        ),
    ),
    Rule("C09", "we are named as processing equipment", "IHE AI Results; PS3.3 C.12.1", _is_contributor),
    Rule(
        "C10",
        "what contributed has manufacturer, model and software versions",
        "IHE AI Results",
        _contributed(
            lambda _, ours: all(
                ours.get(keyword) for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions")
            )
        ),
    ),
    Rule(
        "C11",
        "what contributed is the device that the object names",
        "IHE AI Results: Device UID",
        _contributed(lambda ds, ours: "DeviceUID" not in ds or ours.DeviceUID == ds.DeviceUID),
    ),
    Rule("C12", "our private codes are identified", "PS3.3 C.12.1; highdicom leaves it out", _private_codes_identified),
    Rule("C13", "untrained weights are called so in the series description", "promise", _untrained_is_said),
)
