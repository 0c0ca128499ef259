"""Each condition of the rule refuses what it is there to refuse, alone, and an undefined figure shows nothing."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.model.manifest import Manifest as BundleManifest
from ocunet_pacs.model.manifest import Provenance
from training.data.manifest import Manifest, Row, Split
from training.evaluation.compare import compare
from training.evaluation.gate import Evidence, decide, decide_first, evidence
from training.evaluation.rule import Rule
from training.metrics.judged import Judged

LABELS = ("DR", "ODE", "PT")  # ODE is an emergency
PROVEN = Evidence(passed=True, note="proven")


def spoken(rows=400, *, shift=0.0):
    """Well calibrated scores; `shift` lowers the logits of positives of the second label."""
    random = np.random.default_rng(0)
    logits = random.normal(0.0, 4.0, (rows, len(LABELS)))
    targets = random.random(logits.shape) < 1 / (1 + np.exp(-logits))
    logits[:, 1] -= shift * targets[:, 1]
    return Judged(
        keys=tuple(f"k{n}" for n in range(rows)),
        groups=tuple(f"p{n // 2}" for n in range(rows)),
        labels=LABELS,
        targets=targets,
        known=np.ones(targets.shape),
        logits=logits,
        probabilities=1 / (1 + np.exp(-logits)),
        thresholds=[0.5] * 3,
    )


def failed(active, candidate, rule=None, unseen=PROVEN):
    rule = rule or Rule(draws=200)
    said = decide(compare(active, candidate, draws=rule.draws, seed=rule.seed, level=rule.level), rule, unseen)
    assert said.passed == (not said.reasons)
    return [condition.name for condition in said.conditions if not condition.passed]


def test_the_same_again_passes_everything():
    said = decide(compare(spoken(), spoken(), draws=200), Rule(draws=200), PROVEN)
    assert said.passed
    assert said.reasons == ()
    assert said.not_asked == ()
    assert len(said.conditions) == 10


def test_worse_order_of_one_label_is_refused_though_the_mean_may_fall():
    rule = Rule(
        draws=200,
        mean_average_precision=-1.0,
        urgent_sensitivity=-1.0,
        urgent_label_lower=False,
        calibration_error=None,
    )
    assert failed(spoken(), spoken(shift=2.0), rule) == ["AUROC of each label, lower bound of the difference"]
    assert failed(spoken(), spoken(shift=2.0), rule.model_copy(update={"label_auroc_positives": 390})) == []


def test_a_worse_mean_is_refused():
    rule = Rule(draws=200, label_auroc=None, urgent_sensitivity=None, urgent_label_lower=False, calibration_error=None)
    assert failed(spoken(), spoken(shift=2.0), rule) == ["mean average precision, lower bound of the difference"]


def test_an_emergency_that_is_newly_missed_is_refused_and_one_of_another_label_is_not():
    active = spoken()
    for label, expected in ((1, ["sensitivity to urgent labels, difference"]), (0, [])):
        thresholds = active.thresholds.copy()
        missed = active.probabilities[(active.targets[:, label] > 0) & active.positive[:, label], label].min()
        thresholds[label] = np.nextafter(missed, 1.0)
        assert failed(active, dataclasses.replace(active, thresholds=thresholds)) == expected


def test_one_urgent_label_that_is_found_less_is_refused_though_others_make_up_for_it():
    active = dataclasses.replace(spoken(), labels=("CRVO", "ODE", "PT"), thresholds=[0.8, 0.5, 0.5])
    thresholds = np.array([0.3, 0.65, 0.5])
    rule = Rule(draws=200, mean_specificity=-1.0)
    said = failed(active, dataclasses.replace(active, thresholds=thresholds), rule)
    assert said == ["sensitivity to each urgent label, upper bound of the difference"]
    assert failed(active, dataclasses.replace(active, thresholds=np.array([0.3, 0.5, 0.5])), rule) == []


def test_urgent_labels_without_enough_positives_are_named_and_pass():
    said = decide(compare(spoken(), spoken(), draws=100), Rule(draws=100, urgent_positives=399), PROVEN)
    each = said.conditions[-2]
    assert each.passed
    assert each.note == "nothing to judge by: no urgent label with 399 positives or more; not judged: ODE"
    nothing = spoken()
    nothing.targets[:, 1] = 0.0
    together = decide(compare(nothing, nothing, draws=100), Rule(draws=100), PROVEN).conditions[-3]
    assert (together.passed, "nothing to judge by" in together.note) == (True, True)


def test_more_alarms_are_refused():
    active = spoken()
    assert failed(active, dataclasses.replace(active, thresholds=np.full(3, 0.05))) == [
        "mean specificity, lower bound of the difference"
    ]


def test_probabilities_that_do_not_mean_what_they_say_are_refused():
    active = spoken()
    bold = dataclasses.replace(active, probabilities=np.where(active.positive, 1.0, 0.0))
    assert failed(active, bold) == ["expected calibration error"]


def test_too_few_patients_are_refused():
    assert failed(spoken(190), spoken(190)) == ["patients judged"]


def test_photographs_that_only_the_candidate_refuses_are_counted():
    active = spoken()
    rest = np.arange(len(active)) >= 9
    assert failed(active, active.select(rest)) == ["photographs refused"]
    assert failed(active, active.select(np.arange(len(active)) >= 8)) == []
    assert failed(active.select(rest), active) == []


def test_a_label_that_is_lost_is_refused_unless_the_site_lets_it_go():
    active = spoken()
    assert failed(active, active.select_labels(["DR", "ODE"])) == ["labels kept"]
    assert failed(active, active.select_labels(["DR", "ODE"]), Rule(draws=100, lost_labels=("PT",))) == []
    assert failed(active.select_labels(["DR", "ODE"]), active) == []


def test_without_proof_of_unseen_photographs_it_is_refused_unless_nobody_asks():
    unproven = Evidence(passed=False, note="why")
    said = decide(compare(spoken(), spoken(), draws=100), Rule(draws=100), unproven)
    assert said.reasons == ("photographs unseen: why",)
    relaxed = decide(compare(spoken(), spoken(), draws=100), Rule(draws=100, unseen=False, label_auroc=None), unproven)
    assert relaxed.passed
    assert relaxed.not_asked == ("label_auroc", "unseen")


def test_what_is_undefined_does_not_pass():
    active = spoken()
    active.targets[:] = 0.0
    assert failed(active, active, Rule(draws=100, calibration_error=1.0)) == [
        "mean average precision, lower bound of the difference"
    ]
    active.known[:] = False
    names = failed(active, active, Rule(draws=100))
    assert {"expected calibration error", "mean specificity, lower bound of the difference"} < set(names)
    said = decide(compare(active, active, draws=100), Rule(draws=100), PROVEN)
    assert said.to_dict()["conditions"][-1]["figure"] is None
    assert any("undefined, asked for" in reason for reason in said.reasons)


def test_the_first_bundle_is_asked_what_it_can_show_alone():
    assert decide_first(spoken(), Rule(), PROVEN).passed
    said = decide_first(spoken(100), Rule(calibration_error=0.0), Evidence(passed=False, note="why"))
    assert [one.name for one in said.conditions if not one.passed] == [
        "patients judged",
        "photographs unseen",
        "expected calibration error",
    ]


def rows(numbers, split, group="p"):
    return tuple(
        Row(f"{n}.jpg", f"{n:064x}", f"{group}{n}", frozenset({"DR"}), frozenset(), "s", split=split) for n in numbers
    )


def bundle(note=""):
    return BundleManifest(
        name="x",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        architecture="efficientnet_b3",
        labels=("DR",),
        preprocess=PreprocessSpec(),
        temperature=1.0,
        thresholds={"DR": 0.5},
        calibrated=True,
        trained=True,
        provenance=Provenance(notes={"data": f"manifest {note}"}),
    )


def test_the_test_split_of_the_manifest_that_it_was_trained_on_is_unseen():
    manifest = Manifest(rows(range(5), Split.TRAIN) + rows(range(5, 8), Split.TEST), Path())
    noted = bundle(manifest.fingerprint)
    assert evidence(noted, manifest, manifest.of(Split.TEST), None).passed
    assert not evidence(noted, manifest, manifest.rows, None).passed


@pytest.mark.parametrize(
    ("learned", "passes"),
    [
        (rows(range(10, 15), Split.TRAIN), True),
        (rows(range(4, 6), Split.VALIDATION), False),
        (rows(range(4, 6), Split.TEST), True),
        (rows(range(4, 6), Split.NONE), False),
        ((dataclasses.replace(rows([98], Split.TRAIN)[0], group="p6"),), False),
    ],
)
def test_another_manifest_needs_the_training_one_and_nothing_in_common(learned, passes):
    manifest = Manifest(rows(range(5, 8), Split.TEST), Path())
    training = Manifest(learned, Path())
    judged_by = manifest.of(Split.TEST)
    assert evidence(bundle(training.fingerprint), manifest, judged_by, training).passed == passes
    assert "--training-manifest" in evidence(bundle(training.fingerprint), manifest, judged_by, None).note
    stranger = evidence(bundle("of somebody else"), manifest, judged_by, training)
    assert (stranger.passed, "do not name" in stranger.note) == (False, True)
