"""Every image of a study to its scores and heatmap, or to the reason why there are none.

Photographs live no longer than their batch, and one batch is read ahead: a study of a hundred needs no more memory
than that.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.result import ImageResult
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.pipeline.ahead import read_ahead

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
    scoring = _Scoring(classifier, reporter, keep_heatmap, alive)

    def read() -> Iterator[tuple[ImageResult, Photograph | None, Path]]:
        for source in sources:
            for image, photograph in _read(source, reader, eligibility):
                yield image, photograph, source.path

    with closing(read_ahead(read, depth=batch_size)) as reading:
        for image, photograph, path in reading:
            scoring.add(image, photograph, path)
            if len(scoring.batch) >= batch_size:
                scoring.flush()
    scoring.flush()
    return tuple(scoring.results)


@dataclass
class _Scoring:
    """Results so far, and the photographs among them that wait for the network."""

    classifier: Classifier
    reporter: Reporter | None
    keep_heatmap: Callable[[DicomObject], None]
    alive: Callable[[], None]
    results: list[ImageResult] = field(default_factory=list)
    batch: list[tuple[int, Photograph, Path]] = field(default_factory=list)

    def add(self, image: ImageResult, photograph: Photograph | None, path: Path) -> None:
        self.results.append(image)
        if photograph is not None:
            self.batch.append((len(self.results) - 1, photograph, path))

    def flush(self) -> None:
        """Score what waits, explain what is positive."""
        if not self.batch:
            return
        self.alive()
        answers = self.classifier.classify([photograph for _, photograph, _ in self.batch])
        bundle = self.classifier.bundle
        for (place, photograph, path), said in zip(self.batch, answers, strict=True):
            image = replace(self.results[place], scores=said.scores)
            if self.reporter is not None and image.positives:
                image = replace(image, heatmap_uid=self.reporter.heatmap_uid(image, bundle))
                self.keep_heatmap(self.reporter.heatmap(image, photograph, said, bundle, path))
            self.results[place] = image
        self.batch.clear()


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
