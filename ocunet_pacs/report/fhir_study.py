"""What our FHIR resources say of patient, order, study and time, from the structured report's own header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from ocunet_pacs.report import codes
from ocunet_pacs.report.fhir_terms import Json, clean, dicom_identifier, readable, terminology
from ocunet_pacs.report.validate import named, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydicom.dataset import Dataset

    from ocunet_pacs.report.fhir_settings import FhirSettings


@dataclass(frozen=True, slots=True)
class Times:
    """When photographs were taken, as FHIR dateTime by SOP Instance UID; `study` is when the study began, or ""."""

    photographs: Mapping[str, str]
    study: str

    def first(self, uids: Iterable[str]) -> str:
        """The earliest of these photographs, or of the study where none says when it was taken; "" for unknown."""
        return min((self.photographs[uid] for uid in uids if uid in self.photographs), default=self.study)


def subject(report: Dataset, settings: FhirSettings) -> Json | None:
    """The patient as a reference by identifier; None where nobody knows the identifier.

    A server that is to look the patient up gets a conditional reference beside it (R4, http.html#trules).
    """
    value = clean(str(report.get("PatientID") or ""))
    if not value:
        return None
    system = settings.patient_system or _issuer_system(report)
    found: Json = {"system": system} if system else {}
    found["value"] = value
    issuer = clean(str(report.get("IssuerOfPatientID") or ""))
    if issuer:
        found["assigner"] = {"display": issuer}
    reference: Json = {"type": "Patient", "identifier": found}
    if settings.resolve_patient:
        where = f"Patient?identifier={quote(system, safe=':/')}|{quote(value, safe='')}"
        reference = {"reference": where, **reference}
    name = readable(str(report.get("PatientName") or "")) if settings.include_patient_name else ""
    if name:
        reference["display"] = name
    return reference


def _issuer_system(report: Dataset) -> str:
    """The namespace of the patient's identifier as a URI, where the photographs name it by an object identifier."""
    for item in report.get("IssuerOfPatientIDQualifiersSequence") or ():
        value = str(item.get("UniversalEntityID") or "")
        if item.get("UniversalEntityIDType") == "ISO" and re.fullmatch(r"[0-2](\.(0|[1-9]\d*))+", value):
            return f"urn:oid:{value}"
    return ""


def order(report: Dataset, settings: FhirSettings) -> list[Json]:
    """The order that the study was made for, as a reference by accession number; empty where there is none."""
    value = clean(str(report.get("AccessionNumber") or ""))
    if not value:
        return []
    found: Json = {"type": {"coding": [terminology("v2-0203", "ACSN", "Accession ID")]}}
    if settings.accession_system:
        found["system"] = settings.accession_system
    return [{"type": "ServiceRequest", "identifier": {**found, "value": value}}]


def study(report: Dataset) -> Json:
    """The DICOM study as a reference by its UID."""
    return {"type": "ImagingStudy", "identifier": dicom_identifier(str(report.StudyInstanceUID))}


def predecessor_uid(report: Dataset) -> str:
    """SOP Instance UID of the report that this one follows, "" where it is the first."""
    for document in report.get("PredecessorDocumentsSequence") or ():
        for series in document.ReferencedSeriesSequence:
            for instance in series.ReferencedSOPSequence:
                return str(instance.ReferencedSOPInstanceUID)
    return ""


def times(report: Dataset) -> Times:
    """When the photographs of the report's image library were taken."""
    zone = _zone(str(report.get("TimezoneOffsetFromUTC") or ""))
    found: dict[str, str] = {}
    for entry in walk(report):
        if not (named(entry, codes.SOURCE) and "ReferencedSOPSequence" in entry):
            continue
        facts = entry.get("ContentSequence", ())
        day = next((str(i.Date) for i in facts if named(i, codes.ACQUISITION_DATE)), "")
        time = next((str(i.Time) for i in facts if named(i, codes.ACQUISITION_TIME)), "")
        if day:
            found[str(entry.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)] = _moment(day, time, zone)
    began = str(report.get("StudyDate") or "")
    return Times(found, _moment(began, str(report.get("StudyTime") or ""), zone) if began else "")


def _zone(offset: str) -> str:
    return f"{offset[:3]}:{offset[3:]}" if re.fullmatch(r"[+-](0\d|1[0-3])[0-5]\d|[+-]1400", offset) else ""


def _moment(day: str, time: str, zone: str) -> str:
    """FHIR dateTime. A time of day needs a zone there: without one that the photographs state, only the day is said."""
    date = f"{day[:4]}-{day[4:6]}-{day[6:8]}"
    if not (zone and re.match(r"\d{6}", time)):
        return date
    return f"{date}T{time[:2]}:{time[2:4]}:{time[4:6]}{zone}"
