"""What is counted beside the metrics: confusion, shortcuts, slices, mistakes. Each against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.training.evaluation.judgements import LABELS, make_judgement, make_random, make_row
from training.evaluation.confusion import confusions
from training.evaluation.mistakes import Kind, short_name, worst_mistakes
from training.evaluation.shortcuts import absent_scores, auroc_within, healthy_photographs, positive_sources
from training.evaluation.slices import slicings
from training.metrics.labels import label_metrics, mean_average_precision

SEEDS = st.integers(0, 2**16)


@given(SEEDS)
def test_confusions_are_counted_over_photographs_that_know_both_labels(seed: int) -> None:
    judged = make_random(seed, 30).judged
    found = {(one.shown, one.said): (one.called, one.photographs) for one in confusions(judged)}
    expected = {}
    for i, shown in enumerate(LABELS):
        for j, said in enumerate(LABELS):
            both = [
                row
                for row in range(len(judged))
                if judged.known[row, i] and judged.targets[row, i] == 1 and judged.known[row, j]
                if judged.targets[row, j] == 0
            ]
            if both:
                expected[shown, said] = (sum(bool(judged.positive[row, j]) for row in both), len(both))
    assert found == expected
    assert not any(shown == said or "RD" in (shown, said) for shown, said in found)


@given(SEEDS)
def test_the_area_within_sources_counts_pairs_of_one_source(seed: int) -> None:
    judgement = make_random(seed, 24)
    judged, sources = judgement.judged, [row.source for row, _ in judgement.scored]
    for column, label in enumerate(LABELS):
        pairs = ordered = 0.0
        for a in range(len(judged)):
            for b in range(len(judged)):
                if (
                    judged.known[a, column]
                    and judged.known[b, column]
                    and judged.targets[a, column] > judged.targets[b, column]
                    and sources[a] == sources[b]
                ):
                    pairs += 1
                    ordered += float(judged.logits[a, column] > judged.logits[b, column])
        within = auroc_within(judged, sources, label)
        assert within == pytest.approx(ordered / pairs) if pairs else math.isnan(within)


def test_a_label_that_only_one_source_has_is_found_out() -> None:
    judgement = make_random()
    sources = [row.source for row, _ in judgement.scored]
    assert set(positive_sources(judgement.judged, sources, "CATARACT")) == {"a"}
    assert set(positive_sources(judgement.judged, sources, "DR")) == {"a", "b", "c"}
    assert positive_sources(judgement.judged, sources, "RD") == {}


def test_a_network_that_tells_sources_apart_is_no_better_than_chance_within_them() -> None:
    # Source a is all cataract but for one, source b is none but for one, and the score says only which source it is.
    values = [[math.nan, math.nan, float(n < 9 or n == 19), math.nan, math.nan] for n in range(20)]
    rows = [make_row(n, values[n], source="a" if n < 10 else "b") for n in range(20)]
    logits = np.array([[0.0, 0.0, 3.0 if n < 10 else -3.0, 0.0, 0.0] for n in range(20)])
    judged = make_judgement(rows, logits).judged
    assert label_metrics(judged)["CATARACT"].auroc == pytest.approx(0.9)
    assert auroc_within(judged, [row.source for row in rows], "CATARACT") == pytest.approx(0.5)


def test_scores_of_absent_labels_are_told_by_source() -> None:
    judgement = make_random()
    judged, sources = judgement.judged, np.array([row.source for row, _ in judgement.scored])
    found = {(one.label, one.source): one for one in absent_scores(judged, sources.tolist())}
    assert not any(label == "RD" for label, _ in found)
    one = found["DR", "b"]
    here = judged.known[:, 1] & (judged.targets[:, 1] == 0) & (sources == "b")
    assert one.photographs == here.sum()
    assert one.called == pytest.approx((judged.probabilities[here, 1] >= 0.5).mean())
    assert one.median == pytest.approx(np.median(judged.probabilities[here, 1]))


def test_a_healthy_photograph_is_alarmed_by_any_label_that_it_is_known_to_lack() -> None:
    unknown = math.nan
    rows = [
        make_row(0, [0, 0, unknown, unknown, 1], source="a"),  # DR is called
        make_row(1, [0, unknown, unknown, unknown, unknown], source="a"),  # DR is called, but may be there
        make_row(2, [1, 1, 0, unknown, 0], source="a"),  # not healthy
        make_row(3, [unknown, unknown, 0, unknown, 1], source="b"),
    ]
    logits = np.array([[-1, 1, 1, 1, 1], [-1, 1, 1, 1, 1], [-1, 1, 1, 1, 1], [1, 1, -1, 1, 1]], float)
    found = healthy_photographs(make_judgement(rows, logits).judged, [row.source for row in rows])
    assert [(one.source, one.photographs, one.alarmed) for one in found] == [("a", 2, 0.5), ("b", 1, 0.0)]


def test_a_slice_is_the_metrics_of_its_photographs() -> None:
    judgement = make_random()
    judged = judgement.judged
    cuts = {cut.by: cut for cut in slicings(judgement)}
    assert set(cuts) == {"source", "camera", "eye", "sharpness", "brightness"}
    for part in cuts["source"].slices:
        chosen = judged.select([row.source == part.value for row, _ in judgement.scored])
        counted = label_metrics(chosen)
        assert part.scored == len(chosen)
        assert part.refused == sum(row.source == part.value for row, _ in judgement.refused)
        assert part.mean_average_precision == pytest.approx(mean_average_precision(chosen))
        for label, here in part.labels.items():
            assert here.positives == counted[label].positives
            assert here.negatives == counted[label].negatives
            for name in ("auroc", "average_precision", "sensitivity", "specificity"):
                assert getattr(here, name) == pytest.approx(getattr(counted[label], name), nan_ok=True)
        assert math.isnan(part.labels["RD"].auroc)
        assert "RD" not in part.averaged


def test_every_photograph_is_in_one_slice_of_a_kind_and_thirds_are_in_order() -> None:
    judgement = make_random()
    for cut in slicings(judgement):
        assert sum(part.scored for part in cut.slices) == len(judgement.judged)
        if cut.slices[0].refused is not None:
            assert sum(part.refused or 0 for part in cut.slices) == len(judgement.refused)
    cameras = next(cut for cut in slicings(judgement) if cut.by == "camera")
    assert len(cameras.slices) == 8
    assert cameras.slices[-1].value == "all others"
    brightness = next(cut for cut in slicings(judgement) if cut.by == "brightness")
    assert [part.value.split(" (")[0] for part in brightness.slices] == [
        "lowest third",
        "middle third",
        "highest third",
    ]
    assert max(part.scored for part in brightness.slices) - min(part.scored for part in brightness.slices) <= 1


def test_what_all_photographs_share_is_no_slice() -> None:
    rows = [make_row(n, [n % 2] * 5, source="a", camera="", laterality="R") for n in range(6)]
    cuts = slicings(make_judgement(rows, np.zeros((6, 5))))
    assert {cut.by for cut in cuts} == {"sharpness", "brightness"}


@given(SEEDS, st.integers(0, 4))
def test_the_worst_mistakes_are_the_farthest_from_the_truth(seed: int, most: int) -> None:
    judgement = make_random(seed, 40)
    judged = judgement.judged
    found = worst_mistakes(judgement, most)
    for column, label in enumerate(LABELS):
        for kind, there, sign in ((Kind.MISSED, 1, 1), (Kind.FALSE_ALARM, 0, -1)):
            wrong = [
                row
                for row in range(len(judged))
                if judged.known[row, column] and judged.targets[row, column] == there
                if judged.positive[row, column] != bool(there)
            ]
            wrong.sort(key=lambda row: sign * judged.logits[row, column])
            groups: dict[str, int] = {}
            for row in wrong:
                groups.setdefault(judged.groups[row], row)
            mine = [one for one in found if one.label == label and one.kind is kind]
            assert [one.row for one in mine] == list(groups.values())[:most]
            for one in mine:
                assert one.probability == judged.probabilities[one.row, column]
                assert judgement.scored[one.row][0].key.startswith(one.photograph)


def test_a_frame_is_named_with_its_file() -> None:
    assert short_name("ab" * 32) == "ab" * 6
    assert short_name("ab" * 32 + "-3") == "ab" * 6 + "-3"
