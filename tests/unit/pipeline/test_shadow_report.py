"""What a report makes of looks: who is compared with whom, what counts once, and what there is nothing to say about."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.job import JobState
from ocunet_pacs.domain.result import LabelScore
from ocunet_pacs.domain.shadow import PastLook, ShadowFrame
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.logs import study_digest
from ocunet_pacs.pipeline.shadow_report import FURTHEST, ActiveBundle, report

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
ACTIVE = ActiveBundle("a" * 64, "default", "active")
_NUMBERS = count(1)


def score(label: str, probability: float, threshold: float = 0.5) -> LabelScore:
    return LabelScore(label, 0.0, probability, threshold, positive=probability >= threshold)


def look(
    said: dict[str, tuple[dict[str, float], dict[str, float] | ReasonCode]],
    *,
    day: float = 0.0,
    study: str = "1.2.1",
    revision: int = 1,
    active: ActiveBundle = ACTIVE,
    state: JobState = JobState.DONE,
    note: str | None = None,
) -> PastLook:
    """A look at images by SOP Instance UID: what the active bundle said of each, and the candidate."""
    images, frames = [], []
    for ordinal, (uid, (ours, theirs)) in enumerate(said.items(), start=1):
        scores = [
            {"label": label, "logit": 0.0, "probability": p, "threshold": 0.5, "positive": p >= 0.5}
            for label, p in ours.items()
        ]
        images.append({"sop_instance_uid": uid, "frame": None, "ordinal": ordinal, "scores": scores})
        if isinstance(theirs, ReasonCode):
            frames.append(ShadowFrame(uid, None, reason=theirs))
        else:
            frames.append(ShadowFrame(uid, None, tuple(score(label, p) for label, p in theirs.items())))
    bundle = {"digest": active.digest, "name": active.name, "operating_point": active.operating_point}
    number = next(_NUMBERS)
    return PastLook(
        id=number,
        job_id=1000 + number,
        state=state,
        note=note,
        study_instance_uid=study,
        revision=revision,
        reported_at=START + timedelta(days=day),
        result=json.dumps({"bundle": bundle, "images": images}),
        frames=tuple(frames),
    )


def ended(state: JobState, note: str | None) -> PastLook:
    return look({}, state=state, note=note)


def test_a_label_is_counted_over_every_image_and_over_both_halves_of_the_time() -> None:
    days = [0, 1, 2, 10]
    ours, theirs = [0.9, 0.6, 0.1, 0.2], [0.8, 0.4, 0.7, 0.1]
    looks = [look({f"1.{day}": ({"DR": a}, {"DR": c})}, day=day) for day, a, c in zip(days, ours, theirs, strict=True)]
    found = report(reversed(looks))
    assert (found.active, found.images, found.studies) == (ACTIVE, 4, 4)
    assert (found.first, found.last) == (START, START + timedelta(days=10))
    [label] = found.labels
    whole = label.whole
    assert (whole.both, whole.only_active, whole.only_candidate, whole.neither) == (1, 1, 1, 1)
    assert whole.agreement == 0.5
    assert whole.mean_difference == pytest.approx((-0.1 - 0.2 + 0.6 - 0.1) / 4)
    assert [half.images for half in label.halves] == [3, 1]
    assert label.halves[1].agreement == 1.0
    assert found.same_positives == 2


def test_labels_that_only_one_of_them_knows_are_named_and_not_compared() -> None:
    found = report([look({"1.1": ({"DR": 0.9, "MH": 0.1}, {"AMD": 0.2, "DR": 0.9})})])
    assert [label.label for label in found.labels] == ["DR"]
    assert (found.only_active, found.only_candidate) == (("MH",), ("AMD",))


def test_two_that_share_no_label_share_no_agreement() -> None:
    found = report([look({"1.1": ({"DR": 0.9}, {"AMD": 0.2})})])
    assert (found.labels, found.furthest) == ((), ())


def test_an_image_of_several_revisions_counts_once_as_the_latest_has_it() -> None:
    first = look({"1.1": ({"DR": 0.9}, {"DR": 0.1}), "1.2": ({"DR": 0.9}, ReasonCode.UNGRADABLE)})
    second = look({"1.1": ({"DR": 0.9}, {"DR": 0.8}), "1.2": ({"DR": 0.9}, {"DR": 0.9})}, day=1, revision=2)
    third = look({"1.1": ({"DR": 0.9}, {"DR": 0.8}), "1.2": ({"DR": 0.9}, ReasonCode.FILE_REMOVED)}, day=2, revision=3)
    for looks in ([first, second], [second, first]):
        found = report(looks)
        assert (found.images, found.not_scored) == (2, {})
        assert found.labels[0].whole.agreement == 1.0
    assert report([third, first]).not_scored == {"file_removed": 1}


def test_what_the_candidate_did_not_score_is_counted_by_reason() -> None:
    looks = [
        look({"1.1": ({"DR": 0.9}, ReasonCode.UNGRADABLE), "1.2": ({"DR": 0.9}, {"DR": 0.9})}),
        look({"2.1": ({"DR": 0.9}, ReasonCode.UNGRADABLE)}, study="1.2.2"),
    ]
    found = report(looks)
    assert (found.images, found.not_scored) == (1, {"ungradable": 2})


def test_failures_and_idle_looks_are_counted_by_what_they_say() -> None:
    looks = [
        ended(JobState.DEAD, "unexpected MemoryError"),
        ended(JobState.DEAD, "unexpected MemoryError"),
        ended(JobState.DISCARDED, None),
        ended(JobState.DONE, "the active bundle scored nothing"),
        ended(JobState.WAITING, None),
        ended(JobState.RUNNING, None),
    ]
    found = report(looks)
    assert found.failed == {"unexpected MemoryError": 2, "unknown": 1}
    assert found.not_compared == {"the active bundle scored nothing": 1}
    assert (found.active, found.first, found.images, found.labels) == (None, None, 0, ())


def test_only_one_active_bundle_is_compared_with() -> None:
    newer, screening = ActiveBundle("b" * 64, "default", "newer"), ActiveBundle("a" * 64, "screening", "active")
    looks = [
        look({"1.1": ({"DR": 0.9}, {"DR": 0.1})}),
        look({"1.2": ({"DR": 0.9}, {"DR": 0.9})}, day=1, active=screening),
        look({"1.3": ({"DR": 0.9}, {"DR": 0.9})}, day=2, active=newer),
    ]
    found = report(looks)
    assert (found.active, found.left_out) == (newer, {ACTIVE: 1, screening: 1})
    assert found.labels[0].whole.agreement == 1.0
    assert report(looks, "aaa").active == screening, "the latest that fits"
    assert report(looks, "ccc").active is None


def test_a_result_of_an_earlier_release_has_the_default_thresholds() -> None:
    old = look({"1.1": ({"DR": 0.9}, {"DR": 0.9})})
    result = json.loads(old.result)
    del result["bundle"]["operating_point"]
    kept = {name: getattr(old, name) for name in old.__slots__} | {"result": json.dumps(result)}
    assert report([PastLook(**kept)]).active == ACTIVE


def test_the_images_on_which_they_differ_most_are_named_without_a_uid() -> None:
    def studies() -> Iterator[PastLook]:
        for number in range(20):
            ours, theirs = {"DR": 0.5, "MH": 0.5}, {"DR": 0.5 - number / 100, "MH": 0.5 + number / 50}
            yield look({f"1.{number}": (ours, theirs)}, study=f"1.2.{number}")

    found = report(studies()).furthest
    assert len(found) == FURTHEST
    assert [one.label for one in found] == ["MH"] * FURTHEST
    assert found[0].study == study_digest("1.2.19")
    assert (found[0].active, found[0].candidate) == (0.5, pytest.approx(0.88))
    assert [one.candidate for one in found] == sorted((one.candidate for one in found), reverse=True)
    assert "1.2.19" not in str(found)


def test_a_period_of_one_moment_has_no_second_half() -> None:
    [label] = report([look({"1.1": ({"DR": 0.9}, {"DR": 0.9})})]).labels
    assert [half.images for half in label.halves] == [1, 0]
    assert math.isnan(label.halves[1].agreement)
