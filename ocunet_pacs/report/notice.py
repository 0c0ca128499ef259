"""Word of an urgent study, as JSON: for a webhook or an e-mail. By itself it says nothing of whom it is about."""

from __future__ import annotations

import json
from datetime import UTC
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.imaging.header import MODEL_NAME
from ocunet_pacs.logs import study_digest
from ocunet_pacs.report import wording
from ocunet_pacs.report.codes import label_of
from ocunet_pacs.report.eyes import eyes
from ocunet_pacs.report.fhir_terms import clean, readable
from ocunet_pacs.report.urgency import study_urgency

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from pydicom.dataset import Dataset

    from ocunet_pacs.domain.result import StudyResult
    from ocunet_pacs.report.report_settings import ReportSettings

KEYWORDS: Mapping[str, str] = MappingProxyType(
    {
        "study_instance_uid": "StudyInstanceUID",
        "accession_number": "AccessionNumber",
        "patient_id": "PatientID",
        "patient_name": "PatientName",
        "station_name": "StationName",
    }
)
"""What a site may have told of study and patient, and the attribute that it comes from."""


def notice_uid(result: StudyResult) -> str:
    """UID of the study's notice: the same whenever the same work is done again, so that a receiver drops a repeat."""
    return derive_uid("notice", result.key)


def build_notice(
    result: StudyResult,
    report_uid: str,
    *,
    study_header: Dataset,
    include: Collection[str],
    settings: ReportSettings,
    now: datetime,
    software_version: str,
) -> bytes:
    """The notice as JSON, UTF-8: the same bytes for the same arguments.

    `report_uid` is the SOP Instance UID of the structured report. `include`: keys of `KEYWORDS`; what is not among them
    is not said, and of `study_header` nothing else is read. ValueError for another key.
    """
    unknown = set(include) - set(KEYWORDS)
    if unknown:
        raise ValueError(f"nothing of that name can be told of a study: {', '.join(sorted(unknown))}")
    study = {"digest": study_digest(result.study_instance_uid)}
    for name, keyword in KEYWORDS.items():
        value = _value(study_header, keyword) if name in include else ""
        if value:
            study[name] = value
    found = _findings(result, settings)
    notice = {
        "id": notice_uid(result),
        "kind": "urgent_study",
        "urgency": study_urgency(result.images, settings).value,
        "study": study,
        "findings": found,
        "not_assessed": sum(1 for image in result.images if not image.assessed and not image.is_context),
        "report_sop_instance_uid": report_uid,
        "revision": result.revision,
        "made": now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "software": f"{MODEL_NAME} {software_version}, model {result.bundle.name} {result.bundle.digest[:12]}",
        "content_qualification": wording.qualification(result.bundle, settings),
        "trained": result.bundle.trained,
        "disclaimer": " ".join([*wording.warnings(result.bundle), wording.DISCLAIMER]),
    }
    return json.dumps(notice, ensure_ascii=False, indent=2).encode() + b"\n"


def _value(header: Dataset, keyword: str) -> str:
    value = str(header.get(keyword) or "")
    return readable(value) if keyword == "PatientName" else clean(value)


def _findings(result: StudyResult, settings: ReportSettings) -> list[dict[str, Any]]:
    """What is above threshold in each eye, its highest probability there; most urgent first, then most probable."""
    found = [(eye, leading.score) for eye in eyes(result.images) for leading in eye.leading(settings)]
    ranked = sorted(
        found,
        key=lambda one: (-settings.urgency(label_of(one[1].label)).rank, -one[1].probability, one[0].laterality.eye),
    )
    return [
        {
            "eye": eye.laterality.eye,
            "label": score.label,
            "display": label_of(score.label).display,
            "probability": round(score.probability, 4),
            "threshold": round(score.threshold, 4),
            "urgency": settings.urgency(label_of(score.label)).value,
        }
        for eye, score in ranked
    ]
