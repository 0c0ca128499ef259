"""Judged photographs out of a generator: few distinct scores so that there are ties, several rows to a patient."""

import numpy as np
from hypothesis import strategies as st

from training.metrics.judged import Judged

LABELS = ("DR", "ARMD", "MH", "DN")


def judged(seed=0, rows=40, labels=LABELS, *, unknown=0.2, levels=12, patients=15, skill=1.0, keys="k"):
    random = np.random.default_rng(seed)
    targets = (random.random((rows, len(labels))) < 0.3).astype(np.float32)
    logits = np.round((random.normal(size=targets.shape) + skill * (2 * targets - 1)) * levels / 4) * 4 / levels
    return Judged(
        keys=tuple(f"{keys}{n}" for n in range(rows)),
        groups=tuple(f"p{n}" for n in random.integers(0, patients, rows)),
        labels=tuple(labels),
        targets=targets,
        known=random.random(targets.shape) >= unknown,
        logits=logits,
        probabilities=1 / (1 + np.exp(-logits)),
        thresholds=np.full(len(labels), 0.6),
    )


def scored(max_rows=30):
    """Truths and scores, with ties more often than not."""
    return st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), max_size=max_rows).map(
        lambda pairs: (np.array([p[0] for p in pairs], bool), np.array([p[1] for p in pairs], float))
    )
