"""What every Observation of a study has in common (FHIR R4), and what all resources of one report share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.report import wording
from ocunet_pacs.report.fhir_terms import (
    EYE_WORDS,
    EYES,
    Json,
    coded,
    dicom_identifier,
    full_url,
    identifier,
    terminology,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.result import ImageResult, StudyResult
    from ocunet_pacs.domain.study import Laterality
    from ocunet_pacs.report.fhir_settings import FhirSettings
    from ocunet_pacs.report.fhir_study import Times
    from ocunet_pacs.report.report_settings import ReportSettings

_CATEGORY = [{"coding": [terminology("observation-category", "imaging", "Imaging")]}]


@dataclass(frozen=True, slots=True)
class Shared:
    """What all resources of one report share. `common` stands in each of them as it is; `device` is a reference."""

    result: StudyResult
    report_settings: ReportSettings
    settings: FhirSettings
    times: Times
    meta: Json
    subject: Json | None
    study: Json
    device: Json
    issued: str

    def uid(self, *what: str) -> str:
        """The UID of one of the report's resources: the same whenever the same work is done again."""
        return derive_uid("fhir", self.result.key, *what)


@dataclass(frozen=True, slots=True)
class Made:
    """A resource and its UID."""

    uid: str
    resource: Json

    @property
    def reference(self) -> Json:
        """To it, within the Bundle."""
        return {"reference": full_url(self.uid)}


def observation(
    shared: Shared, uid: str, code: Json, images: Sequence[ImageResult], eye: Laterality | None, **more: object
) -> Made:
    """What every Observation has, and `more`; `eye` None: it is about the study."""
    resource: Json = {
        "resourceType": "Observation",
        "meta": shared.meta,
        "identifier": [identifier(uid)],
        "status": "preliminary",
        "category": _CATEGORY,
        "code": code,
    }
    if shared.subject is not None:
        resource["subject"] = shared.subject
    when = shared.times.first(image.sop_instance_uid for image in images)
    if when:
        resource["effectiveDateTime"] = when
    resource["issued"] = shared.issued
    if eye is not None:
        resource["bodySite"] = coded(EYES[eye], EYE_WORDS[eye])
    resource["method"] = {"text": _method(shared)}
    resource["device"] = shared.device
    resource["derivedFrom"] = [shared.study, *_photographs(images)]
    return Made(uid, resource | {name: value for name, value in more.items() if value})


def _photographs(images: Sequence[ImageResult]) -> list[Json]:
    """The photographs as references by SOP Instance UID; an instance of several frames once."""
    named: dict[str, list[ImageResult]] = {}
    for image in images:
        named.setdefault(image.sop_instance_uid, []).append(image)
    return [
        {
            "type": "Media",
            "identifier": dicom_identifier(uid),
            "display": wording.places(frames)
            if len({i.laterality for i in frames}) == 1
            else f"image {frames[0].ordinal}",
        }
        for uid, frames in named.items()
    ]


def _method(shared: Shared) -> str:
    bundle = shared.result.bundle
    untrained = "" if bundle.trained else "UNTRAINED MODEL; "
    return f"{untrained}image classifier {bundle.name}, operating point {bundle.operating_point}; not verified"


def notes(*texts: str) -> list[Json]:
    """Annotations of those texts that say something."""
    return [{"text": text} for text in texts if text]


def title(shared: Shared, text: str) -> str:
    """Some systems show nothing of an Observation but its code's text and its value."""
    return text if shared.result.bundle.trained else f"UNTRAINED MODEL: {text}"
