"""A comparison in a terminal: a line a label, what is beyond chance in colour."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from training.evaluation.compare import Comparison
    from training.metrics.bootstrap import Difference

_LOWER_IS_BETTER: Final = frozenset({"brier", "calibration_error"})
_NAMES: Final = {
    "average_precision": "average precision",
    "auroc": "AUROC",
    "f1": "F1",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}


def means_table(comparison: Comparison) -> Table:
    """Each figure's mean over labels: both sides, the difference and its interval."""
    table = Table(
        title=f"{_name(comparison.first.name)} to {_name(comparison.second.name)}: {comparison.rows} photographs of "
        f"{comparison.groups} patients, means over labels",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("figure", no_wrap=True)
    for column in ("first", "second", "difference", f"{comparison.level:.0%} interval", "labels"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, mean in comparison.means.items():
        table.add_row(
            _NAMES.get(name, name),
            _said(mean.first),
            _said(mean.second),
            difference(mean.difference, lower_is_better=name in _LOWER_IS_BETTER),
            _interval(mean.difference),
            str(len(mean.labels)),
        )
    return table


def labels_table(comparison: Comparison) -> Table:
    """Each label's average precision and AUROC, and what changed at the thresholds."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("label", no_wrap=True)
    for column in ("known", "pos.", "AP", "", "diff.", "AUROC diff.", "found", "missed", "right", "wrong"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in comparison.labels.values():
        changed = one.decisions
        table.add_row(
            one.label,
            str(one.first.n_known),
            str(one.first.positives),
            _said(one.first.average_precision),
            _said(one.second.average_precision),
            difference(one.differences["average_precision"]),
            difference(one.differences["auroc"]),
            f"+{changed.newly_found}",
            f"-{changed.newly_missed}",
            f"+{changed.newly_right}",
            f"-{changed.newly_wrong}",
        )
    return table


def difference(found: Difference, *, lower_is_better: bool = False) -> Text:
    """With its sign; green or red where its interval leaves out 0."""
    if math.isnan(found.value):
        return Text("-")
    above, below = found.low > 0.0, found.high < 0.0
    better, worse = (below, above) if lower_is_better else (above, below)
    return Text(f"{found.value:+.3f}", style="green" if better else "red" if worse else "")


def _interval(found: Difference) -> str:
    return "-" if math.isnan(found.low) else f"{found.low:+.3f} to {found.high:+.3f}"


def _said(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _name(name: str) -> str:
    return name or "unnamed"
