"""The part of an object that is not its content: patient and study as the photographs have them, equipment, encoding.

What the photographs say about patient and study is copied, never corrected, because an archive files by it; what no
reader could parse stays empty (`copied`). Text becomes UTF-8.
"""

from __future__ import annotations

import io
import re
from contextlib import suppress
from copy import deepcopy
from datetime import datetime
from typing import TYPE_CHECKING

from pydicom.charset import convert_encodings, decode_element
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

from ocunet_pacs.domain.errors import BadInput, InvalidReport
from ocunet_pacs.domain.labels import PRIVATE_SCHEME
from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.imaging.header import MANUFACTURER, MODEL_NAME
from ocunet_pacs.imaging.part10 import opened, quiet
from ocunet_pacs.report import codes
from ocunet_pacs.report.copied import DAY, clear, is_day, usable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ocunet_pacs.domain.result import BundleRef
    from ocunet_pacs.report.report_settings import ReportSettings

IMPLEMENTATION_VERSION_NAME = "OCUNET_PACS"

REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
)
"""Type 2 of the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1): present, empty where nobody knows."""

OPTIONAL = (
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "TypeOfPatientID",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientBirthTime",
    "EthnicGroup",
    "PatientComments",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
    "StudyDescription",
    "ProcedureCodeSequence",
    "IssuerOfAccessionNumberSequence",
    "ConsultingPhysicianName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "AdmissionID",
    "TimezoneOffsetFromUTC",
)
"""Copied where the photographs have them."""

_OF_THE_IMAGE = (
    "SpecificCharacterSet",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "InstitutionName",
    "StationName",
    "Rows",
    "Columns",
    "AcquisitionDateTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentDate",
    "ContentTime",
    "AnatomicRegionSequence",
    "PatientOrientation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "CodingSchemeIdentificationSequence",
)
_TAGS = tuple(int(Tag(keyword)) for keyword in REQUIRED + OPTIONAL + _OF_THE_IMAGE)


def read_source(path: Path) -> Dataset:
    """What we use of a photograph's header, as Unicode, with Transfer Syntax UID in its file meta information.

    BadInput when the file is not readable DICOM. A single value that cannot be decoded is left out.
    """
    with opened(path, _TAGS) as file, quiet():
        encodings = convert_encodings(file.dataset.get("SpecificCharacterSet") or "ISO_IR 6")
        ds = Dataset()
        for tag in sorted(file.dataset.keys()):
            try:
                element = file.dataset[tag]
                decode_element(element, encodings)
            except Exception:  # noqa: BLE001, S112 -- pydicom raises a dozen kinds on a broken value
                continue
            ds.add(element)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(file.transfer_syntax_uid)
    return ds


def inherit(sources: Sequence[Dataset], study_instance_uid: str) -> Dataset:
    """A new data set with the patient and the study of the photographs.

    Each attribute comes from the first photograph that has a value for it. InvalidReport when the photographs are of
    different studies or name different patients.
    """
    if {str(ds.get("StudyInstanceUID", "")) for ds in sources} != {study_instance_uid}:
        raise InvalidReport("one study: a photograph belongs to another study than its result")
    if len({patient for ds in sources if (patient := str(ds.get("PatientID") or "").strip())}) > 1:
        raise InvalidReport("one patient: the photographs of the study name different patients")
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.StudyInstanceUID = study_instance_uid
    with quiet():
        for keyword in REQUIRED + OPTIONAL:
            value = next((v for s in sources if (v := usable(s, keyword)) is not None), None)
            if value is not None:
                setattr(ds, keyword, value)
            elif keyword in REQUIRED:
                setattr(ds, keyword, "")
    return ds


def set_time(ds: Dataset, now: datetime) -> str:
    """Content and creation time, in the zone that the object's other times are in; returns the same as DT.

    That zone is Timezone Offset From UTC (0008,0201) where the photographs give it and this machine's otherwise.
    """
    offset = ds.get("TimezoneOffsetFromUTC")
    local = now.astimezone(datetime.strptime(offset, "%z").tzinfo) if offset else now.astimezone()
    day, moment = local.strftime("%Y%m%d"), local.strftime("%H%M%S.%f")
    ds.InstanceCreationDate = ds.ContentDate = day
    ds.InstanceCreationTime = ds.ContentTime = moment
    return f"{day}{moment}{local.strftime('%z')}"


def set_equipment(
    ds: Dataset, bundle: BundleRef, settings: ReportSettings, software_version: str, *, moment: str, institution: str
) -> None:
    """General and Enhanced General Equipment, and ourselves as Contributing Equipment (PS3.3 C.7.5.1, C.12.1).

    `moment` is the DT of our contribution, `institution` the photographs' Institution Name.
    """
    versions = [software_version, f"{bundle.name} {bundle.digest[:12]}"[:64]]
    if not bundle.trained:
        versions.append("UNTRAINED WEIGHTS")
    if bundle.research:
        versions.append("RESEARCH BUNDLE")
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = MODEL_NAME
    ds.DeviceSerialNumber = bundle.digest[:16]
    ds.SoftwareVersions = versions
    ds.DeviceUID = device_uid(bundle)
    if settings.institution_name or institution:
        ds.InstitutionName = settings.institution_name or institution
    ours = Dataset()
    ours.PurposeOfReferenceCodeSequence = [codes.concept(codes.PROCESSING_EQUIPMENT)]
    ours.Manufacturer = MANUFACTURER
    ours.ManufacturerModelName = MODEL_NAME
    ours.StationName = settings.device_name[:16]
    ours.DeviceSerialNumber = bundle.digest[:16]
    ours.SoftwareVersions = versions
    ours.DeviceUID = device_uid(bundle)
    ours.ContributionDateTime = moment
    ours.ContributionDescription = (
        "Classified with untrained weights" if not bundle.trained else "Classified colour fundus photographs"
    )
    ds.ContributingEquipmentSequence = [ours]


def device_uid(bundle: BundleRef) -> str:
    """UID of the device that these weights are."""
    return derive_uid("device", bundle.digest)


def institution_of(sources: Iterable[Dataset]) -> str:
    """The photographs' Institution Name, "" where none has one."""
    return next((name for ds in sources if (name := clear(str(ds.get("InstitutionName") or "")).strip())), "")


def station_of(paths: Iterable[Path]) -> str:
    """The Station Name of the first photograph that has one, "" where none has; what cannot be read has none."""
    for path in paths:
        with suppress(BadInput):
            station = str(read_source(path).get("StationName") or "").strip()
            if station:
                return station
    return ""


def set_private_scheme(ds: Dataset, sources: Iterable[Dataset] = ()) -> None:
    """Coding Scheme Identification Sequence for the private codes in `ds` (PS3.3 C.12.1), which is complete but for it.

    Ours, and those that came with copied attributes, as far as the photographs identify them.
    """
    scheme = Dataset()
    scheme.CodingSchemeDesignator = PRIVATE_SCHEME
    scheme.CodingSchemeName = codes.PRIVATE_SCHEME_NAME
    scheme.CodingSchemeResponsibleOrganization = "OcuNet PACS"
    known = {
        str(item.get("CodingSchemeDesignator", "")): item
        for source in sources
        for item in source.get("CodingSchemeIdentificationSequence") or ()
    }
    used = {str(element.value) for element in ds.iterall() if element.keyword == "CodingSchemeDesignator"}
    copied = [deepcopy(known[name]) for name in sorted(used & known.keys() - {PRIVATE_SCHEME, ""})]
    ds.CodingSchemeIdentificationSequence = [scheme, *copied]


def encode(ds: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The whole file (PS3.10) under our own implementation UID. Pixel data must be in the transfer syntax already."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID(derive_uid("implementation"))
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    ds.file_meta = meta
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def acquired(source: Dataset) -> tuple[str, str]:
    """When the photograph was taken, as DA and TM without fraction; "" for what the header does not say."""
    moment = str(source.get("AcquisitionDateTime") or "")
    day = moment[:8] or str(source.get("AcquisitionDate") or source.get("ContentDate") or "")
    time = moment[8:14] or str(source.get("AcquisitionTime") or source.get("ContentTime") or "")[:6]
    if not (re.fullmatch(DAY, day) and is_day(day)):
        return "", ""
    return day, time if re.fullmatch(r"([01]\d|2[0-3])[0-5]\d[0-5]\d", time) else ""
