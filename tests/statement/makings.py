"""Objects of every kind that we make, made so differently that what they have in common is what all of them have.

They are of photographs that say everything and of such that say nothing, of different patients, eyes, frames, findings
and bundles, and, the last of them, under the settings of another site.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from ocunet_pacs.app.parts import report_settings
from ocunet_pacs.domain.result import BundleRef, MadeObject, Output, OutputKind, Predecessor
from ocunet_pacs.domain.routes import JPEG, Form, Routes, Target
from ocunet_pacs.report.header import REQUIRED
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.reporter import Reports
from ocunet_pacs.settings import from_tree
from tests.unit.report.made import NOW, OP_8_BIT, TRAINED, UNTRAINED, image, photograph, said, shown, stored, study

KINDS = {
    "report attributes": (OutputKind.REPORT, ""),
    "heatmap attributes": (OutputKind.HEATMAP, "uncompressed"),
    "jpeg heatmap attributes": (OutputKind.HEATMAP, "jpeg"),
    "map attributes": (OutputKind.MAP, ""),
    "document attributes": (OutputKind.PDF, ""),
}


def _item(**values: Any) -> list[Dataset]:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return [ds]


def _code(value: str, scheme: str, meaning: str) -> list[Dataset]:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


SAID: dict[str, Any] = {
    "PatientName": "Doe^Erika",
    "PatientID": "P-2",
    "PatientBirthDate": "19510203",
    "PatientSex": "O",
    "StudyDate": "20260205",
    "StudyTime": "111213",
    "AccessionNumber": "A-8",
    "ReferringPhysicianName": "Roe^Richard",
    "StudyID": "S2",
    "IssuerOfPatientID": "CLINIC",
    "IssuerOfPatientIDQualifiersSequence": _item(UniversalEntityID="1.2.3", UniversalEntityIDType="ISO"),
    "TypeOfPatientID": "TEXT",
    "OtherPatientIDs": "P-9",
    "OtherPatientIDsSequence": _item(PatientID="P-9", IssuerOfPatientID="OTHER", TypeOfPatientID="TEXT"),
    "OtherPatientNames": "Doe^E",
    "PatientBirthTime": "0102",
    "EthnicGroup": "X",
    "PatientComments": "comment",
    "PatientIdentityRemoved": "NO",
    "DeidentificationMethod": "method",
    "DeidentificationMethodCodeSequence": _code("113100", "DCM", "Basic Application Confidentiality Profile"),
    "ClinicalTrialSponsorName": "sponsor",
    "ClinicalTrialProtocolID": "T-1",
    "ClinicalTrialProtocolName": "trial",
    "ClinicalTrialSiteID": "site",
    "ClinicalTrialSiteName": "site",
    "ClinicalTrialSubjectID": "subject",
    "ClinicalTrialSubjectReadingID": "reading",
    "ClinicalTrialTimePointID": "T0",
    "ClinicalTrialTimePointDescription": "first",
    "StudyDescription": "Follow-up",
    "ProcedureCodeSequence": _code("314971001", "SCT", "Camera fundoscopy"),
    "IssuerOfAccessionNumberSequence": _item(LocalNamespaceEntityID="CLINIC"),
    "ConsultingPhysicianName": "Moe^Mary",
    "PhysiciansOfRecord": "Moe^Mary",
    "NameOfPhysiciansReadingStudy": "Moe^Mary",
    "PatientAge": "075Y",
    "PatientSize": "1.7",
    "PatientWeight": "70",
    "AdmissionID": "ADM",
    "TimezoneOffsetFromUTC": "+0100",
}
"""A value for everything that is copied from a photograph."""
ALSO_SAID: dict[str, Any] = {
    "InstitutionName": "Eye Clinic",
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": "12",
    "LossyImageCompressionMethod": "ISO_10918_1",
    "PatientOrientation": ["L", "H"],
    "AnatomicRegionSequence": _code("81745001", "SCT", "Eye"),
}


SHIPPED, USUAL = report_settings(from_tree({})), Form()


@dataclass(frozen=True)
class Making:
    """How one set of objects is made."""

    photograph: Mapping[str, Any]
    settings: ReportSettings = SHIPPED
    form: Form = USUAL
    bundle: BundleRef = TRAINED
    now: datetime = NOW
    eyes: str = "RL"
    labels: Mapping[str, float] = field(default_factory=lambda: {"DR": 0.9, "EDN": 0.7, "ERM": 0.6})
    shape: tuple[int, int] = (48, 64)
    frame: int | None = None
    predecessor: bool = False


OTHER = BundleRef("ocunet-v5", "99aa88bb" * 8, trained=True, temperature=1.5)
LATER = datetime(2027, 5, 6, 7, 8, 9, 10, tzinfo=UTC)
VL_PHOTOGRAPHIC = "1.2.840.10008.5.1.4.1.1.77.1.4"
SILENT = dict.fromkeys([*REQUIRED, "StudyDescription", "PatientOrientation", "LossyImageCompression"])
"""Photographs without any of it."""
MAKINGS = (
    Making({}),
    Making(SAID, labels={"DR": 0.8, "DN": 0.6}, shape=(40, 40), bundle=UNTRAINED),
    Making(SILENT, bundle=OTHER, now=LATER, eyes="L", labels={"CRVO": 0.7}),
    Making(SAID | ALSO_SAID, bundle=OTHER, now=LATER, eyes="U", frame=2, predecessor=True),
    Making(
        {"LossyImageCompression": "01", "LossyImageCompressionRatio": "20", "SOPClassUID": VL_PHOTOGRAPHIC},
        eyes="R",
        frame=1,
        predecessor=True,
    ),
)
"""Under the settings that we ship."""
SITE = Making(
    {},
    report_settings(
        from_tree({"dicom": {"ae_title": "EYES"}, "report": {"content_qualification": "PRODUCT", "heatmap_labels": 2}})
    ),
    Form("enhanced", title="imaging-report"),
)
"""As the first of them, under other settings."""


@dataclass(frozen=True)
class Made:
    """What came of a making: the objects by kind (see KINDS), and the first photograph."""

    objects: Mapping[str, Dataset]
    photograph: Dataset


@cache
def made() -> tuple[Made, ...]:
    """Of `MAKINGS` and, last, of `SITE`."""
    with tempfile.TemporaryDirectory() as folder:
        return tuple(_made(Path(folder), making) for making in (*MAKINGS, SITE))


def _made(folder: Path, making: Making) -> Made:
    kinds = frozenset({OutputKind.REPORT, OutputKind.HEATMAP, OutputKind.MAP, OutputKind.PDF})
    routes = Routes((Target("a", making.form, kinds), Target("b", replace(making.form, heatmap=JPEG), kinds)))
    reports = Reports(making.settings, lambda: making.now, "1.2.3", routes)
    images, sources, pictures = [], {}, []
    for ordinal, eye in enumerate(making.eyes, 1):
        one = image(ordinal, eye, frame=making.frame, **making.labels)
        one = replace(one, sop_class_uid=making.photograph.get("SOPClassUID", OP_8_BIT))
        path = photograph(
            folder / f"{ordinal}.dcm",
            ordinal,
            shape=making.shape,
            frames=2 if making.frame else 1,
            **{"ImageLaterality": "B" if eye == "U" else eye} | dict(making.photograph),
        )
        sources[one.sop_instance_uid] = path
        drawn = shown(np.full((*making.shape, 3), 90, dtype=np.uint8))
        pictures += reports.pictures(one, drawn, said(one), making.bundle, path)
        images.append(replace(one, heatmap_uid=reports.heatmap_uid(one, making.bundle)))
    result = study(*images, bundle=making.bundle)
    if making.predecessor:
        earlier = reports.report(result, sources, _heatmaps(pictures), making.form)
        result = replace(result, key=result.key[::-1], revision=2, predecessor=_predecessor(earlier))
    report = reports.report(result, sources, _heatmaps(pictures), making.form)
    files = {}
    for picture in pictures:
        files[picture.sop_instance_uid] = folder / picture.sop_instance_uid
        files[picture.sop_instance_uid].write_bytes(picture.content)
    found = {_kind(one): _read(one) for one in reversed([*pictures, report, reports.pdf(report, files)])}
    assert found.keys() == set(KINDS)
    return Made(found, dcmread(next(iter(sources.values()))))


def _kind(one: MadeObject) -> str:
    form = one.form if one.kind is OutputKind.HEATMAP else ""
    return next(name for name, kind in KINDS.items() if kind == (one.kind, form))


def _heatmaps(pictures: list[MadeObject]) -> dict[str, Output]:
    return {p.sop_instance_uid: stored(p) for p in pictures if p.kind is OutputKind.HEATMAP and p.form != JPEG}


def _read(one: MadeObject) -> Dataset:
    return dcmread(io.BytesIO(one.content))


def _predecessor(one: MadeObject) -> Predecessor:
    return Predecessor(one.sop_class_uid, one.sop_instance_uid, one.series_instance_uid)
