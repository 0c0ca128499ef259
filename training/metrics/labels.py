"""A label's figures, and their means over labels, each saying over how much it was taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.metrics.figures import FIGURES, average_precision, counts

if TYPE_CHECKING:
    from training.metrics.judged import Judged


@dataclass(frozen=True, slots=True)
class LabelMetrics:
    """What is known of one label, and how well it is told; what is undefined is nan.

    `groups` are the patients among whom it is known, `positive_groups` those with a positive. The counts and all that
    follow from them are at `threshold`.
    """

    label: str
    n_known: int
    positives: int
    groups: int
    positive_groups: int
    threshold: float
    true_positives: int
    false_negatives: int
    false_positives: int
    true_negatives: int
    average_precision: float
    auroc: float
    f1: float
    sensitivity: float
    specificity: float
    precision: float
    brier: float
    calibration_error: float

    @property
    def negatives(self) -> int:
        """Photographs of which it is known that the label is absent."""
        return self.n_known - self.positives

    @property
    def prevalence(self) -> float:
        """Share of positives among the known: what an average precision without skill would be."""
        return self.positives / self.n_known if self.n_known else np.nan


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over those labels where the figure is defined; nan where it is nowhere."""

    value: float
    labels: tuple[str, ...]


def label_metrics(judged: Judged) -> dict[str, LabelMetrics]:
    """Every label's figures, in order."""
    once = np.ones((len(judged), 1))
    figures = {name: statistic(judged)(once)[:, 0] for name, statistic in FIGURES.items()}
    at_threshold = [part[:, 0] for part in counts(judged, once)]
    groups = np.asarray(judged.groups)
    made = {}
    for column, label in enumerate(judged.labels):
        known = judged.known[:, column]
        positive = known & (judged.targets[:, column] > 0.5)
        tp, fn, fp, tn = (int(part[column]) for part in at_threshold)
        made[label] = LabelMetrics(
            label=label,
            n_known=int(known.sum()),
            positives=int(positive.sum()),
            groups=len(np.unique(groups[known])),
            positive_groups=len(np.unique(groups[positive])),
            threshold=float(judged.thresholds[column]),
            true_positives=tp,
            false_negatives=fn,
            false_positives=fp,
            true_negatives=tn,
            **{name: float(values[column]) for name, values in figures.items()},
        )
    return made


def means(judged: Judged) -> dict[str, Mean]:
    """Each figure's mean over labels (macro), by the figure's name."""
    once = np.ones((len(judged), 1))
    return {name: _mean(judged, statistic(judged)(once)[:, 0]) for name, statistic in FIGURES.items()}


def mean_average_precision(judged: Judged) -> float:
    """mAP: the mean average precision over the labels that have a positive and a negative; nan where none has."""
    return _mean(judged, average_precision(judged)(np.ones((len(judged), 1)))[:, 0]).value


def micro_f1(judged: Judged) -> float:
    """F1 over all known entries as if they were one label; nan without a positive or without a negative."""
    tp, fn, fp, tn = (float(part.sum()) for part in counts(judged, np.ones((len(judged), 1))))
    return 2 * tp / (2 * tp + fp + fn) if tp + fn and fp + tn else np.nan


def _mean(judged: Judged, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Mean:
    defined = ~np.isnan(values)
    over = tuple(label for label, use in zip(judged.labels, defined, strict=True) if use)
    return Mean(float(values[defined].mean()) if over else np.nan, over)
