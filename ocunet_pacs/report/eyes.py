"""One eye at a time: what its photographs say together, and which of them say nothing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from ocunet_pacs.report import ordering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ocunet_pacs.domain.result import ImageResult, LabelScore
    from ocunet_pacs.domain.study import Laterality, Reason
    from ocunet_pacs.report.report_settings import ReportSettings


@dataclass(frozen=True, slots=True)
class Leading:
    """A finding of an eye: its highest score, the image that has it, and in how many images it is above threshold."""

    score: LabelScore
    image: ImageResult
    above: int


@dataclass(frozen=True, slots=True)
class Eye:
    """One eye's images in order of arrival; objects that are no photographs belong to no eye."""

    laterality: Laterality
    images: tuple[ImageResult, ...]

    @property
    def assessed(self) -> list[ImageResult]:
        """Those that the model scored."""
        return [image for image in self.images if image.assessed]

    @property
    def missed(self) -> list[ImageResult]:
        """Those that it did not."""
        return [image for image in self.images if not image.assessed]

    def leading(self, settings: ReportSettings) -> list[Leading]:
        """The findings that are above threshold in any image, most urgent first, then most probable."""
        best: dict[str, Leading] = {}
        for image in self.assessed:
            for score in ordering.findings(image, settings):
                known = best.get(score.label)
                above = 1 if known is None else known.above + 1
                if known is None or score.probability > known.score.probability:
                    best[score.label] = Leading(score, image, above)
                else:
                    best[score.label] = Leading(known.score, known.image, above)
        return [best[score.label] for score in ordering.by_urgency((found.score for found in best.values()), settings)]


def eyes(images: Iterable[ImageResult]) -> list[Eye]:
    """The eyes that were photographed: OD, OS, unknown."""
    photographs = [image for image in ordering.by_eye(images) if not image.is_context]
    return [Eye(side, tuple(found)) for side, found in groupby(photographs, key=lambda image: image.laterality)]


def by_reasons(images: Iterable[ImageResult]) -> list[list[ImageResult]]:
    """Images of one eye that were not assessed for the very same reasons, together."""
    return _together(images, lambda image: image.reasons)


def by_exceptions(images: Iterable[ImageResult]) -> list[list[ImageResult]]:
    """Images of one eye that were assessed in spite of the very same reasons, together."""
    return _together((image for image in images if image.assessed and image.despite), lambda image: image.despite)


def _together(
    images: Iterable[ImageResult], key: Callable[[ImageResult], tuple[Reason, ...]]
) -> list[list[ImageResult]]:
    found: dict[tuple[Laterality, tuple[Reason, ...]], list[ImageResult]] = {}
    for image in ordering.by_eye(images):
        found.setdefault((image.laterality, key(image)), []).append(image)
    return list(found.values())
