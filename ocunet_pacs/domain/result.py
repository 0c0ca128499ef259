"""What the model said, and what became of it."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ocunet_pacs.domain.study import ReasonCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from ocunet_pacs.domain.study import Laterality, Reason

_UID_NAMESPACE = uuid.UUID("6f0c2d1e-5a37-5d0e-9b5c-2f5d0a1c7e44")


@dataclass(frozen=True, slots=True)
class BundleRef:
    """Which weights, with which calibration, spoke. `digest` is the sha256 (hex) over the whole bundle.

    `operating_point` names the thresholds among the bundle's that were applied: with the digest it decides which labels
    are positive. `missing_labels` are OcuNet's labels about which these weights say nothing.
    """

    name: str
    digest: str
    trained: bool
    temperature: float
    operating_point: str = "default"
    missing_labels: tuple[str, ...] = ()
    label_temperatures: tuple[tuple[str, float], ...] = ()
    """Labels with a temperature of their own; `temperature` is that of the others."""
    research: bool = False
    """For research only: whatever these weights say says so first."""

    def temperature_of(self, label: str) -> float:
        """What the label's logit is divided by."""
        return dict(self.label_temperatures).get(label, self.temperature)

    @property
    def identity(self) -> str:
        """What decides this bundle's results: its digest, and the operating point where that is not the default."""
        return self.digest if self.operating_point == "default" else f"{self.digest} {self.operating_point}"


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label of one image: probability = sigmoid(logit / temperature); positive = probability >= threshold."""

    label: str
    logit: float
    probability: float
    threshold: float
    positive: bool


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the photograph, in pixels: left and top included, right and bottom not."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """One photograph on its way through: what the network sees of it, and what a reader is shown of it.

    `pixels` is the network's input, uint8 (side, side, 3), red green blue. `shown` is the whole photograph, uint8
    (height, width, 3), scaled down where it is large: a study of 36 MB photographs must not fill the memory. `crop` is
    the part of `shown` that `pixels` show. `width` and `height` are the photograph's own. `reasons` say why it must not
    be scored, where its pixels show that it is no gradable fundus photograph; `doubts` why not, where nothing but its
    pixels speaks for it (stricter limits, so they hold more than `reasons`); `quality` holds what was measured.
    `appearance` and `pattern` are for the drift watch (`imaging.appearance`): how it looks, by name, and uint8 (side,
    side, 1), where it is brighter or darker than around. Both are empty or None where nothing was measured.
    """

    pixels: NDArray[np.uint8]
    shown: NDArray[np.uint8]
    crop: Box
    width: int
    height: int
    reasons: tuple[Reason, ...] = ()
    quality: tuple[tuple[str, float], ...] = ()
    doubts: tuple[Reason, ...] = ()
    appearance: tuple[tuple[str, float], ...] = ()
    pattern: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """One photograph through the network.

    `scores` are in the bundle's label order. `maps` is float32 (labels, h, w), the class activation of each label in
    the same order over the network's input, ReLU applied and each scaled to [0, 1] by its own maximum (all zero where
    nothing speaks for the label).
    """

    scores: tuple[LabelScore, ...]
    maps: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ImageResult:
    """One frame of one instance: scores, or the reasons why there are none.

    `frame` counts from 1 and is None for an instance of a single frame (or when the instance failed as a whole).
    `ordinal` is the instance's place in its study.
    """

    sop_instance_uid: str
    sop_class_uid: str
    frame: int | None
    ordinal: int
    laterality: Laterality
    scores: tuple[LabelScore, ...] = ()
    reasons: tuple[Reason, ...] = ()
    heatmap_uid: str | None = None
    quality: tuple[tuple[str, float], ...] = ()
    """What was measured of the picture's quality, by name; empty where it was not measured."""
    despite: tuple[Reason, ...] = ()
    """What would have kept the image from being scored, had the site not opened the gate."""

    @property
    def is_context(self) -> bool:
        """Whether this is no photograph at all, but an object that says something about photographs."""
        return any(reason.code is ReasonCode.CONTEXT for reason in self.reasons)

    @property
    def assessed(self) -> bool:
        """Whether the model spoke about this image."""
        return bool(self.scores)

    @property
    def positives(self) -> tuple[LabelScore, ...]:
        """The scores at or above their threshold, most probable first."""
        return tuple(sorted((s for s in self.scores if s.positive), key=lambda s: -s.probability))


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The report that a revision replaces."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class StudyResult:
    """Everything a report says. `key` identifies the work: equal keys give equal UIDs."""

    study_instance_uid: str
    revision: int
    key: str
    bundle: BundleRef
    images: tuple[ImageResult, ...]
    predecessor: Predecessor | None = None
    stereo_pairs: tuple[tuple[str, str], ...] = ()
    """SOP Instance UIDs of photographs that were taken as a stereo pair."""
    patient_conflict: bool = False
    """Objects with the same Study Instance UID name another patient; they are not part of this."""


class OutputKind(StrEnum):
    """The kinds of object that we make."""

    REPORT = "report"
    """The structured report."""
    HEATMAP = "heatmap"
    """A photograph with its explanation, as Secondary Capture."""
    MAP = "map"
    """The explanation alone, in grey, for viewers that overlay."""
    PDF = "pdf"
    """The report with its heatmaps, as Encapsulated PDF."""
    FHIR = "fhir"
    """The report for a record system, as JSON."""
    NOTICE = "notice"
    """Word of an urgent study, as JSON."""

    @property
    def is_dicom(self) -> bool:
        """Whether objects of this kind are DICOM files."""
        return self not in {OutputKind.FHIR, OutputKind.NOTICE}


@dataclass(frozen=True, slots=True)
class MadeObject:
    """An object that we made, checked and encoded: `content` is the whole file (PS3.10, where it is DICOM).

    `form` is the id of the form (`domain.routes.Form`) that it was made in, "" for what is the same in every form. What
    is not DICOM has a UID for its identity all the same, and no SOP class.
    """

    kind: OutputKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    content: bytes = field(repr=False)
    form: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """An object that we made and stored, as its row will hold it."""

    kind: OutputKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    file_key: str
    form: str = ""


@dataclass(frozen=True, slots=True)
class Addressed:
    """An output, and the names of the destinations that get it."""

    output: Output
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Commitment:
    """What an archive says of objects that it was asked to commit to (PS3.4 annex J), by SOP Instance UID.

    `failed` has the Failure Reason (0008,1197) of each.
    """

    transaction_uid: str
    committed: frozenset[str]
    failed: Mapping[str, int] = field(default_factory=dict)


def work_key(sop_instance_uids: Iterable[str], bundle_digest: str, report_digest: str) -> str:
    """Identity of an analysis: sha256 (hex) over the sorted SOP Instance UIDs, the bundle and the report settings."""
    parts = [*sorted(sop_instance_uids), bundle_digest, report_digest]
    return hashlib.sha256("\n".join(parts).encode("ascii", "backslashreplace")).hexdigest()


def derive_uid(*parts: str) -> str:
    """A DICOM UID that depends on nothing but `parts`: 2.25 and a name-based UUID (PS3.5 section B.2)."""
    return f"2.25.{uuid.uuid5(_UID_NAMESPACE, chr(10).join(parts)).int}"
