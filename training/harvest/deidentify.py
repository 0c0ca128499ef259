"""A photograph without its patient: a new object that holds its pixels and a short list of facts.

PS3.15 annex E, Basic Application Level Confidentiality Profile (DCM 113100): nothing is taken over but what stands
here, so that no attribute of any version of the standard, no private element and no text can slip through. UIDs and
patients become keyed pseudonyms, the same in every harvest; without the key nobody goes back from them, and nobody
finds out who is in a corpus by trying names. Pixels stay as they are (the Clean Pixel Data Option is not applied).
"""

from __future__ import annotations

import hashlib
import hmac
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.domain.study import Laterality, Reason, ReasonCode
from ocunet_pacs.imaging.decode import frames, photograph_pixels
from ocunet_pacs.imaging.elements import text
from ocunet_pacs.imaging.encoded import decode_frame, encoded_frames
from ocunet_pacs.imaging.header import header_of
from ocunet_pacs.imaging.part10 import opened, quiet
from ocunet_pacs.imaging.pixels import PIXEL_TAGS, describe
from ocunet_pacs.imaging.wrap import wrap_photograph
from training.harvest.jpeg_segments import without_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.domain.study import ImageHeader

KEY_BYTES: Final = 32
_NO_DATE: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for every date and time: type 1 elements want one, and the profile wants none that is true."""
_LOSSY: Final = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_TAKEN_OVER: Final = ("Manufacturer", "ManufacturerModelName")
_JUDGED: Final = ("BurnedInAnnotation", "ImageType", "ContrastBolusAgent", "ContrastBolusAgentSequence")
_FACTS: Final = [tag for keyword in (*_TAKEN_OVER, *_JUDGED, *_LOSSY) if (tag := tag_for_keyword(keyword)) is not None]
_METHOD: Final = "Only pixels, eye and camera model kept; keyed pseudonyms"


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Keyed names. `key` is the site's own secret and stays outside the corpus."""

    key: bytes

    def of(self, kind: str, identity: str) -> str:
        """64 hexadecimal digits: equal for equal identities, and nothing more to whoever lacks the key."""
        return hmac.new(self.key, f"{kind}\n{identity}".encode("utf-8", "surrogatepass"), "sha256").hexdigest()

    def uid(self, uid: str) -> str:
        """A DICOM UID that stands for another one."""
        return derive_uid("harvest", self.of("uid", uid))

    def patient(self, identity: str) -> str:
        """A short name for a patient: 16 hexadecimal digits."""
        return self.of("patient", identity)[:16]


@dataclass(frozen=True, slots=True, eq=False)
class Deidentified:
    """One photograph: its new object, and what the old one was. `frame` is None where the old object had one."""

    dataset: Dataset
    sop_instance_uid: str
    frame: int | None
    patient: str
    laterality: str
    camera: str


def deidentified(path: Path, header: ImageHeader, pseudonyms: Pseudonyms) -> Iterator[Deidentified]:
    """The frames of a file, one object each. BadInput where the file holds no colour photograph, or says that a text is
    burned into its pixels."""
    facts = _facts(path)
    camera = " ".join(word for word in (text(facts, "Manufacturer"), text(facts, "ManufacturerModelName")) if word)
    for number, content in enumerate(_pictures(path), 1):
        frame = number if header.number_of_frames > 1 else None
        side = header.laterality_of(frame)
        instance = header.sop_instance_uid if frame is None else f"{header.sop_instance_uid} {frame}"
        patient = pseudonyms.patient(header.patient_identity)
        ds = wrap_photograph(
            content,
            laterality=side,
            patient_id=patient,
            patient_name="",
            study_instance_uid=pseudonyms.uid(header.study_instance_uid),
            series_instance_uid=pseudonyms.uid(header.series_instance_uid),
            sop_instance_uid=pseudonyms.uid(instance),
            instance_number=1,
            now=_NO_DATE,
            study_id="",
            manufacturer=text(facts, "Manufacturer"),
        )
        _say_what_was_done(ds, facts)
        laterality = "" if side is Laterality.UNKNOWN else side.value
        yield Deidentified(ds, header.sop_instance_uid, frame, patient, laterality, camera)


def encoded(ds: Dataset) -> bytes:
    """The object as a Part 10 file: the same bytes for the same object."""
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def content_digest(content: bytes) -> str:
    """sha256 (hex), as manifests name a file."""
    return hashlib.sha256(content).hexdigest()


def _facts(path: Path) -> Dataset:
    with opened(path, _FACTS) as file, quiet():
        facts, header = file.dataset, header_of(file.dataset, has_pixel_data=file.pixel_offset is not None)
    if text(facts, "BurnedInAnnotation") == "YES":
        raise BadInput(Reason(ReasonCode.UNREADABLE_PIXELS, "its header says that text is burned into the pixels"))
    if header.contrast_agents:
        raise BadInput(Reason(ReasonCode.ANGIOGRAPHY, "a contrast agent was given"))
    if len(header.image_type) > 3 and header.image_type[3] not in {"COLOR", ""}:
        raise BadInput(Reason(ReasonCode.NOT_COLOUR, "its image type is not COLOR"))
    return facts


def _pictures(path: Path) -> Iterator[bytes]:
    """Each frame as a photograph's file that decodes to the frame's very pixels, and holds nothing else."""
    with opened(path, PIXEL_TAGS) as file:
        pixels = describe(file)
        if file.transfer_syntax_uid == JPEGBaseline8Bit:
            for stream in encoded_frames(file, pixels):
                rgb = decode_frame(stream, pixels)
                yield _bare_jpeg(stream, rgb) or _uncompressed(rgb)
            return
    for rgb in frames(path):
        yield _uncompressed(rgb)


def _bare_jpeg(stream: bytes, rgb: RgbImage) -> bytes | None:
    """The stream without its metadata; None where a file of it would show other pixels."""
    try:
        bare = without_metadata(stream)
        same = np.array_equal(photograph_pixels(bare), rgb)
    except (BadInput, ValueError):
        return None
    return bare if same else None


def _uncompressed(rgb: RgbImage) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "TIFF")
    return buffer.getvalue()


def _say_what_was_done(ds: Dataset, facts: Dataset) -> None:
    ds.ManufacturerModelName = text(facts, "ManufacturerModelName")
    # Type 1: what nobody has called free of text is not called so here.
    ds.BurnedInAnnotation = "NO" if text(facts, "BurnedInAnnotation") == "NO" else "YES"
    if ds.LossyImageCompression == "00" and text(facts, "LossyImageCompression") == "01":
        for keyword in _LOSSY:
            if value := facts.get(keyword):
                setattr(ds, keyword, value)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "113100", "DCM"
    code.CodeMeaning = "Basic Application Confidentiality Profile"
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = _METHOD
    ds.DeidentificationMethodCodeSequence = [code]
    ds.LongitudinalTemporalInformationModified = "REMOVED"
