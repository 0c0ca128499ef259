"""The report for a record system: a transaction Bundle (FHIR R4, 4.0.1) of a DiagnosticReport and its Observations.

Every resource is created on the condition that none with its identifier is there (`ifNoneExist`), and identifiers
derive from the work: sent again, the Bundle changes nothing, not even what a person has amended since. A revision is a
report of its own that names the one before it. Nothing here is more than preliminary.
"""

from __future__ import annotations

import json
from datetime import UTC
from html import escape
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import InvalidReport
from ocunet_pacs.domain.labels import PRIVATE_SCHEME, Code
from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.header import MANUFACTURER, MODEL_NAME
from ocunet_pacs.report import codes, fhir_study, remarks, wording
from ocunet_pacs.report.fhir_observations import observations
from ocunet_pacs.report.fhir_shared import Made, Shared
from ocunet_pacs.report.fhir_terms import (
    SOFTWARE,
    Json,
    clean,
    coded,
    coding,
    dicom_identifier,
    full_url,
    identifier,
    terminology,
)
from ocunet_pacs.report.header import device_uid
from ocunet_pacs.report.reading import read_report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pydicom.dataset import Dataset

    from ocunet_pacs.domain.result import BundleRef, StudyResult
    from ocunet_pacs.report.fhir_settings import FhirSettings
    from ocunet_pacs.report.report_settings import ReportSettings

_EXTENSION = "http://hl7.org/fhir/StructureDefinition/diagnosticReport-"
_CATEGORY = [{"coding": [terminology("v2-0074", "IMG", "Diagnostic Imaging")]}]
_MADE_BY_A_MACHINE = terminology("v3-ObservationValue", "AIAST", "Artificial Intelligence asserted")
_TEST_DATA = terminology("v3-ActReason", "HTEST", "test health data")


def build_fhir(
    result: StudyResult,
    report: Dataset,
    *,
    settings: FhirSettings,
    report_settings: ReportSettings,
    now: datetime,
) -> bytes:
    """The Bundle as JSON, UTF-8: the same bytes for the same arguments.

    `report` is the structured report of `result`: patient, order and times come from its header, and the resources name
    it. InvalidReport when it is another study's.
    """
    if str(report.get("StudyInstanceUID", "")) != result.study_instance_uid:
        raise InvalidReport("one study: the structured report belongs to another study than the result")
    issued = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    meta = _meta(report, result.bundle)
    device = _device(result, report, report_settings, meta)
    shared = Shared(
        result=result,
        report_settings=report_settings,
        settings=settings,
        times=fhir_study.times(report),
        meta=meta,
        subject=fhir_study.subject(report, settings),
        study=fhir_study.study(report),
        device=device.reference,
        issued=issued,
    )
    top, everything = observations(shared)
    made = [device, *everything, _diagnostic_report(shared, report, top)]
    bundle = {
        "resourceType": "Bundle",
        # Folders call the file by it.
        "id": report_uid(result),
        "type": "transaction",
        "timestamp": issued,
        "entry": [_entry(one) for one in made],
    }
    return json.dumps(bundle, ensure_ascii=False, indent=2).encode() + b"\n"


def report_uid(result: StudyResult) -> str:
    """UID of the DiagnosticReport: the same whenever the same work is done again."""
    return derive_uid("fhir", result.key, "report")


def _entry(made: Made) -> Json:
    kind = made.resource["resourceType"]
    known = identifier(made.uid)
    condition = f"identifier={known['system']}|{known['value']}"
    return {
        "fullUrl": full_url(made.uid),
        "resource": made.resource,
        "request": {"method": "POST", "url": kind, "ifNoneExist": condition},
    }


def _meta(report: Dataset, bundle: BundleRef) -> Json:
    """That a machine says this; what it is good for (Content Qualification), and that it is good for nothing."""
    qualification = str(report.get("ContentQualification") or "")
    meta: Json = {"security": [_MADE_BY_A_MACHINE] if bundle.trained else [_MADE_BY_A_MACHINE, _TEST_DATA]}
    tags = [Code(qualification, PRIVATE_SCHEME, f"Content qualification: {qualification}")] if qualification else []
    if not bundle.trained:
        tags.append(Code("UNTRAINED", PRIVATE_SCHEME, "Made by an untrained model: meaningless"))
    if tags:
        meta["tag"] = [coding(tag) for tag in tags]
    return meta


def _device(result: StudyResult, report: Dataset, report_settings: ReportSettings, meta: Json) -> Made:
    """This software with these weights at this operating point."""
    bundle = result.bundle
    versions = report.get("SoftwareVersions") or ""
    version = versions if isinstance(versions, str) else str(versions[0])
    uid = derive_uid("fhir device", bundle.identity, version, report_settings.device_name)
    name = report_settings.device_name if bundle.trained else f"{report_settings.device_name} UNTRAINED"
    texts = (("software", version), ("model", bundle.name), ("model bundle, sha256", bundle.digest))
    resource: Json = {
        "resourceType": "Device",
        "meta": meta,
        "identifier": [identifier(uid), dicom_identifier(device_uid(bundle))],
        "status": "active",
        "manufacturer": MANUFACTURER,
        "serialNumber": bundle.digest[:16],
        "deviceName": [{"name": name, "type": "user-friendly-name"}, {"name": MODEL_NAME, "type": "model-name"}],
        "type": coded(SOFTWARE),
        "version": [{"type": {"text": text}, "value": value} for text, value in texts if value],
        "note": [{"text": text} for text in _device_words(bundle)],
    }
    return Made(uid, resource)


def _device_words(bundle: BundleRef) -> list[str]:
    return [*wording.warnings(bundle), wording.model_words(bundle), wording.DISCLAIMER]


def _diagnostic_report(shared: Shared, report: Dataset, results: Sequence[Made]) -> Made:
    uid = report_uid(shared.result)
    qualification = str(report.get("ContentQualification") or "")
    title = "Colour fundus photographs, read by software; not verified by a person"
    title = f"{qualification}: {title}" if qualification else title
    title = title if shared.result.bundle.trained else f"UNTRAINED MODEL, {title}"
    lines = _conclusion(shared.result, report, shared.report_settings)
    resource: Json = {
        "resourceType": "DiagnosticReport",
        "meta": shared.meta,
        "language": "en",
        "text": {"status": "generated", "div": _narrative(title, lines)},
        "extension": _earlier(shared.result, report),
        "identifier": [identifier(uid), dicom_identifier(str(report.SOPInstanceUID))],
        "basedOn": fhir_study.order(report, shared.settings),
        "status": "preliminary",
        "category": _CATEGORY,
        "code": coded(codes.IMAGING_MEASUREMENT_REPORT, title),
        "subject": shared.subject,
        "effectiveDateTime": shared.times.first(shared.times.photographs),
        "issued": shared.issued,
        "result": [one.reference for one in results],
        "imagingStudy": [shared.study],
        "conclusion": "\n".join([f"{title}.", *lines]),
        "presentedForm": _links(report, shared.settings),
    }
    return Made(uid, {name: value for name, value in resource.items() if value})


def _conclusion(result: StudyResult, report: Dataset, settings: ReportSettings) -> list[str]:
    """The structured report's own words: warnings, urgency, eye by eye, contradictions."""
    read = read_report(report)
    revision = [remarks.revision(result)] if fhir_study.predecessor_uid(report) else []
    against = [words for image in result.images if (words := remarks.contradiction(image, settings))]
    return [clean(words) for words in (*read.banner, *read.summary, *against, *revision, wording.DISCLAIMER)]


def _narrative(title: str, lines: Sequence[str]) -> str:
    body = "".join(f"<p>{escape(line, quote=False)}</p>" for line in lines)
    return f'<div xmlns="http://www.w3.org/1999/xhtml"><p><b>{escape(title, quote=False)}</b></p>{body}</div>'


def _earlier(result: StudyResult, report: Dataset) -> list[Json]:
    """The report that this one replaces, or adds to where files of photographs are no longer kept."""
    uid = fhir_study.predecessor_uid(report)
    if not uid:
        return []
    adds = any(reason.code is ReasonCode.FILE_REMOVED for image in result.images for reason in image.reasons)
    reference = {"type": "DiagnosticReport", "identifier": dicom_identifier(uid)}
    return [{"url": _EXTENSION + ("addendumOf" if adds else "replaces"), "valueReference": reference}]


def _links(report: Dataset, settings: FhirSettings) -> list[Json]:
    """Where the structured report can be fetched."""
    if not settings.dicomweb_url:
        return []
    path = f"studies/{report.StudyInstanceUID}/series/{report.SeriesInstanceUID}/instances/{report.SOPInstanceUID}"
    url = f"{settings.dicomweb_url.rstrip('/')}/{path}"
    return [{"contentType": "application/dicom", "url": url, "title": "DICOM structured report"}]
