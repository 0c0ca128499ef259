"""Temperature and thresholds in one go, as the recipe asks, out of what the network said about the validation split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocunet_pacs.model.calibration import probabilities
from training.calibration.seen import Seen
from training.calibration.temperature import fit_label_temperatures, fit_temperature, has_both
from training.calibration.thresholds import choose_thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from training.calibration.thresholds import Chosen, Rule
    from training.metrics.judged import Judged
    from training.recipe import Calibration


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What a bundle needs to turn logits into words.

    `label_temperatures` are those of labels that have one of their own; the others have `temperature`. `thresholds` are
    the recipe's rule's; `operating_points` the further ones that it asks for, by the rule's name. `seen` is what all of
    it was fitted on and must not be judged by. `notes` say what was out of the ordinary, a sentence each.
    """

    labels: tuple[str, ...]
    temperature: float
    label_temperatures: Mapping[str, float]
    thresholds: Mapping[str, Chosen]
    operating_points: Mapping[str, Mapping[str, Chosen]]
    seen: Seen
    notes: tuple[str, ...] = ()

    def apply(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities (rows, labels) of logits, as serving computes them."""
        return probabilities(logits, [self.label_temperatures.get(label, self.temperature) for label in self.labels])

    def require_unseen(self, judged: Judged) -> None:
        """LeakageError where a photograph or patient there took part in this calibration."""
        self.seen.require_unseen(judged, "temperature and thresholds were fitted on them")


def calibrate(judged: Judged, calibration: Calibration) -> Calibrated:
    """Fit on what was judged: its logits, targets and keys count, its probabilities and thresholds do not."""
    notes = []
    own: dict[str, float] = {}
    together = 1.0
    if calibration.temperature != "none":
        together = fit_temperature(judged.logits, judged.targets, judged.known)
    if calibration.temperature == "per_label":
        fitted = fit_label_temperatures(judged.logits, judged.targets, judged.known)
        both = has_both(judged.targets, judged.known)
        own = {label: float(fitted[n]) for n, label in enumerate(judged.labels) if both[n]}
        if left := [label for label in judged.labels if label not in own]:
            notes.append(f"without a positive and a negative, the temperature of all labels: {', '.join(left)}")
    said = probabilities(judged.logits, [own.get(label, together) for label in judged.labels])

    def by(rule: Rule) -> dict[str, Chosen]:
        return choose_thresholds(said, judged.targets, judged.known, judged.labels, calibration, rule)

    thresholds = by(calibration.thresholds)
    notes += [f"threshold of {label}: {chosen.note}" for label, chosen in thresholds.items() if chosen.note]
    return Calibrated(
        judged.labels,
        together,
        own,
        thresholds,
        {rule: by(rule) for rule in calibration.operating_points},
        Seen.in_judged(judged),
        tuple(notes),
    )
