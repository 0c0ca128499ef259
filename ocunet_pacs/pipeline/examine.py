"""Every image of a study to its scores and heatmap, or to the reason why there are none.

Photographs live no longer than their batch: a study of a hundred needs the memory of one batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.result import ImageResult
from ocunet_pacs.domain.study import Laterality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ocunet_pacs.domain.ports import Classifier, PhotographReader, Reporter
    from ocunet_pacs.domain.result import DicomObject, Photograph
    from ocunet_pacs.domain.study import ImageHeader, Reason


@dataclass(frozen=True, slots=True)
class Source:
    """One instance to examine: who it is, its place in the study, and where its file lies."""

    sop_instance_uid: str
    sop_class_uid: str
    ordinal: int
    path: Path


def examine(
    sources: Sequence[Source],
    *,
    reader: PhotographReader,
    eligibility: Callable[[ImageHeader], tuple[Reason, ...]],
    classifier: Classifier,
    reporter: Reporter | None,
    keep_heatmap: Callable[[DicomObject], None],
    batch_size: int,
    alive: Callable[[], None],
) -> tuple[ImageResult, ...]:
    """Results in the order of `sources`, frames in order. Without a `reporter` no heatmaps are made.

    An image that cannot be used becomes a result with reasons; errors that are not the image's fault rise.
    """
    results: list[ImageResult] = []
    batch: list[tuple[int, Photograph, Path]] = []

    def flush() -> None:
        if not batch:
            return
        alive()
        for (place, photograph, path), said in zip(
            batch, classifier.classify([item[1] for item in batch]), strict=True
        ):
            image = replace(results[place], scores=said.scores)
            if reporter is not None and image.positives:
                image = replace(image, heatmap_uid=reporter.heatmap_uid(image, classifier.bundle))
                keep_heatmap(reporter.heatmap(image, photograph, said, classifier.bundle, path))
            results[place] = image
        batch.clear()

    for source in sources:
        for image, photograph in _read(source, reader, eligibility):
            results.append(image)
            if photograph is not None:
                batch.append((len(results) - 1, photograph, source.path))
            if len(batch) >= batch_size:
                flush()
    flush()
    return tuple(results)


def _read(
    source: Source, reader: PhotographReader, eligibility: Callable[[ImageHeader], tuple[Reason, ...]]
) -> Iterator[tuple[ImageResult, Photograph | None]]:
    """The frames of one instance with their pixels, or one result that says why there are none."""
    blank = ImageResult(source.sop_instance_uid, source.sop_class_uid, None, source.ordinal, Laterality.UNKNOWN)
    try:
        header = reader.header(source.path)
    except BadInput as error:
        yield replace(blank, reasons=(error.reason,)), None
        return
    blank = replace(blank, laterality=header.laterality)
    reasons = eligibility(header)
    if reasons:
        yield replace(blank, reasons=reasons), None
        return
    frame = 0
    try:
        for photograph in reader.photographs(source.path):
            frame += 1
            image = replace(blank, frame=frame if header.number_of_frames > 1 else None, quality=photograph.quality)
            if photograph.reasons:
                yield replace(image, reasons=photograph.reasons), None
            else:
                yield image, photograph
    except BadInput as error:
        # Frames that were read before this one keep their results; the rest of the instance is accounted for here.
        failed = frame + 1 if header.number_of_frames > 1 else None
        yield replace(blank, frame=failed, reasons=(error.reason,)), None
