"""The promotion gate: does a candidate show what the site's rule asks for? Each condition with its figure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ocunet_pacs.domain.labels import BY_NAME
from training.calibration.seen import Seen
from training.data.manifest import Split
from training.evaluation.compare import plain
from training.metrics.labels import means

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocunet_pacs.model.manifest import Manifest as BundleManifest
    from training.data.manifest import Manifest, Row
    from training.evaluation.compare import Comparison, LabelComparison
    from training.evaluation.rule import Rule
    from training.metrics.judged import Judged


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that the rule asks for. `figure` and `limit` as they are compared, None where they are no numbers.

    `figure` is nan where it is undefined, which does not pass. `note` says what stands behind it, or what is missing.
    """

    name: str
    passed: bool
    figure: float | None
    limit: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Whether the candidate was made without the photographs that judge it, and how that is known."""

    passed: bool
    note: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of the rule: every condition, and the names of those that it does not ask."""

    conditions: tuple[Condition, ...]
    not_asked: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every condition holds."""
        return all(condition.passed for condition in self.conditions)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not: a line for each condition that does not hold."""
        return tuple(
            f"{one.name}: {number(one.figure)}, asked for {number(one.limit)}; {one.note}".removesuffix("; ")
            if one.figure is not None
            else f"{one.name}: {one.note}"
            for one in self.conditions
            if not one.passed
        )

    def to_dict(self) -> dict[str, Any]:
        """What JSON knows; None for what is undefined."""
        content: dict[str, Any] = plain({"passed": self.passed, **asdict(self)})
        return content


def decide(comparison: Comparison, rule: Rule, unseen: Evidence) -> Decision:
    """Hold a candidate, the comparison's second, against the active bundle, its first."""
    made = [
        _at_least("patients judged", comparison.groups, rule.minimum_groups),
        *([Condition("photographs unseen", unseen.passed, None, None, unseen.note)] if rule.unseen else []),
        *_unscored(comparison, rule),
        *_labels_kept(comparison, rule),
        *_mean(comparison, "average_precision", "mean average precision", rule.mean_average_precision),
        *_mean(comparison, "specificity", "mean specificity", rule.mean_specificity),
        *_label_auroc(comparison, rule),
        *_urgent_sensitivity(comparison, rule),
        *_calibration(comparison.means["calibration_error"].second, rule),
    ]
    return Decision(tuple(made), tuple(_not_asked(rule)))


def decide_first(candidate: Judged, rule: Rule, unseen: Evidence) -> Decision:
    """Hold a candidate against what the rule asks of it alone, where no bundle is active yet."""
    made = [
        _at_least("patients judged", len(set(candidate.groups)), rule.minimum_groups),
        *([Condition("photographs unseen", unseen.passed, None, None, unseen.note)] if rule.unseen else []),
        *_calibration(means(candidate)["calibration_error"].value, rule),
    ]
    return Decision(tuple(made), ("everything that compares with an active bundle",))


def evidence(bundle: BundleManifest, manifest: Manifest, rows: Sequence[Row], training: Manifest | None) -> Evidence:
    """How it is known that a bundle was made without `rows` of `manifest`.

    A bundle's notes name the manifest that it was trained on by its fingerprint, which covers the splits. Where that is
    `manifest`, its test split was kept apart; otherwise `training` must be that manifest, and share no photograph and
    no patient with the rows.
    """
    noted = set(bundle.provenance.notes.values())
    if any(manifest.fingerprint in note for note in noted):
        if all(row.split is Split.TEST for row in rows):
            return Evidence(passed=True, note="the test split of the manifest that it was trained on")
        return Evidence(
            passed=False, note="it was trained on this manifest, and not all of these rows are its test split"
        )
    if training is None:
        return Evidence(
            passed=False, note="it was not trained on this manifest: name the one that it was (--training-manifest)"
        )
    if not any(training.fingerprint in note for note in noted):
        return Evidence(passed=False, note="its notes do not name the training manifest that was given")
    seen = Seen.in_rows(row for row in training.rows if row.split is not Split.TEST)
    among = sum(row.key in seen.keys or row.group in seen.groups for row in rows)
    return Evidence(
        passed=among == 0,
        note=f"{among} of {len(rows)} photographs, or others of their patients, are in its training or validation",
    )


def number(figure: float | None) -> str:
    """As a person reads it, four digits."""
    if figure is None:
        return "nothing"
    return "undefined" if math.isnan(figure) else f"{figure:.4g}"


def _unscored(comparison: Comparison, rule: Rule) -> Iterator[Condition]:
    if rule.unscored is not None:
        alone = comparison.first.rows_alone
        share = alone / comparison.first.rows
        note = f"{alone} photographs that the active bundle scores and the candidate refuses"
        yield Condition("photographs refused", share <= rule.unscored, share, rule.unscored, note)


def _labels_kept(comparison: Comparison, rule: Rule) -> Iterator[Condition]:
    if rule.lost_labels is not None:
        lost = [label for label in comparison.first.labels_alone if label not in rule.lost_labels]
        yield Condition("labels kept", not lost, None, None, f"the candidate lacks {', '.join(lost)}" if lost else "")


def _mean(comparison: Comparison, figure: str, name: str, limit: float | None) -> Iterator[Condition]:
    if limit is not None:
        found = comparison.means[figure]
        note = f"{number(found.first)} to {number(found.second)} over {len(found.labels)} labels"
        if found.difference.partial:
            note += f"; {found.difference.partial} of {found.difference.draws} draws had fewer"
        yield _at_least(f"{name}, lower bound of the difference", found.difference.low, limit, note)


def _label_auroc(comparison: Comparison, rule: Rule) -> Iterator[Condition]:
    if rule.label_auroc is None:
        return
    enough = [one for one in comparison.labels.values() if _counted(one, rule.label_auroc_positives)]
    yield _worst_label(
        "AUROC of each label, lower bound of the difference",
        {one.label: one.differences["auroc"].low for one in enough},
        rule.label_auroc,
        f"label with {rule.label_auroc_positives} positives or more",
    )


def _urgent_sensitivity(comparison: Comparison, rule: Rule) -> Iterator[Condition]:
    """Together, so that one photograph more or less of one label decides nothing; and each, where more than chance."""
    meant = [one for one in comparison.labels.values() if BY_NAME[one.label].urgency in rule.urgencies]
    if rule.urgent_sensitivity is not None:
        name = "sensitivity to urgent labels, difference"
        positives = sum(one.first.positives for one in meant)
        found = sum(one.decisions.newly_found for one in meant)
        missed = sum(one.decisions.newly_missed for one in meant)
        if positives:
            note = f"of {positives} positives {found} newly found, {missed} newly missed"
            yield _at_least(name, (found - missed) / positives, rule.urgent_sensitivity, note)
        else:
            yield Condition(
                name,
                passed=True,
                figure=None,
                limit=rule.urgent_sensitivity,
                note="nothing to judge by: no positive of an urgent label",
            )
    if rule.urgent_label_lower:
        enough = {
            one.label: one.differences["sensitivity"].high
            for one in meant
            if one.first.positives >= rule.urgent_positives
        }
        few = [one.label for one in meant if one.label not in enough]
        said = f"urgent label with {rule.urgent_positives} positives or more"
        yield _worst_label(
            "sensitivity to each urgent label, upper bound of the difference",
            enough,
            0.0,
            f"{said}; not judged: {', '.join(few)}" if few else said,
        )


def _calibration(error: float, rule: Rule) -> Iterator[Condition]:
    if rule.calibration_error is not None:
        passed = error <= rule.calibration_error  # False where it is undefined
        yield Condition("expected calibration error", passed, error, rule.calibration_error, "mean over labels")


def _worst_label(name: str, figures: dict[str, float], limit: float, meant: str) -> Condition:
    """Passes where there is no label to judge by, and says so."""
    if not figures:
        return Condition(name, passed=True, figure=None, limit=limit, note=f"nothing to judge by: no {meant}")
    worst = min(figures, key=lambda label: -math.inf if math.isnan(figures[label]) else figures[label])
    below = [label for label, figure in figures.items() if not figure >= limit]
    said = f"below: {', '.join(below)}" if below else f"lowest: {worst}"
    return _at_least(name, figures[worst], limit, f"{said}; judged: {len(figures)}, each {meant}")


def _at_least(name: str, figure: float, limit: float, note: str = "") -> Condition:
    """nan does not pass."""
    return Condition(name, figure >= limit, figure, limit, note)


def _counted(one: LabelComparison, positives: int) -> bool:
    return one.first.positives >= positives and one.first.negatives > 0


def _not_asked(rule: Rule) -> Iterator[str]:
    yield from (name for name, value in rule.model_dump().items() if value is None)
    yield from (name for name in ("unseen", "urgent_label_lower") if not getattr(rule, name))
