"""What the model calls a photograph that shows something else, over pairs of labels of which both are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from training.metrics.judged import Judged


@dataclass(frozen=True, slots=True)
class Confused:
    """Of `photographs` that show `shown` and are known not to show `said`, the model called `called` `said`."""

    shown: str
    said: str
    called: int
    photographs: int

    @property
    def share(self) -> float:
        """Of the photographs; 0 to 1."""
        return self.called / self.photographs


def confusions(judged: Judged) -> list[Confused]:
    """Every pair of labels about which something is known, in the labels' order: by what is shown, then what is said.

    A label is never confused with itself, and a pair of which no photograph knows both is not here: that is not a 0.
    """
    truth = judged.targets > 0.5
    there = (judged.known & truth).astype(np.int64)
    absent = (judged.known & ~truth).astype(np.int64)
    photographs = there.T @ absent
    called = there.T @ (absent * judged.positive)
    return [
        Confused(shown, said, int(called[i, j]), int(photographs[i, j]))
        for i, shown in enumerate(judged.labels)
        for j, said in enumerate(judged.labels)
        if photographs[i, j]
    ]
