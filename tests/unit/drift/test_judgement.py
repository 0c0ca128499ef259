"""References as rows keep them, and what lies in the same place in every photograph."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ocunet_pacs.domain.drift import MIDDLE, OUTSIDE, PATTERN_SIDE, Observed
from ocunet_pacs.drift.judgement import Rule, judge, measures_of
from ocunet_pacs.drift.pattern import Pattern, furthest
from ocunet_pacs.drift.reference import Reference
from ocunet_pacs.drift.sample import EVERY_LABEL, PATTERN, REFUSED, image_sample, score_sample

CELLS = PATTERN_SIDE**2
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def patterns(seed: int, patients: int, each: int = 2, spot: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Round fields full of vessels; a patient's two are alike. `spot`: how much darker one cell is in all of them."""
    rng = np.random.default_rng(seed)
    studies = np.repeat(np.arange(patients), each)
    own = rng.normal(0, 40, (patients, CELLS))[studies] + rng.normal(0, 15, (len(studies), CELLS))
    own[:, 20 * PATTERN_SIDE + 8] -= spot
    y, x = np.mgrid[:PATTERN_SIDE, :PATTERN_SIDE] - (PATTERN_SIDE - 1) / 2
    field = np.hypot(x, y).ravel() < 15
    return np.where(field, np.clip(MIDDLE + own, 1, 255), OUTSIDE).astype(np.uint8), studies


def observed(number: int, seed: int = 0, **changed: object) -> list[Observed]:
    rng = np.random.default_rng(seed)
    maps, studies = patterns(seed, (number + 1) // 2)
    return [
        Observed(
            int(studies[place]),
            AT + timedelta(hours=place),
            str(changed.get("bundle", "abc")),
            {"structure": float(rng.normal()), "field": 0.5},
            {"DR": float(rng.uniform()), "ARMD": 0.5},
            str(changed.get("refused", "")),
            maps[place].tobytes(),
        )
        for place in range(number)
    ]


def test_a_speck_is_found_where_it_is_and_only_there() -> None:
    reference = Pattern.of(*patterns(1, 100))
    assert reference is not None
    clean, dirty = (furthest(reference, *patterns(2, 30, spot=spot), 1e-5) for spot in (0.0, 60.0))
    assert clean is not None
    assert dirty is not None
    assert clean.errors < clean.by_chance < dirty.errors
    assert (dirty.across, dirty.down) == (8.5 / PATTERN_SIDE, 20.5 / PATTERN_SIDE)
    assert dirty.words.startswith("27% from the left and 64% from the top of the picture is")
    assert "darker" in dirty.words


def test_chance_alone_hardly_ever_passes() -> None:
    reference = Pattern.of(*patterns(1, 100))
    assert reference is not None
    spots = [furthest(reference, *patterns(seed + 10, 20), 1e-6) for seed in range(40)]
    assert all(spot is not None and spot.errors < spot.by_chance for spot in spots)


def test_few_patients_and_another_field_are_no_comparison() -> None:
    reference = Pattern.of(*patterns(1, 100))
    assert reference is not None
    assert furthest(reference, *patterns(2, 9), 1e-5) is None
    assert Pattern.of(*patterns(1, 9)) is None
    maps, studies = patterns(2, 30)
    maps[:, : CELLS * 2 // 3] = OUTSIDE
    assert furthest(reference, maps, studies, 1e-5) is None
    assert furthest(reference, maps[:0], studies[:0], 1e-5) is None


def test_a_reference_comes_back_from_its_row_as_it_was() -> None:
    sample = image_sample(observed(60))
    reference = Reference.of(sample)
    again = Reference.from_json(reference.to_json())
    assert again.to_json() == reference.to_json()
    assert again.measures == reference.measures
    night = image_sample(observed(50, 3))
    found = [judge(one, night, Rule(), measures_of(one)) for one in (reference, again)]
    assert found[0] == found[1]
    assert {one.measure for one in found[0]} == {"structure", "field", REFUSED, PATTERN}


def test_what_is_no_fundus_photograph_counts_as_refused_and_as_nothing_else() -> None:
    sample = image_sample(
        observed(10) + observed(6, refused="not_a_fundus_photograph") + observed(4, refused="ungradable")
    )
    assert sample.photographs == 20
    assert len(sample.columns["structure"].values) == len(sample.patterns) == 14
    assert sample.columns[REFUSED].values.tolist() == [0.0] * 10 + [1.0] * 10


def test_scores_of_other_weights_are_left_out() -> None:
    sample = score_sample(observed(10) + observed(6, bundle="another"), "abc")
    assert sample.photographs == 10
    assert set(sample.columns) == {"DR", "ARMD", EVERY_LABEL}
    [first, *_] = sample.columns["DR"].values.tolist()
    assert sample.columns[EVERY_LABEL].values[0] == pytest.approx(np.log(first / (1 - first)) / 2)


@pytest.mark.parametrize(("away", "seen"), [(0.0, False), (0.009, False), (0.05, True), (-0.05, True)])
def test_what_a_steady_camera_repeats_must_leave_by_a_step(away: float, seen: bool) -> None:
    reference = Reference.of(image_sample(observed(100)))
    shifted = [Observed(o.study_id, o.at, o.bundle_digest, {"field": 0.5 + away}, {}, "", b"") for o in observed(60, 3)]
    [found] = [one for one in judge(reference, image_sample(shifted), Rule(), 2) if one.measure == "field"]
    assert found.alert is seen
    assert found.words == ("otherwise spread" if not seen else "higher" if away > 0 else "lower")


def test_a_measure_that_a_reference_does_not_know_is_not_compared() -> None:
    reference = Reference.of(image_sample(observed(40)))
    new = [Observed(o.study_id, o.at, o.bundle_digest, {"new": 1.0}, {}, "", b"") for o in observed(40, 3)]
    assert {one.measure for one in judge(reference, image_sample(new), Rule(), 2)} == {REFUSED}
