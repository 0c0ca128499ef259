"""The study that the tests and the pictures of the docs show: two drawn eyes, and what a model could have said of them.

Nothing in it comes from a person, and the probabilities were written by hand; the bundle's name says so. The heatmap's
colours lie where the lesions were drawn: the same eye without them is subtracted.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image
from pydicom import dcmread

from ocunet_pacs.domain.labels import LABELS
from ocunet_pacs.domain.result import (
    BundleRef,
    Classification,
    ImageResult,
    LabelScore,
    MadeObject,
    Output,
    StudyResult,
    derive_uid,
    work_key,
)
from ocunet_pacs.domain.routes import Form
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.drawn_lesions import Lesion
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.imaging.quality import QualityLimits
from ocunet_pacs.imaging.wrap import wrap_photograph, write_dicom
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.reporter import Reports
from tests.unit.report.made import stored

if TYPE_CHECKING:
    from ocunet_pacs.domain.result import Photograph

NOW = datetime(2026, 3, 4, 10, 20, 30, tzinfo=UTC)
BUNDLE = BundleRef("drawn-example", "3c505aa6" * 8, trained=True, temperature=1.0)
PATIENT = "Example^Drawn"
THRESHOLDS = {"DR": 0.412, "EDN": 0.358, "GLAUCOMA": 0.467, "DN": 0.391}
"""Of the labels that something is found of; the others' is 0.5."""
MAP_SIDE = 12


@dataclass(frozen=True)
class DrawnEye:
    """What is drawn, and what the made-up model says of it, by label."""

    laterality: Laterality
    seed: int
    lesions: tuple[Lesion, ...]
    positive: dict[str, float]


RIGHT = DrawnEye(
    Laterality.RIGHT,
    7,
    (Lesion.MICROANEURYSMS, Lesion.HAEMORRHAGES, Lesion.HARD_EXUDATES),
    {"DR": 0.9132, "EDN": 0.7845, "Disease_Risk": 0.9471},
)
LEFT = DrawnEye(Laterality.LEFT, 8, (), {"NORMAL": 0.8816})
SUSPECT = DrawnEye(
    Laterality.LEFT, 8, (Lesion.CUPPING, Lesion.DRUSEN), {"GLAUCOMA": 0.8127, "DN": 0.6654, "Disease_Risk": 0.7309}
)
"""A left eye with findings, for tests that need findings in both eyes."""


@dataclass(frozen=True)
class ExampleStudy:
    """The files of a study with its results; `result` is what the report says, as data.

    `text_report` is the report as destinations that use OHIF take it, under a title that OHIF shows the text of.
    """

    result: StudyResult
    photographs: tuple[Path, ...]
    heatmaps: tuple[Path, ...]
    report: Path
    text_report: Path

    @property
    def results(self) -> tuple[Path, ...]:
        """What we made, for a destination that takes the usual."""
        return (*self.heatmaps, self.report)

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them, photographs first."""
        return (*self.photographs, *self.results)


def make_study(
    folder: Path, eyes: tuple[DrawnEye, ...] = (RIGHT, LEFT), *, size: tuple[int, int] = (1024, 768)
) -> ExampleStudy:
    """Draw the eyes and make everything that a clinic's PACS would hold of them, as DICOM files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    reports = Reports(ReportSettings(), lambda: NOW, "1.0")
    images: list[ImageResult] = []
    sources: dict[str, Path] = {}
    pictures: dict[str, Output] = {}
    heatmaps: list[Path] = []
    for ordinal, eye in enumerate(eyes, 1):
        path = folder / f"photograph-{ordinal}.dcm"
        shown = _photograph(path, eye, ordinal, size)
        result = _result(eye, ordinal, str(dcmread(path, stop_before_pixels=True).SOPInstanceUID))
        result = replace(result, quality=shown.quality)
        sources[result.sop_instance_uid] = path
        if set(eye.positive) != {"NORMAL"}:
            (made,) = reports.pictures(result, shown, _said(eye, result, shown, size), BUNDLE, path)
            pictures[made.sop_instance_uid] = stored(made)
            heatmaps.append(_write(folder / f"heatmap-{ordinal}.dcm", made))
            result = replace(result, heatmap_uid=reports.heatmap_uid(result, BUNDLE))
        images.append(result)
    study_uid = str(dcmread(path, stop_before_pixels=True).StudyInstanceUID)
    key = work_key(sources, BUNDLE.digest, reports.settings_digest)
    study = StudyResult(study_uid, 1, key, BUNDLE, tuple(images))
    report = _write(folder / "report.dcm", reports.report(study, sources, pictures))
    text = _write(folder / "text-report.dcm", reports.report(study, sources, pictures, Form(title="imaging-report")))
    return ExampleStudy(study, tuple(sources.values()), tuple(heatmaps), report, text)


def _photograph(path: Path, eye: DrawnEye, ordinal: int, size: tuple[int, int]) -> Photograph:
    pixels = draw_fundus(seed=eye.seed, laterality=eye.laterality, size=size, lesions=eye.lesions)
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG", quality=92)
    ds = wrap_photograph(
        jpeg.getvalue(),
        laterality=eye.laterality,
        patient_id="EXAMPLE-1",
        patient_name=PATIENT,
        patient_birth_date="19620514",
        patient_sex="O",
        accession_number="A-1001",
        study_description="Fundus photographs (drawn)",
        study_instance_uid=derive_uid("drawn example", "study"),
        series_instance_uid=derive_uid("drawn example", "series"),
        sop_instance_uid=derive_uid("drawn example", "photograph", str(ordinal)),
        instance_number=ordinal,
        now=NOW,
    )
    ds.SeriesDescription = "Colour fundus photographs (drawn)"
    write_dicom(ds, path)
    return prepare(PreprocessSpec(), pixels, QualityLimits())


def _result(eye: DrawnEye, ordinal: int, uid: str) -> ImageResult:
    chance = np.random.default_rng(eye.seed)
    scores = []
    for label in LABELS:
        # Every label has a number of its own, so that a page that shows the wrong one is found out.
        below = round(float(chance.beta(1.2, 9)) * 0.5 + 0.001, 4)
        probability, threshold = eye.positive.get(label.name, below), THRESHOLDS.get(label.name, 0.5)
        scores.append(LabelScore(label.name, 0.0, probability, threshold, probability >= threshold))
    return ImageResult(uid, "1.2.840.10008.5.1.4.1.1.77.1.5.1", None, ordinal, eye.laterality, tuple(scores))


def _said(eye: DrawnEye, result: ImageResult, shown: Photograph, size: tuple[int, int]) -> Classification:
    """Maps that light up where the lesions are, as uint8 differences averaged over the network's coarse grid."""
    healthy = prepare(PreprocessSpec(), draw_fundus(seed=eye.seed, laterality=eye.laterality, size=size))
    difference = np.abs(shown.pixels.astype(np.float32) - healthy.pixels).sum(axis=2)
    coarse = cv2.resize(difference, (MAP_SIDE, MAP_SIDE), interpolation=cv2.INTER_AREA)
    coarse = cv2.GaussianBlur(coarse, (3, 3), 0)
    one = np.asarray(coarse / coarse.max(), dtype=np.float32)
    # Each label weighs the regions a little differently, as a network's would.
    maps = np.stack([one ** (1 + place % 3) for place in range(len(result.scores))])
    return Classification(result.scores, maps)


def _write(path: Path, made: MadeObject) -> Path:
    path.write_bytes(made.content)
    return path
