"""Small charts of one label each, as SVG in `data:` addresses: drawn on white; the page inverts them in the dark."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from training.evaluation.summary import Bin, LabelSummary
    from training.metrics.judged import Judged

_STYLE: Final[Mapping[Any, Any]] = MappingProxyType(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "ocunet",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.8,
    }
)
_SIDE: Final = 2.5
"""Inches."""
_MODEL: Final = "#005a9c"
_OTHER: Final = "#b34700"
_FAINT: Final = "#8a8a8a"
_STEPS: Final = 300
"""A curve is drawn to a part in so many of its axes."""
_BINS: Final = 20


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture, and what it shows in words."""

    title: str
    uri: str
    words: str


def charts_of(judged: Judged, summary: LabelSummary) -> list[Chart]:
    """The label's curves, reliability and scores; none where it has no positive or no negative."""
    if not summary.positives or not summary.negatives:
        return []
    column = judged.labels.index(summary.label)
    known = judged.known[:, column]
    truth = judged.targets[known, column] > 0.5
    scores, probabilities = judged.logits[known, column], judged.probabilities[known, column]
    figures = {name: one.value for name, one in summary.figures.items()}
    prevalence = summary.positives / summary.known
    at = f"at the threshold {summary.threshold:.3g}"
    return [
        Chart(
            "Precision and recall",
            _drawn(lambda axes: _precision_recall(axes, truth, scores, summary)),
            f"{summary.label}: precision over recall, average precision {_said(figures['average_precision'])}; "
            f"without skill {prevalence:.2f}; {at} precision {_said(figures['precision'])}, "
            f"recall {_said(figures['sensitivity'])}.",
        ),
        Chart(
            "ROC",
            _drawn(lambda axes: _roc(axes, truth, scores, summary)),
            f"{summary.label}: sensitivity over one minus specificity, area {_said(figures['auroc'])}; "
            f"{at} sensitivity {_said(figures['sensitivity'])}, specificity {_said(figures['specificity'])}.",
        ),
        Chart(
            "Reliability",
            _drawn(lambda axes: _reliability(axes, summary.reliability)),
            f"{summary.label}: share of positives over predicted probability, "
            f"expected calibration error {_said(figures['calibration_error'])}.",
        ),
        Chart(
            "Scores",
            _drawn(lambda axes: _histogram(axes, truth, probabilities, summary.threshold)),
            f"{summary.label}: distribution of probabilities; median {np.median(probabilities[truth]):.2f} where the "
            f"label is there, {np.median(probabilities[~truth]):.2f} where it is absent.",
        ),
    ]


def _precision_recall(axes: Axes, truth: NDArray[np.bool_], scores: NDArray[np.float64], summary: LabelSummary) -> None:
    precision, recall, _ = precision_recall_curve(truth, scores)
    x, y = _thinned(recall, precision)
    axes.axhline(summary.positives / summary.known, color=_FAINT, linewidth=0.8, linestyle="--")
    axes.plot(x, y, color=_MODEL, linewidth=1.5, drawstyle="steps-post")
    _point(axes, summary.figures["sensitivity"].value, summary.figures["precision"].value)
    _unit(axes, "Recall", "Precision")


def _roc(axes: Axes, truth: NDArray[np.bool_], scores: NDArray[np.float64], summary: LabelSummary) -> None:
    x, y = _thinned(*roc_curve(truth, scores)[:2])
    axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=0.8, linestyle="--")
    axes.plot(x, y, color=_MODEL, linewidth=1.5)
    _point(axes, 1 - summary.figures["specificity"].value, summary.figures["sensitivity"].value)
    _unit(axes, "1 - specificity", "Sensitivity")


def _reliability(axes: Axes, bins: Sequence[Bin]) -> None:
    axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=0.8, linestyle="--")
    rows = np.array([one.rows for one in bins], np.float64)
    sizes = 8 + 72 * rows / rows.max()
    x, y = [one.predicted for one in bins], [one.observed for one in bins]
    axes.plot(x, y, color=_MODEL, linewidth=0.8)
    axes.scatter(x, y, s=sizes, color=_MODEL, alpha=0.75, linewidths=0, clip_on=False)
    _unit(axes, "Predicted probability", "Share of positives")


def _histogram(axes: Axes, truth: NDArray[np.bool_], probabilities: NDArray[np.float64], threshold: float) -> None:
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    for chosen, colour, name, line in ((~truth, _MODEL, "absent", "-"), (truth, _OTHER, "there", "--")):
        share = np.histogram(probabilities[chosen], edges)[0] / chosen.sum()
        axes.stairs(share, edges, color=colour, linewidth=1.4, linestyle=line, label=name)
        axes.stairs(share, edges, color=colour, alpha=0.15, fill=True)
    axes.axvline(threshold, color=_FAINT, linewidth=1.0, linestyle=":")
    axes.legend(
        frameon=False, fontsize=8, handlelength=1.6, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), borderpad=0
    )
    axes.set_xlim(0, 1)
    axes.set_xlabel("Probability")
    axes.set_ylabel("Share of photographs")


def _point(axes: Axes, x: float, y: float) -> None:
    """Where the threshold puts the label."""
    axes.plot([x], [y], marker="o", markersize=6, color=_OTHER, clip_on=False)


def _unit(axes: Axes, x: str, y: str) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=x, ylabel=y, xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The curve without the points that nobody could tell from their neighbours."""
    points = np.rint(np.stack([x, y], axis=1) * _STEPS)
    kept = np.r_[True, (points[1:] != points[:-1]).any(axis=1)]
    return x[kept], y[kept]


def _drawn(draw: Callable[[Axes], None]) -> str:
    with mpl.rc_context(dict(_STYLE)):
        figure = Figure(figsize=(_SIDE, _SIDE), layout="constrained", facecolor="white")
        draw(figure.subplots())
        content = io.BytesIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(content, format="svg", metadata=nothing)
    return "data:image/svg+xml;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def _said(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.2f}"
