"""`drift reference`: measure the photographs on which a bundle was found good, as the daemon sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.app.parts import eligibility_by
from ocunet_pacs.domain.drift import Observed
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.drift.bundle_reference import FEWEST, BundleReference
from ocunet_pacs.imaging.anyfile import AnyFile
from ocunet_pacs.pipeline.examine import Source, examine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.domain.gates import Rules
    from ocunet_pacs.domain.result import MadeObject
    from ocunet_pacs.model.predictor import Predictor

_AT_ONCE = 64


def make_reference(
    paths: Sequence[Path], predictor: Predictor, rules: Rules, now: datetime, progress: Callable[[int], None]
) -> BundleReference:
    """Of photographs or DICOM files, each for a patient of its own. ConfigError where too few can be scored."""
    observed = list(_observed(paths, predictor, rules, now, progress))
    scored = sum(bool(one.scores) for one in observed)
    if scored < FEWEST:
        raise ConfigError([f"{scored} photographs could be scored; a reference takes {FEWEST} at least"])
    return BundleReference.of(observed, predictor.bundle.digest)


def _observed(
    paths: Sequence[Path], predictor: Predictor, rules: Rules, now: datetime, progress: Callable[[int], None]
) -> Iterator[Observed]:
    reader = AnyFile(predictor.manifest.preprocess, predictor.manifest.quality_limits)
    pictures: list[MadeObject] = []
    for first in range(0, len(paths), _AT_ONCE):
        some = paths[first : first + _AT_ONCE]
        examined = examine(
            [Source(str(number), "", number, path) for number, path in enumerate(some, first)],
            reader=reader,
            eligibility=eligibility_by(rules),
            classifier=predictor,
            reporter=None,
            keep_picture=pictures.append,
            batch_size=predictor.batch_size,
            alive=lambda: None,
        )
        for image in examined.images:
            seen = examined.seen.get((image.sop_instance_uid, image.frame))
            if seen is not None:
                yield Observed(
                    image.ordinal,
                    now,
                    predictor.bundle.digest,
                    dict(image.quality) | dict(seen.appearance),
                    {score.label: score.probability for score in image.scores},
                    image.reasons[0].code.value if image.reasons else "",
                    seen.pattern,
                )
        progress(len(some))
