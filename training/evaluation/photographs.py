"""A manifest's photographs as serving sees them: decoded, prepared and judged for quality, in processes, in order.

A photograph goes through `imaging.prepare.prepare` with the bundle's own preprocessing and quality limits, as in the
daemon. There is no cache here on purpose: the figures of an evaluation rest on the files themselves.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.imaging.quality import measure
from training.data.pixels import read_pixels
from training.data.processes import PATIENCE_S, in_processes
from training.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from ocunet_pacs.domain.result import Photograph
    from ocunet_pacs.imaging.preprocess import PreprocessSpec
    from ocunet_pacs.imaging.quality_limits import QualityLimits
    from training.data.manifest import Manifest, Row

_NAMED: Final = 10
"""Problems that an error lists one by one."""
_CHECKERS: Final = 8


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What is known of one photograph besides its scores.

    `reasons` say why the daemon would not score it, and are empty where it would; `quality` holds what was measured, by
    name (see `imaging.quality.Quality`), empty where it could not be decoded; `appearance` what the drift watch would
    note (see `imaging.appearance`), empty as well where the bundle has no limits. `width` and `height` are pixels.
    """

    key: str
    reasons: tuple[Reason, ...] = ()
    quality: tuple[tuple[str, float], ...] = ()
    width: int = 0
    height: int = 0
    appearance: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A row's photograph and its facts; None where it must not be scored."""

    facts: PhotoFacts
    photograph: Photograph | None


@dataclass(frozen=True, slots=True)
class _Job:
    key: str
    path: Path
    frame: int | None


@dataclass(frozen=True, slots=True)
class _Road:
    """What happens to a photograph, wherever it happens."""

    spec: PreprocessSpec
    limits: QualityLimits | None
    keep_shown: bool

    def __call__(self, job: _Job) -> Prepared:
        try:
            rgb = read_pixels(job.path, job.frame)
            photograph = prepare(self.spec, rgb, self.limits, reuse=True)
        except BadInput as error:
            return Prepared(PhotoFacts(job.key, (error.reason,)), None)
        quality = photograph.quality or measure(photograph.shown).items()
        facts = PhotoFacts(
            job.key, photograph.reasons, quality, photograph.width, photograph.height, photograph.appearance
        )
        if facts.reasons:
            return Prepared(facts, None)
        return Prepared(
            facts, photograph if self.keep_shown else replace(photograph, shown=np.zeros((1, 1, 3), np.uint8))
        )


def check_files(manifest: Manifest, rows: Sequence[Row]) -> None:
    """ManifestError that lists every row whose file is gone or is no longer the one that was labelled."""
    with ThreadPoolExecutor(_CHECKERS, "check") as checkers:
        said = list(checkers.map(lambda row: _problem(manifest.path(row), row), rows))
    problems = [problem for problem in said if problem]
    if problems:
        more = [f"and {len(problems) - _NAMED} more"] if len(problems) > _NAMED else []
        raise ManifestError("\n".join([*problems[:_NAMED], *more]))


def prepared_rows(
    manifest: Manifest,
    rows: Sequence[Row],
    spec: PreprocessSpec,
    limits: QualityLimits | None,
    *,
    workers: int,
    keep_shown: bool = False,
) -> Generator[Prepared]:
    """Each row's photograph, in the order of `rows`, from `workers` processes; 0: in this one.

    `keep_shown` keeps what a reader is shown of it; without, `Photograph.shown` is empty. A photograph that kills the
    process which decodes it, or keeps it too long, is refused (DECODER_FAILED).
    """
    road = _Road(spec, limits, keep_shown)
    jobs = [_Job(row.key, manifest.path(row), row.frame) for row in rows]
    if not workers:
        return (road(job) for job in jobs)
    return in_processes(road, jobs, workers=workers, given_up=_given_up)


def _given_up(job: _Job) -> Prepared:
    reason = Reason(ReasonCode.DECODER_FAILED, f"it ended its decoder, or kept it for {PATIENCE_S} s")
    return Prepared(PhotoFacts(job.key, (reason,)), None)


def _problem(path: Path, row: Row) -> str:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"photograph {row.digest[:12]}: its file cannot be read: {error.strerror}"
    if digest != row.digest:
        return f"photograph {row.digest[:12]}: its file is no longer the one in the manifest (sha256 {digest[:12]})"
    return ""
