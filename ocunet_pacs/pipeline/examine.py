"""Every image of a study to its scores and pictures, or to the reason why there are none.

Photographs live no longer than their batch, and one batch is read ahead: a study of a hundred needs no more memory
than that.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ocunet_pacs.domain.drift import Camera
from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.result import ImageResult
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.pipeline.ahead import read_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from ocunet_pacs.domain.gates import Verdict
    from ocunet_pacs.domain.ports import Classifier, PhotographReader, Reporter
    from ocunet_pacs.domain.result import MadeObject, Photograph
    from ocunet_pacs.domain.study import ImageHeader, Reason

    _Read = tuple[ImageResult, Photograph | None] | None
    """A result, with pixels where the network is to look at them. None: a frame was read, and its instance goes on."""

_PAINTERS = 2
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """One instance to examine: who it is, its place in the study, where its file lies, and which source sent it.

    `gone` says why there is no file any more; then nothing is read.
    """

    sop_instance_uid: str
    sop_class_uid: str
    ordinal: int
    path: Path
    sender: str = ""
    """Name of the source in the settings; "" for one that is not listed. Its gates decide."""
    gone: Reason | None = None


@dataclass(slots=True)
class Spent:
    """Seconds that a study's examination waited: for files and pixels, for the network, for its pictures."""

    reading: float = 0.0
    inference: float = 0.0
    pictures: float = 0.0


@dataclass(frozen=True, slots=True)
class Examined:
    """What came out of a study: its images in the order of their sources, and what their headers said of all of it."""

    images: tuple[ImageResult, ...]
    stereo_pairs: tuple[tuple[str, str], ...] = ()
    """SOP Instance UIDs."""
    stations: frozenset[str] = frozenset()
    """Station Names of the machines that took them."""
    spent: Spent = field(default_factory=Spent, compare=False)
    seen: Mapping[tuple[str, int | None], Seen] = field(default_factory=dict)
    """By SOP Instance UID and frame, of photographs that eligibility lets be scored."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How one frame looks, and which camera took it: for the drift watch."""

    camera: Camera
    appearance: tuple[tuple[str, float], ...]
    pattern: bytes


@dataclass(slots=True)
class _Noted:
    """What headers said, so far, and how frames look, by SOP Instance UID and frame."""

    stereo_pairs: list[tuple[str, str]] = field(default_factory=list)
    stations: set[str] = field(default_factory=set)
    seen: dict[tuple[str, int | None], Seen] = field(default_factory=dict)

    def see(self, image: ImageResult, photograph: Photograph, header: ImageHeader, sender: str) -> None:
        if photograph.pattern is not None:
            camera = Camera.of(
                header.manufacturer, header.model_name, header.device_serial, header.station_name, sender
            )
            seen = Seen(camera, photograph.appearance, photograph.pattern.tobytes())
            self.seen[image.sop_instance_uid, image.frame] = seen


def examine(
    sources: Sequence[Source],
    *,
    reader: PhotographReader,
    eligibility: Callable[[ImageHeader, str], Verdict],
    classifier: Classifier,
    reporter: Reporter | None,
    keep_picture: Callable[[MadeObject], None],
    batch_size: int,
    alive: Callable[[], None],
) -> Examined:
    """Results in the order of `sources`, frames in order. Without a `reporter` no pictures are made.

    `eligibility` is asked with an image's header and its source. An image that cannot be used becomes a result with
    reasons; errors that are not the image's fault rise. `alive` is called after each frame that was read, usable or
    not, and before each pass of the network.
    """
    scoring = _Scoring(classifier, reporter, keep_picture, alive)
    noted = _Noted()

    def read() -> Iterator[tuple[_Read, Path]]:
        for source in sources:
            for found in _read(source, reader, eligibility, noted):
                yield found, source.path

    with closing(read_ahead(read, depth=batch_size)) as reading:
        for found, path in _timed(reading, scoring.spent):
            alive()
            if found is not None:
                scoring.add(*found, path)
            if len(scoring.batch) >= batch_size:
                scoring.flush()
    scoring.flush()
    return Examined(
        tuple(scoring.results), tuple(noted.stereo_pairs), frozenset(noted.stations), scoring.spent, noted.seen
    )


@dataclass
class _Scoring:
    """Results so far, and the photographs among them that wait for the network."""

    classifier: Classifier
    reporter: Reporter | None
    keep_picture: Callable[[MadeObject], None]
    alive: Callable[[], None]
    results: list[ImageResult] = field(default_factory=list)
    batch: list[tuple[int, Photograph, Path]] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)

    def add(self, image: ImageResult, photograph: Photograph | None, path: Path) -> None:
        self.results.append(image)
        if photograph is not None:
            self.batch.append((len(self.results) - 1, photograph, path))

    def flush(self) -> None:
        """Score what waits, explain what is positive."""
        if not self.batch:
            return
        self.alive()
        began = time.monotonic()
        answers = self.classifier.classify([photograph for _, photograph, _ in self.batch])
        self.spent.inference += time.monotonic() - began
        bundle = self.classifier.bundle
        to_explain = []
        for (place, photograph, path), said in zip(self.batch, answers, strict=True):
            image = replace(self.results[place], scores=said.scores)
            if self.reporter is not None and image.positives:
                image = replace(image, heatmap_uid=self.reporter.heatmap_uid(image, bundle))
                to_explain.append(partial(self.reporter.pictures, image, photograph, said, bundle, path))
            self.results[place] = image
        self.batch.clear()
        began = time.monotonic()
        # One is painted while another one is stored: painting is arithmetic, storing waits for the disk.
        with ThreadPoolExecutor(_PAINTERS, "paint") as painters:
            for pictures in painters.map(lambda explain: explain(), to_explain):
                for picture in pictures:
                    self.keep_picture(picture)
        self.spent.pictures += time.monotonic() - began


def _timed(reading: Iterator[T], spent: Spent) -> Iterator[T]:
    """The same, with what waiting for each took."""
    while True:
        began = time.monotonic()
        try:
            item = next(reading)
        except StopIteration:
            return
        finally:
            spent.reading += time.monotonic() - began
        yield item


def _read(
    source: Source,
    reader: PhotographReader,
    eligibility: Callable[[ImageHeader, str], Verdict],
    noted: _Noted,
) -> Iterator[_Read]:
    """The frames of one instance with their pixels, or one result that says why there are none."""
    blank = ImageResult(source.sop_instance_uid, source.sop_class_uid, None, source.ordinal, Laterality.UNKNOWN)
    if source.gone is not None:
        yield replace(blank, reasons=(source.gone,)), None
        return
    try:
        header = reader.header(source.path)
    except BadInput as error:
        yield replace(blank, reasons=(error.reason,)), None
        return
    noted.stereo_pairs += header.stereo_pairs
    noted.stations |= {header.station_name} - {""}
    blank = replace(blank, laterality=header.laterality)
    verdict = eligibility(header, source.sender)
    if verdict.stop is not None:
        yield replace(blank, reasons=(verdict.stop,)), None
    elif verdict.afterwards is not None:
        yield from _stopped_afterwards(_frames(source, reader, header, verdict), blank, verdict.afterwards)
    else:
        yield from _frames(source, reader, header, verdict, noted)


def _stopped_afterwards(
    frames: Generator[tuple[ImageResult, Photograph | None]], blank: ImageResult, reason: Reason
) -> Iterator[_Read]:
    """The instance's own reason as soon as one frame passes the pixel test; the frames' reasons where none does."""
    failed = []
    with closing(frames):
        for image, photograph in frames:
            if photograph is not None:
                yield replace(blank, reasons=(reason,)), None
                return
            failed.append(image)
            yield None
    yield from ((image, None) for image in failed)


def _frames(
    source: Source, reader: PhotographReader, header: ImageHeader, verdict: Verdict, noted: _Noted | None = None
) -> Generator[tuple[ImageResult, Photograph | None]]:
    """Frame by frame: with its pixels where they pass, else with the reasons why they do not."""
    several = header.number_of_frames > 1

    def result(frame: int) -> ImageResult:
        number = frame if several else None
        return ImageResult(
            source.sop_instance_uid, source.sop_class_uid, number, source.ordinal, header.laterality_of(number)
        )

    frame = 0
    try:
        for photograph in reader.photographs(source.path):
            frame += 1
            image = replace(result(frame), quality=photograph.quality)
            if noted is not None:
                noted.see(image, photograph, header, source.sender)
            reasons, despite = verdict.of_pixels(photograph)
            if reasons:
                yield replace(image, reasons=reasons), None
            else:
                yield replace(image, despite=verdict.despite + despite), photograph
    except BadInput as error:
        # Frames that were read before this one keep their results; the rest of the instance is accounted for here.
        yield replace(result(frame + 1), reasons=(error.reason,)), None
