"""What a candidate's looks add up to: agreement with the active bundle, drift of its scores, and where they part."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ocunet_pacs.domain.job import JobState
from ocunet_pacs.logs import study_digest
from ocunet_pacs.pipeline.agreement import Agreement, agree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ocunet_pacs.domain.shadow import PastLook, ShadowFrame

_When = tuple[datetime, int]
"""When the active bundle's result was finished, and the look's id: of two looks at an image the later counts."""
_NEVER = (datetime.min.replace(tzinfo=UTC), 0)
FURTHEST = 10
"""How many images are named of those on which the two differ most."""


@dataclass(frozen=True, slots=True, order=True)
class ActiveBundle:
    """The bundle that a candidate is compared with, as the results name it."""

    digest: str
    operating_point: str
    name: str


@dataclass(frozen=True, slots=True)
class LabelReport:
    """One label that both know: over the whole period, and over its first and second half in time."""

    label: str
    whole: Agreement
    halves: tuple[Agreement, Agreement]


@dataclass(frozen=True, slots=True)
class Difference:
    """An image and the label on which the two differ most there.

    `study` is the digest that the logs use, `job` the look's job (`jobs show` tells a person which study that is),
    `image` the photograph's number in the study, `frame` from 1 where it has several.
    """

    study: str
    job: int
    image: int
    frame: int | None
    label: str
    active: float
    candidate: float
    active_positive: bool
    candidate_positive: bool


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """See the fields; times are of the active bundle's results."""

    active: ActiveBundle | None
    """None: there is nothing to compare with."""
    left_out: dict[ActiveBundle, int]
    """Images that were scored while another bundle was active, by that bundle."""
    first: datetime | None
    last: datetime | None
    studies: int
    """Looks of which something could be compared."""
    images: int
    same_positives: int
    """Images on which the two find the same labels positive, of those that both know."""
    labels: tuple[LabelReport, ...]
    only_active: tuple[str, ...]
    only_candidate: tuple[str, ...]
    furthest: tuple[Difference, ...]
    not_scored: dict[str, int]
    """Images that the active bundle scored and the candidate did not, by reason."""
    not_compared: dict[str, int]
    """Looks that are done and of which there is nothing to compare, by note."""
    failed: dict[str, int]
    """Looks that were given up, by reason."""


@dataclass(frozen=True, slots=True, eq=False)
class _Image:
    """One image that both scored: arrays (2, labels), the active bundle's in the first row."""

    reported_at: datetime
    study: str
    job: int
    image: int
    frame: int | None
    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]


@dataclass(slots=True)
class _Compared:
    """What there is to compare with one active bundle, by SOP Instance UID and frame; a word is why there is nothing.

    Both bundles are what they are, so their labels are the same in every image.
    """

    active_labels: tuple[str, ...] = ()
    candidate_labels: tuple[str, ...] = ()
    seen: dict[tuple[str, int | None], tuple[_When, _Image | str]] = field(default_factory=dict)
    newest: _When | None = None
    looks: int = 0

    @property
    def common(self) -> tuple[str, ...]:
        """The labels that both know, in the active bundle's order."""
        return tuple(label for label in self.active_labels if label in self.candidate_labels)

    @property
    def images(self) -> list[_Image]:
        """What both scored, in order of time."""
        found = [image for _, image in self.seen.values() if isinstance(image, _Image)]
        return sorted(found, key=lambda image: image.reported_at)


def report(looks: Iterable[PastLook], active: str = "") -> ShadowReport:
    """Looks of one candidate, in any order, compared with one active bundle: the latest whose digest begins so.

    An image that was looked at in several revisions of its study counts once, as the latest has it.
    """
    by_active: dict[ActiveBundle, _Compared] = {}
    failed: Counter[str] = Counter()
    not_compared: Counter[str] = Counter()
    for look in looks:
        if look.state in {JobState.DEAD, JobState.DISCARDED}:
            failed[look.note or "unknown"] += 1
        elif look.state is JobState.DONE and not look.frames:
            not_compared[look.note or "unknown"] += 1
        elif look.state is JobState.DONE:
            _add(by_active, look)
    fitting = [bundle for bundle in by_active if bundle.digest.startswith(active)]
    chosen = max(fitting, key=lambda bundle: by_active[bundle].newest or _NEVER, default=None)
    compared = _Compared() if chosen is None else by_active[chosen]
    left_out = {bundle: len(found.images) for bundle, found in by_active.items() if bundle != chosen}
    images = compared.images
    return ShadowReport(
        active=chosen,
        left_out=left_out,
        first=images[0].reported_at if images else None,
        last=images[-1].reported_at if images else None,
        studies=compared.looks,
        images=len(images),
        same_positives=sum(bool((image.positive[0] == image.positive[1]).all()) for image in images),
        labels=_labels(images, compared.common),
        only_active=tuple(label for label in compared.active_labels if label not in compared.candidate_labels),
        only_candidate=tuple(label for label in compared.candidate_labels if label not in compared.active_labels),
        furthest=_furthest(images, compared.common),
        not_scored=dict(Counter(word for _, word in compared.seen.values() if isinstance(word, str))),
        not_compared=dict(not_compared),
        failed=dict(failed),
    )


def _add(by_active: dict[ActiveBundle, _Compared], look: PastLook) -> None:
    result = json.loads(look.result)
    bundle = result["bundle"]
    # Results of earlier releases do not name it.
    point = bundle.get("operating_point", "default")
    compared = by_active.setdefault(ActiveBundle(bundle["digest"], point, bundle["name"]), _Compared())
    when = (look.reported_at, look.id)
    compared.newest = max(compared.newest or when, when)
    compared.looks += 1
    frames = {(frame.sop_instance_uid, frame.frame): frame for frame in look.frames}
    for image in result["images"]:
        name = (image["sop_instance_uid"], image["frame"])
        frame = frames.get(name)
        if frame is None or (name in compared.seen and compared.seen[name][0] > when):
            continue
        compared.seen[name] = (when, _image(compared, look, image, frame))


def _image(compared: _Compared, look: PastLook, image: dict[str, Any], frame: ShadowFrame) -> _Image | str:
    if frame.reason is not None:
        return str(frame.reason)
    active = {score["label"]: (score["probability"], score["positive"]) for score in image["scores"]}
    candidate = {score.label: (score.probability, score.positive) for score in frame.scores}
    compared.active_labels, compared.candidate_labels = tuple(active), tuple(candidate)
    said = [[found[label] for label in compared.common] for found in (active, candidate)]
    return _Image(
        reported_at=look.reported_at,
        study=study_digest(look.study_instance_uid),
        job=look.job_id,
        image=image["ordinal"],
        frame=image["frame"],
        scores=np.array([[probability for probability, _ in row] for row in said], np.float64),
        positive=np.array([[positive for _, positive in row] for row in said], np.bool_),
    )


def _labels(images: Sequence[_Image], common: Sequence[str]) -> tuple[LabelReport, ...]:
    """`images` in order of time: the first half is up to the middle between the first and the last."""
    if not images:
        return ()
    scores = np.stack([image.scores for image in images], axis=-1)
    positive = np.stack([image.positive for image in images], axis=-1)
    first, last = images[0].reported_at, images[-1].reported_at
    middle = sum(image.reported_at - first <= last - image.reported_at for image in images)
    return tuple(
        LabelReport(
            label,
            agree(scores[:, row], positive[:, row]),
            (
                agree(scores[:, row, :middle], positive[:, row, :middle]),
                agree(scores[:, row, middle:], positive[:, row, middle:]),
            ),
        )
        for row, label in enumerate(common)
    )


def _furthest(images: Sequence[_Image], common: Sequence[str]) -> tuple[Difference, ...]:
    if not common:
        return ()
    apart = {image: np.abs(image.scores[1] - image.scores[0]) for image in images}
    found = []
    for image in sorted(images, key=lambda image: -float(apart[image].max()))[:FURTHEST]:
        row = int(apart[image].argmax())
        (active, candidate), (says, would_say) = image.scores[:, row].tolist(), image.positive[:, row].tolist()
        where = (image.study, image.job, image.image, image.frame)
        found.append(Difference(*where, common[row], active, candidate, says, would_say))
    return tuple(found)
