"""What became of a study's images, in one sentence and in numbers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ocunet_pacs.domain.study import ReasonCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.domain.result import ImageResult


def reasons_of(images: Sequence[ImageResult]) -> Counter[str]:
    """How many images were not assessed for each reason; of several reasons of one image its first counts."""
    return Counter(image.reasons[0].code.value for image in images if image.reasons and not image.assessed)


def sentence(images: Sequence[ImageResult]) -> str:
    """ "3 of 5 images assessed; not assessed: 1 angiography, 1 child": counts and codes, nothing of the patient.

    Frames count one by one. Objects that are no photographs are told apart: nothing was missed with them.
    """
    photographs = [image for image in images if not image.is_context]
    words = f"{sum(image.assessed for image in photographs)} of {_count(len(photographs), 'image')} assessed"
    missed = sorted(reasons_of(photographs).items(), key=lambda item: (-item[1], item[0]))
    if missed:
        words += "; not assessed: " + ", ".join(f"{number} {code.replace('_', ' ')}" for code, number in missed)
    despite = sum(image.assessed and bool(image.despite) for image in images)
    if despite:
        words += f"; {despite} assessed behind opened gates"
    others = len(images) - len(photographs)
    if others:
        words += f"; kept as context: {_count(others, 'object')}"
    return words


def count_images(images: Sequence[ImageResult], count: Count) -> None:
    """Into the counters `images_assessed` and `images_not_assessed` (by reason, context objects left out)."""
    assessed = sum(image.assessed for image in images)
    if assessed:
        count("images_assessed", assessed)
    for code, number in reasons_of(images).items():
        if code != ReasonCode.CONTEXT:
            count("images_not_assessed", number, reason=code)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
