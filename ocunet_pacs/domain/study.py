"""What arrived: instances, the facts in their headers that decide, and why an image is not assessed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class Laterality(StrEnum):
    """Which eye. A conflict, "both" or an absence is UNKNOWN: never guessed."""

    RIGHT = "R"
    LEFT = "L"
    UNKNOWN = "U"

    @property
    def eye(self) -> str:
        """The clinic's word: OD (right), OS (left) or "eye unknown"."""
        return {"R": "OD", "L": "OS", "U": "eye unknown"}[self.value]


class ReasonCode(StrEnum):
    """Why an instance, or one of its frames, was refused or not assessed. Reports and metrics rely on the values."""

    NOT_DICOM = "not_dicom"
    UNREADABLE_DATASET = "unreadable_dataset"
    OWN_OUTPUT = "own_output"
    SOP_CLASS = "sop_class_not_analysed"
    CONTEXT = "context_object"
    """No photograph, and nothing is wrong with it: kept because it says something about the photographs."""
    WIDE_FIELD = "wide_field"
    DERIVED = "derived_image"
    CALIBRATION = "calibration_or_quality_control_image"
    NOT_RETINA = "not_retina"
    UNPROVEN_REGION = "region_not_stated"
    NOT_COLOUR = "not_colour"
    ANGIOGRAPHY = "angiography"
    NO_PIXELS = "no_pixel_data"
    PHOTOMETRIC = "unsupported_photometric_interpretation"
    TRANSFER_SYNTAX = "unsupported_transfer_syntax"
    UNREADABLE_PIXELS = "unreadable_pixels"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    CHILD = "child"
    NOT_FUNDUS = "not_a_fundus_photograph"
    UNGRADABLE = "ungradable"
    DECODER_FAILED = "decoder_failed"
    FILE_REMOVED = "file_removed"
    FILE_MISSING = "file_missing"


@dataclass(frozen=True, slots=True)
class Reason:
    """A coded reason and a sentence for a person. `detail` holds technical values only, never patient data."""

    code: ReasonCode
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """The facts of one instance, read without touching its pixels.

    Strings are the header's own, stripped; empty or absent is "" (or an empty tuple, or None for numbers). Codes are
    "SCHEME:value", with SNOMED's old designators SRT and SNM3 translated to SCT where the concept is known.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str = ""
    manufacturer: str = ""
    model_name: str = ""
    device_serial: str = ""
    station_name: str = ""
    image_type: tuple[str, ...] = ()
    laterality: Laterality = Laterality.UNKNOWN
    frame_lateralities: tuple[Laterality, ...] = ()
    """Of each frame, where frames say so themselves; frames of one image may show different eyes."""
    anatomic_regions: tuple[str, ...] = ()
    device_types: tuple[str, ...] = ()
    contrast_agents: tuple[str, ...] = ()
    path_filters: tuple[str, ...] = ()
    photometric_interpretation: str = ""
    samples_per_pixel: int | None = None
    bits_allocated: int | None = None
    rows: int | None = None
    columns: int | None = None
    number_of_frames: int = 1
    has_pixel_data: bool = False
    is_calibration_or_qc: bool = False
    made_by_us: bool = False
    field_of_view_degrees: float | None = None
    age_years: float | None = None
    stereo_pairs: tuple[tuple[str, str], ...] = ()
    """SOP Instance UIDs of the left and right images that a Stereometric Relationship joins."""
    patient_identity: str = field(default="", repr=False)
    """Digest of what names the patient. Whoever has the names can compute it, so a keyed one is kept in its place."""
    patient_number: str = field(default="", repr=False)
    """Patient ID (0010,0020), for the audit trail of sites that want it there, and nothing else."""

    def laterality_of(self, frame: int | None) -> Laterality:
        """Which eye a frame shows, counted from 1; None asks for the image as a whole."""
        if frame is None or not 1 <= frame <= len(self.frame_lateralities):
            return self.laterality
        return self.frame_lateralities[frame - 1]


@dataclass(frozen=True, slots=True)
class ReceivedInstance:
    """One instance as the listener stored it, before its row exists. `file_key` names the file in the store."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    file_key: str
    size_bytes: int
    sha256: str
    source_ae_title: str
    received_at: datetime
    opens_study: bool = True
    """False for objects that are kept but must not start an analysis: our own results coming back."""
    source: str = ""
    """Name of the source in the settings that it came from; "" for a sender that is not listed."""
    quiet_period: timedelta = timedelta(seconds=10)
    """How long its study must stay quiet after it to count as complete."""
    patient_digest: str = ""
    """Stands for the patient whom the object names: equal for equal patients, and says nothing about them."""


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """One instance's row. `ordinal` counts the study's instances from 1 in order of arrival and never changes."""

    id: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    file_key: str
    ordinal: int
    source: str = ""
    source_ae_title: str = ""
    gone: ReasonCode | None = None
    """FILE_REMOVED (by retention) or FILE_MISSING when its file is no longer there."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What became of an instance that was recorded. True in a condition when its file belongs to a row now."""

    added: bool
    """Its row is new."""
    healed: bool = False
    """Its row was there and had lost its file: it has this one now."""
    conflict: bool = False
    """It names another patient than objects of the same study that came before it, or than it did itself."""

    def __bool__(self) -> bool:
        return self.added or self.healed


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """A study with instances that no revision holds yet, as it was seen; closing it applies only if nothing changed."""

    id: int
    study_instance_uid: str
    open_since: datetime
    last_received_at: datetime
    quiet_until: datetime | None = None
    """When it counts as complete, unless something comes; not after `last_received_at` when its sender said so."""
