"""Photographs made by hand, and what a model might have said of them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from ocunet_pacs.domain.labels import LABELS
from ocunet_pacs.domain.result import (
    Box,
    BundleRef,
    Classification,
    ImageResult,
    LabelScore,
    MadeObject,
    Output,
    Photograph,
    StudyResult,
    derive_uid,
    work_key,
)
from ocunet_pacs.domain.study import Laterality, Reason, ReasonCode
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.reporter import Reports

Sources = Mapping[str, Path]
Heatmaps = Mapping[str, Output]

OP_8_BIT = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
STUDY = derive_uid("test study")
SERIES = derive_uid("test series")
NOW = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
TRAINED = BundleRef("ocunet-v4", "3c505aa6" * 8, trained=True, temperature=1.1926)
RESEARCH = BundleRef("research bundle", "cd56ef78" * 8, trained=True, temperature=1.0, research=True)
UNTRAINED = BundleRef("ocunet-untrained", "ab12cd34" * 8, trained=False, temperature=1.0)


def scores(**positive: float) -> tuple[LabelScore, ...]:
    """All labels at 5 % under a threshold of 50 %, but for those given by name."""
    return tuple(LabelScore(label.name, 0.0, p := positive.get(label.name, 0.05), 0.5, p >= 0.5) for label in LABELS)


def image(ordinal: int, eye: str = "R", *, frame: int | None = None, **positive: float) -> ImageResult:
    return ImageResult(derive_uid("photo", str(ordinal)), OP_8_BIT, frame, ordinal, Laterality(eye), scores(**positive))


def photograph(path: Path, ordinal: int, *, shape: tuple[int, int] = (48, 64), frames: int = 1, **values: Any) -> Path:
    """An Ophthalmic Photography file. `values` replaces attributes by keyword, None removes one."""
    ds = Dataset()
    ds.SpecificCharacterSet = values.pop("SpecificCharacterSet", "ISO_IR 192")
    ds.SOPClassUID = OP_8_BIT
    ds.SOPInstanceUID = derive_uid("photo", str(ordinal))
    ds.StudyInstanceUID = STUDY
    ds.SeriesInstanceUID = SERIES
    ds.Modality = "OP"
    ds.PatientName = "Roe^Jane"
    ds.PatientID = "P-1"
    ds.PatientBirthDate = "19600130"
    ds.PatientSex = "F"
    ds.StudyDate = "20260301"
    ds.StudyTime = "101500"
    ds.AccessionNumber = "A-7"
    ds.ReferringPhysicianName = "Doe^John"
    ds.StudyID = "S1"
    ds.StudyDescription = "Screening"
    ds.AcquisitionDateTime = "20260301101600.5"
    ds.InstanceNumber = ordinal
    ds.ImageLaterality = "R"
    ds.PatientOrientation = ["L", "F"]
    ds.LossyImageCompression = "00"
    ds.Rows, ds.Columns = shape
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB"
    ds.PlanarConfiguration = 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelRepresentation = 0
    ds.NumberOfFrames = frames
    ds.PixelData = bytes(shape[0] * shape[1] * 3 * frames)
    for keyword, value in values.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = UID(derive_uid("a camera"))
    ds.save_as(path, enforce_file_format=True)
    return path


def study(*images: ImageResult, bundle: BundleRef = TRAINED, **more: Any) -> StudyResult:
    key = work_key((i.sop_instance_uid for i in images), bundle.digest, "settings")
    return StudyResult(STUDY, more.pop("revision", 1), key, bundle, images, **more)


def shown(pixels: np.ndarray) -> Photograph:
    """A photograph of which the network saw everything."""
    height, width = pixels.shape[:2]
    return Photograph(pixels, pixels, Box(0, 0, width, height), width, height)


def said(result: ImageResult) -> Classification:
    maps = np.zeros((len(result.scores), 12, 12), dtype=np.float32)
    maps[:, 3:6, 7:10] = np.linspace(0.2, 1.0, 9, dtype=np.float32).reshape(3, 3)
    return Classification(result.scores, maps)


def stored(made: MadeObject) -> Output:
    return Output(made.kind, made.sop_class_uid, made.sop_instance_uid, made.series_instance_uid, "key")


def mixed(
    folder: Path, reports: Reports, bundle: BundleRef = TRAINED
) -> tuple[StudyResult, Sources, Heatmaps, list[MadeObject]]:
    """OD with two findings and the flag, OS contradictory, an unknown eye without anything, a red-free OD."""
    refused = replace(image(4, "R"), scores=(), reasons=(Reason(ReasonCode.NOT_COLOUR, "the photograph is red-free"),))
    images = (
        image(1, "R", DR=0.8754, EDN=0.7, Disease_Risk=0.9),
        image(2, "L", NORMAL=0.8, GLAUCOMA=0.6),
        image(3, "U"),
        refused,
    )
    return with_heatmaps(folder, reports, images, bundle)


def with_heatmaps(
    folder: Path, reports: Reports, images: Iterable[ImageResult], bundle: BundleRef = TRAINED, **values: Any
) -> tuple[StudyResult, Sources, Heatmaps, list[MadeObject]]:
    """Photographs on disk and heatmaps for what is positive: all that a report needs."""
    sources: dict[str, Path] = {}
    made: list[MadeObject] = []
    done = []
    for one in images:
        eye = {"R": "R", "L": "L", "U": "B"}[one.laterality]
        path = folder / f"{one.ordinal}.dcm"
        if one.sop_instance_uid not in sources:
            frames = 1 if one.frame is None else 2
            sources[one.sop_instance_uid] = photograph(
                path, one.ordinal, frames=frames, **{"ImageLaterality": eye} | values
            )
        if one.positives:
            pixels = np.full((48, 64, 3), 90, dtype=np.uint8)
            heatmap = reports.heatmap(one, shown(pixels), said(one), bundle, path)
            made.append(heatmap)
            done.append(replace(one, heatmap_uid=heatmap.sop_instance_uid))
        else:
            done.append(one)
    return study(*done, bundle=bundle), sources, {h.sop_instance_uid: stored(h) for h in made}, made


def read(made: MadeObject) -> Dataset:
    return dcmread(io.BytesIO(made.content))


def reporter(**settings: Any) -> Reports:
    return Reports(ReportSettings(**settings), lambda: NOW, "1.2.3")
