"""Words that every part of a report shares. "Above threshold", never "diagnosed"."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.header import MODEL_NAME
from ocunet_pacs.report.codes import label_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ocunet_pacs.domain.result import BundleRef, ImageResult, LabelScore
    from ocunet_pacs.domain.study import Reason
    from ocunet_pacs.report.report_settings import ReportSettings

UNTRAINED = (
    "UNTRAINED MODEL: the weights were not trained. Every probability in this document is meaningless; "
    "it shows that the software works and nothing else. Do not use it for any patient."
)
RESEARCH = (
    "RESEARCH BUNDLE: its weights were learned from public photographs, for research only. They were not made for "
    "clinical use. Do not use this document for any patient."
)
IN_SHORT = "Decision support: a label above its threshold is a reason to look, not a diagnosis."
DISCLAIMER = (
    "Decision support, not a diagnosis. Made by software and not verified by a person. "
    "A label above its threshold is a reason to look, not a finding of disease."
)
BELOW = (
    "Labels that are not listed did not reach their threshold; that does not exclude the condition. "
    "Conditions that the model has no label for were not assessed."
)
OTHER_PATIENT = (
    "Objects of this study were also received with other patient data (name, identifier or date of birth). They were "
    "kept apart: no statement in this report comes from them. Check which patient the photographs belong to."
)
REASON_WORDS: Mapping[ReasonCode, str] = MappingProxyType(
    {
        ReasonCode.NOT_DICOM: "not DICOM",
        ReasonCode.UNREADABLE_DATASET: "unreadable",
        ReasonCode.OWN_OUTPUT: "made by this software",
        ReasonCode.SOP_CLASS: "a kind of image that is not analysed",
        ReasonCode.CONTEXT: "no photograph",
        ReasonCode.WIDE_FIELD: "wide field",
        ReasonCode.DERIVED: "derived from other images",
        ReasonCode.CALIBRATION: "calibration or quality control image",
        ReasonCode.NOT_RETINA: "not of the fundus",
        ReasonCode.UNPROVEN_REGION: "not said to be of the fundus",
        ReasonCode.NOT_COLOUR: "not in colour",
        ReasonCode.ANGIOGRAPHY: "angiography",
        ReasonCode.NO_PIXELS: "without a picture",
        ReasonCode.PHOTOMETRIC: "unsupported pixel format",
        ReasonCode.TRANSFER_SYNTAX: "unsupported compression",
        ReasonCode.UNREADABLE_PIXELS: "picture unreadable",
        ReasonCode.TOO_SMALL: "too small",
        ReasonCode.TOO_LARGE: "too large",
        ReasonCode.CHILD: "child",
        ReasonCode.NOT_FUNDUS: "does not look like a fundus photograph",
        ReasonCode.UNGRADABLE: "not gradable",
        ReasonCode.DECODER_FAILED: "picture could not be decoded",
        ReasonCode.FILE_REMOVED: "assessed in an earlier report, file no longer kept",
        ReasonCode.FILE_MISSING: "file missing from the store",
    }
)
"""Each reason in a reader's words, for the summary; the remarks give the details and the code."""


def percent(share: float) -> str:
    """A share of 1 as a reader wants it: 87.5 %. Rounded by way of the report's two decimals: all places agree."""
    return f"{round(100 * share, 2):.1f} %"


def place(image: ImageResult) -> str:
    """Which picture, in words: OD image 2 frame 3."""
    frame = f" frame {image.frame}" if image.frame else ""
    return f"{image.laterality.eye} image {image.ordinal}{frame}"


def places(images: Sequence[ImageResult]) -> str:
    """Which pictures of one eye, in words: OD images 2, 4 (frames 1-12)."""
    frames: dict[int, list[int]] = {}
    for image in images:
        numbers = frames.setdefault(image.ordinal, [])
        if image.frame:
            numbers.append(image.frame)
    if len(images) == 1:
        return place(images[0])
    parts = [f"{ordinal}{_frames(numbers)}" for ordinal, numbers in frames.items()]
    return f"{images[0].laterality.eye} image{'s' if len(parts) > 1 else ''} {', '.join(parts)}"


def _frames(numbers: Sequence[int]) -> str:
    """ " (frames 1-3, 7)", runs drawn together."""
    if not numbers:
        return ""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    words = ", ".join("-".join(map(str, run)) for run in runs)
    return f" (frame{'s' if len(numbers) > 1 else ''} {words})"


def score_words(score: LabelScore) -> str:
    """One label: name, probability, threshold."""
    return f"{label_of(score.label).display} {percent(score.probability)} (threshold {percent(score.threshold)})"


def warnings(bundle: BundleRef) -> list[str]:
    """What must be read before anything that these weights say."""
    return [*([] if bundle.trained else [UNTRAINED]), *([RESEARCH] if bundle.research else [])]


def qualification(bundle: BundleRef, settings: ReportSettings) -> str:
    """Content Qualification (0018,9004): a research bundle's results are for research, whatever the site's are."""
    return "RESEARCH" if bundle.research else settings.content_qualification


def model_words(bundle: BundleRef, software_version: str = "") -> str:
    """Which weights spoke at which operating point, in which software, and what a probability is."""
    trained = "" if bundle.trained else " UNTRAINED."
    divisor = "its label's temperature" if bundle.label_temperatures else f"{bundle.temperature:g}"
    software = f"; software {MODEL_NAME} {software_version}" if software_version else ""
    return (
        f"Model {bundle.name}, bundle sha256 {bundle.digest}, operating point {bundle.operating_point}"
        f"{software}.{trained} "
        f"Probability is sigmoid(logit / {divisor}); a label is above threshold when its probability is "
        "equal to or greater than its own threshold."
    )


def exceptions(despite: Sequence[Reason]) -> str:
    """What an image was scored in spite of: with the values that were measured, never a silent score."""
    found = "; ".join(f"{REASON_WORDS[r.code]} - {r.detail.rstrip('.')} ({r.code.value})" for r in despite)
    return f"scored by this site's rules although judged: {found}. The model was not made for such images."


def tracking_identifier(image: ImageResult, what: str, peers: Sequence[ImageResult], bundle: BundleRef) -> str:
    """ "OD Diabetic retinopathy", with the image's number where the eye has several images.

    Some viewers show nothing but this beside a number, so it says UNTRAINED too.
    """
    name = f"{image.laterality.eye} {what}" if bundle.trained else f"UNTRAINED {image.laterality.eye} {what}"
    if len(peers) > 1:
        name += f", image {image.ordinal}" + (f" frame {image.frame}" if image.frame else "")
    return name
