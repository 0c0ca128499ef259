"""A clinic's store made by hand: photographs that name their patients, our reports, the doctor's answers."""

from __future__ import annotations

import io
import os
import uuid
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from ocunet_pacs.domain.labels import BY_NAME
from ocunet_pacs.domain.result import Predecessor, derive_uid
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.wrap import wrap_photograph, write_dicom
from ocunet_pacs.store.files import Files
from tests.unit.report.made import NOW, image, reporter, study

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = ("Mustermann", "Erika", "PID-4711", "ACC-99", "Dr^Geheim", "Klinik am See", "19501224", "SERIAL-8", "Raum 3")
"""Whatever must be in no file of a corpus."""


def jpeg(seed: int, side: Laterality = Laterality.RIGHT, *, comment: bytes = b"Erika Mustermann PID-4711") -> bytes:
    """A drawn eye as a camera would write it: with a comment that names the patient, in three places."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x013B] = "Mustermann, Erika"
    picture = Image.fromarray(draw_fundus(seed=seed, laterality=side, size=(160, 120)))
    picture.save(buffer, "JPEG", quality=92, comment=comment, exif=exif)
    return buffer.getvalue() + b"PID-4711 behind the end"


def photograph_of(ordinal: int, patient: int = 1, side: Laterality = Laterality.RIGHT, **changes: object) -> Dataset:
    ds = wrap_photograph(
        jpeg(ordinal, side),
        laterality=side,
        patient_id=f"PID-4711-{patient}",
        patient_name=f"Mustermann^Erika^{patient}",
        patient_birth_date="19501224",
        patient_sex="F",
        accession_number="ACC-99",
        study_description="Mustermann, Raum 3",
        study_instance_uid=derive_uid("clinic study", str(patient)),
        series_instance_uid=derive_uid("clinic series", str(patient)),
        sop_instance_uid=derive_uid("clinic photo", str(ordinal)),
        instance_number=ordinal,
        now=NOW,
        manufacturer="Kamerabau",
    )
    ds.ManufacturerModelName = "Fundus 3000"
    ds.InstitutionName, ds.StationName, ds.DeviceSerialNumber = "Klinik am See", "Raum 3", "SERIAL-8"
    ds.ReferringPhysicianName = ds.OperatorsName = "Dr^Geheim"
    ds.PatientComments = ds.ImageComments = "Erika Mustermann kommt wieder"
    ds.PatientAddress = "Klinik am See 1"
    block = ds.private_block(0x0011, "KAMERABAU", create=True)
    block.add_new(0x01, "LO", "Mustermann PID-4711")
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


def put(store: Path, ds: Dataset) -> str:
    """Into the store, as the daemon would; the SOP Instance UID."""
    files = Files(store)
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    files.put(files.new_instance_key(os.urandom(16).hex()), buffer.getvalue())
    return str(ds.SOPInstanceUID)


def uncompressed(ds: Dataset, pixels: np.ndarray | None = None) -> Dataset:
    """The same photograph as native RGB."""
    if pixels is None:
        pixels = ds.pixel_array
    made = deepcopy(ds)
    made.PixelData = np.ascontiguousarray(pixels).tobytes()
    made.PhotometricInterpretation = "RGB"
    made.Rows, made.Columns = pixels.shape[-3:-1]
    made.NumberOfFrames = pixels.shape[0] if pixels.ndim == 4 else 1
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made["PixelData"].VR = "OB"
    return made


def our_report(store: Path, photograph: Dataset, ordinal: int = 1, **positive: float) -> Dataset:
    """The daemon's report on one photograph, in the store's results."""
    path = store / f"photo-{ordinal}.dcm"
    write_dicom(photograph, path)
    seen = image(ordinal, photograph.get("ImageLaterality", "R"), **positive)
    seen = replace(seen, sop_instance_uid=str(photograph.SOPInstanceUID))
    said = replace(study(seen), study_instance_uid=str(photograph.StudyInstanceUID))
    made = reporter().report(said, {seen.sop_instance_uid: path}, {})
    path.unlink()
    files = Files(store)
    files.put(files.new_result_key(uuid.uuid4().hex), made.content)
    return dcmread(io.BytesIO(made.content))


def verified_answer(report: Dataset, at: str = "20260401101500", **claims: bool | None) -> Dataset:
    """What a reporting system stores when a doctor signed: claims of labels changed to present or absent."""
    answer = deepcopy(report)
    answer.SOPClassUID = answer.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    answer.SOPInstanceUID = derive_uid("answer", str(report.SOPInstanceUID), at)
    answer.file_meta.MediaStorageSOPInstanceUID = answer.SOPInstanceUID
    answer.Manufacturer, answer.ManufacturerModelName = "Befundbau", "Reader 7"
    if "ContributingEquipmentSequence" in answer:
        del answer.ContributingEquipmentSequence
    answer.VerificationFlag, answer.CompletionFlag = "VERIFIED", "COMPLETE"
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerifyingOrganization = "Dr^Geheim", "Klinik am See"
    observer.VerificationDateTime = at
    observer.VerifyingObserverIdentificationCodeSequence = Sequence()
    answer.VerifyingObserverSequence = [observer]
    before = Predecessor(str(report.SOPClassUID), str(report.SOPInstanceUID), str(report.SeriesInstanceUID))
    answer.PredecessorDocumentsSequence = [_reference(before, str(report.StudyInstanceUID))]
    by_code = {BY_NAME[name].code.value: value for name, value in claims.items()}
    for item in _items(answer):
        name = item.ConceptNameCodeSequence[0].CodeValue if "ConceptNameCodeSequence" in item else ""
        if name in by_code and item.get("ValueType") == "CODE":
            value = item.ConceptCodeSequence[0]
            if by_code[name] is None:
                value.CodeValue, value.CodeMeaning = "373068000", "Undetermined"
            else:
                value.CodeValue, value.CodeMeaning = (
                    ("52101004", "Present") if by_code[name] else ("272519000", "Absent")
                )
    return answer


def forget_us(answer: Dataset) -> Dataset:
    """The same from a system that repeats nothing of our algorithm."""
    made = deepcopy(answer)
    for item in _items(made):
        if item.get("ValueType") == "TEXT" and item.get("TextValue") == "OcuNet":
            item.TextValue = "not said"
    return made


def _reference(before: Predecessor, study_instance_uid: str) -> Dataset:
    sop, series, whole = Dataset(), Dataset(), Dataset()
    sop.ReferencedSOPClassUID, sop.ReferencedSOPInstanceUID = before.sop_class_uid, before.sop_instance_uid
    series.SeriesInstanceUID, series.ReferencedSOPSequence = before.series_instance_uid, [sop]
    whole.StudyInstanceUID, whole.ReferencedSeriesSequence = study_instance_uid, [series]
    return whole


def _items(ds: Dataset):
    for item in ds.get("ContentSequence", ()):
        yield item
        yield from _items(item)


def compressed(ds: Dataset, stream: bytes) -> Dataset:
    """The same object with another JPEG stream."""
    made = deepcopy(ds)
    made.PixelData = encapsulate([stream])
    return made
