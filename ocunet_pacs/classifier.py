"""`ocunet_pacs.Classifier`: photographs to typed results inside a Python program, with no daemon around it.

The daemon's own eligibility, decoding, preprocessing, network and thresholds: it says what the daemon would say.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

import cv2
import numpy as np
from pydicom.dataset import Dataset

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.result import Box
from ocunet_pacs.domain.study import Laterality, Reason, ReasonCode
from ocunet_pacs.imaging.anyfile import AnyFile, bare_header, states_dicom
from ocunet_pacs.imaging.decode import photograph_pixels
from ocunet_pacs.imaging.part10 import refusal, refusing
from ocunet_pacs.imaging.pixels import check_size
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.intake.eligibility import OPHTHALMIC_PHOTOGRAPHY_8_BIT, eligibility
from ocunet_pacs.model.manifest import DEFAULT_POINT
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.pipeline.examine import Source, examine
from ocunet_pacs.report.painting import overlay

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ocunet_pacs.domain.ports import RgbImage
    from ocunet_pacs.domain.result import BundleRef, Classification, ImageResult, LabelScore, Photograph
    from ocunet_pacs.domain.study import ImageHeader

    Input = str | os.PathLike[str] | bytes | NDArray[np.uint8] | Dataset
    """A file (photograph or DICOM), the bytes of one, uint8 (height, width, 3) in red green blue, or a data set."""

_ONE: Final = (str, os.PathLike, bytes, np.ndarray, Dataset)

_AT_A_TIME: Final = 16
"""Inputs examined together: enough for full batches, few enough for the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What the model says about one frame, or `reasons` why it says nothing.

    `path` is None for what did not come from a file; `frame` counts from 1, None where there is one only. `scores` are
    in the bundle's label order. `width` and `height` are the photograph's own, 0 where it was not assessed. A reading
    holds its photograph, scaled to 1024 pixels, for `overlay`.
    """

    path: Path | None
    frame: int | None
    laterality: Laterality
    scores: tuple[LabelScore, ...]
    reasons: tuple[Reason, ...]
    quality: Mapping[str, float]
    bundle: BundleRef
    _photograph: Photograph | None = field(default=None, repr=False)
    _maps: NDArray[np.float32] | None = field(default=None, repr=False)

    @property
    def assessed(self) -> bool:
        """Whether the model spoke about this picture; False is never the same as "nothing found"."""
        return bool(self.scores)

    @property
    def positives(self) -> tuple[LabelScore, ...]:
        """The scores at or above their threshold, most probable first."""
        return tuple(sorted((s for s in self.scores if s.positive), key=lambda s: -s.probability))

    @property
    def width(self) -> int:
        """Pixels; 0 where the picture was not assessed."""
        return self._photograph.width if self._photograph else 0

    @property
    def height(self) -> int:
        """Pixels; 0 where the picture was not assessed."""
        return self._photograph.height if self._photograph else 0

    def score(self, label: str) -> LabelScore:
        """One label's score. KeyError: the bundle does not know the label; BadInput: the picture was not assessed."""
        return self.scores[self._index(label)]

    def probability(self, label: str) -> float:
        """The calibrated probability in [0, 1]; raises as `score` does."""
        return self.score(label).probability

    def heatmap(self, label: str) -> NDArray[np.float32]:
        """The label's class activation on the photograph's own pixels: (height, width) in [0, 1], 0 outside the crop.

        1 is the label's own greatest activation: maps of two labels cannot be compared. Raises as `score` does.
        """
        activation, photograph = self._explained(label)
        x, y = photograph.width / photograph.shown.shape[1], photograph.height / photograph.shown.shape[0]
        crop = photograph.crop
        own = Box(
            round(crop.left * x),
            round(crop.top * y),
            min(photograph.width, round(crop.right * x)),
            min(photograph.height, round(crop.bottom * y)),
        )
        enlarged = np.zeros((photograph.height, photograph.width), np.float32)
        size = (own.right - own.left, own.bottom - own.top)
        # Cubic interpolation overshoots: what it adds beyond the scale means nothing.
        smooth = np.clip(cv2.resize(activation, size, interpolation=cv2.INTER_CUBIC), 0.0, 1.0)
        enlarged[own.top : own.bottom, own.left : own.right] = smooth
        return enlarged

    def overlay(self, label: str) -> RgbImage:
        """The photograph with the label's activation painted over it as in the daemon's heatmaps, uint8 (h, w, 3).

        Its longest side has 1024 pixels at most. Raises as `score` does.
        """
        activation, photograph = self._explained(label)
        return overlay(photograph.shown, activation, photograph.crop)

    def _index(self, label: str) -> int:
        if not self.scores:
            raise BadInput(self.reasons[0])
        for index, score in enumerate(self.scores):
            if score.label == label:
                return index
        known = " ".join(score.label for score in self.scores)
        raise KeyError(f"the bundle has no label {label!r}; it knows {known}")

    def _explained(self, label: str) -> tuple[NDArray[np.float32], Photograph]:
        index = self._index(label)
        assert self._maps is not None
        assert self._photograph is not None
        return self._maps[index], self._photograph


class Classifier:
    """A bundle, loaded once and kept. Threads may share it; their calls take turns. A context manager.

    `device`: "auto" (a GPU where there is one), "cpu" or "cuda:N". `operating_point` names the thresholds among the
    bundle's. UntrainedBundle unless the bundle is trained or `allow_untrained`; BundleError where bundle, operating
    point or device cannot be used.
    """

    def __init__(
        self,
        bundle: Path | str,
        *,
        device: str = "auto",
        operating_point: str = DEFAULT_POINT,
        allow_untrained: bool = False,
    ) -> None:
        self._predictor: Predictor | None = Predictor.load(
            Path(bundle), device, allow_untrained=allow_untrained, operating_point=operating_point
        )
        self._turn = threading.Lock()

    @property
    def bundle(self) -> BundleRef:
        """Which weights these are."""
        return self._loaded().bundle

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the bundle knows, in the order of `Reading.scores`."""
        return self._loaded().manifest.labels

    def classify(self, inputs: Input | Iterable[Input], *, strict: bool = False) -> list[Reading]:
        """One reading for each frame of each input, in order; a photograph has one frame.

        A picture that cannot be used gives a reading with reasons. With `strict` it raises BadInput instead, which
        carries the reason. A list of readings holds all its photographs: for many, take `stream`.
        """
        # Asked first, because strings, arrays and data sets can be iterated too.
        some = [inputs] if isinstance(inputs, _ONE) else inputs
        return list(self.stream(some, strict=strict))

    def stream(self, inputs: Iterable[Input], *, strict: bool = False) -> Iterator[Reading]:
        """The same one by one, in the memory of a few: inputs are taken as readings are asked for."""
        remaining = iter(inputs)
        while some := list(islice(remaining, _AT_A_TIME)):
            for reading in self._read(some):
                if strict and not reading.assessed:
                    raise BadInput(reading.reasons[0])
                yield reading

    def close(self) -> None:
        """Let go of the network. Readings stay good; another call raises ValueError."""
        self._predictor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _loaded(self) -> Predictor:
        if self._predictor is None:
            raise ValueError("the classifier is closed")
        return self._predictor

    def _read(self, inputs: Sequence[Input]) -> list[Reading]:
        predictor = self._loaded()
        keeping = _Keeping(predictor)
        with self._turn:
            images = examine(
                [Source("", OPHTHALMIC_PHOTOGRAPHY_8_BIT, n, Path(str(n))) for n in range(len(inputs))],
                reader=_Given(predictor, inputs),
                eligibility=lambda header, _source: eligibility(header),
                classifier=keeping,
                reporter=None,
                keep_picture=lambda _made: None,
                batch_size=predictor.batch_size,
                alive=lambda: None,
            ).images
        kept = iter(keeping.kept)
        return [
            _reading(inputs[image.ordinal], image, predictor.bundle, next(kept) if image.assessed else None)
            for image in images
        ]


def _reading(
    given: Input, image: ImageResult, bundle: BundleRef, kept: tuple[Photograph, Classification] | None
) -> Reading:
    return Reading(
        path=Path(given) if isinstance(given, str | os.PathLike) else None,
        frame=image.frame,
        laterality=image.laterality,
        scores=image.scores,
        reasons=image.reasons,
        quality=MappingProxyType(dict(image.quality)),
        bundle=bundle,
        _photograph=kept[0] if kept else None,
        _maps=kept[1].maps if kept else None,
    )


class _Keeping:
    """The `Classifier` port over a predictor; keeps what went through it, which `examine` lets go."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.kept: list[tuple[Photograph, Classification]] = []

    @property
    def bundle(self) -> BundleRef:
        return self._predictor.bundle

    def classify(self, photographs: Sequence[Photograph]) -> list[Classification]:
        said = self._predictor.classify(photographs)
        self.kept.extend(zip(photographs, said, strict=True))
        return said


class _Given(AnyFile):
    """The `PhotographReader` port over a caller's inputs; a path is an input's place among them."""

    def __init__(self, predictor: Predictor, inputs: Sequence[Input]) -> None:
        made = predictor.manifest
        super().__init__(made.preprocess, made.quality_limits)
        self._inputs = inputs

    def header(self, path: Path) -> ImageHeader:
        given = self._inputs[int(path.name)]
        if isinstance(given, np.ndarray) or (isinstance(given, bytes) and not states_dicom(given)):
            return bare_header()
        with _file(given) as file:
            return super().header(file)

    def photographs(self, path: Path) -> Iterator[Photograph]:
        given = self._inputs[int(path.name)]
        if isinstance(given, np.ndarray):
            yield prepare(self._spec, _checked(given), self._limits)
        elif isinstance(given, bytes) and not states_dicom(given):
            yield prepare(self._spec, photograph_pixels(given), self._limits)
        else:
            with _file(given) as file:
                yield from super().photographs(file)


@contextmanager
def _file(given: Input) -> Iterator[Path]:
    """The input as a file to open. What cannot be opened is a bad input like any other: BadInput."""
    if isinstance(given, str | os.PathLike):
        try:
            yield Path(given)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise refusal(ReasonCode.UNREADABLE_PIXELS, f"the file cannot be read: {why}") from None
        return
    # A file of this process's memory: a patient's data set never touches a disk.
    descriptor = os.memfd_create("dicom")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            if isinstance(given, bytes):
                file.write(given)
            elif isinstance(given, Dataset):
                with refusing(ReasonCode.UNREADABLE_DATASET, "the data set cannot be written as a file"):
                    # A copy, because writing completes the file meta information.
                    copy(given).save_as(file, enforce_file_format=True)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _checked(pixels: NDArray[np.uint8]) -> RgbImage:
    """A copy: a reading outlives what its caller does to the array. TypeError where it holds no bytes; BadInput."""
    if pixels.dtype != np.uint8:
        raise TypeError(f"a photograph is an array of uint8, not of {pixels.dtype}")
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise refusal(
            ReasonCode.NOT_COLOUR, f"an array of shape {pixels.shape}; (height, width, 3) is a colour photograph"
        )
    check_size(pixels.shape[1], pixels.shape[0])
    return np.array(pixels, order="C")
