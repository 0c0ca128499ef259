"""`python -m tests.bench.quality_curves DIR`: the operating curves of the quality limits, as SVG files, and how far the
limits depend on the photographs that they were chosen on. No photographs are in the plots.

The limits that ship were set by hand. To see what such limits are worth on photographs that nobody looked at, the same
quantities get limits by a rule here: every limit at the same quantile of the photographs that may be looked at, the
quantile chosen so that as many of these are refused as the shipped limits refuse of all. The rule's limits are then
applied to the photographs that were left out: the other half, or a whole data set.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np

from ocunet_pacs.imaging.quality import Quality, QualityLimits
from tests.bench.quality import SAMPLE, Curve, Row, curves, measured, refused, rows, sample, spoiled
from tests.bench.rounds import say

mpl.use("svg")
from matplotlib import pyplot as plt

TARGET = 59 / 6041
LEAST = ("brightness", "field", "visible", "colour", "redness", "warmth", "structure")
MOST = ("dark", "overexposed", "flat", "outline", "colour_clutter")
"""The limits of photographs without a dark surround stay: too few of these are left."""


def fitted(qualities: list[Quality], target: float = TARGET) -> QualityLimits:
    """Limits at the quantile that refuses about `target` of `qualities`."""
    low, high = 0.0, target
    values = {name: np.array([getattr(quality, name) for quality in qualities]) for name in LEAST + MOST}

    def at(quantile: float) -> QualityLimits:
        limits = {f"least_{name}": float(np.quantile(values[name], quantile)) for name in LEAST}
        limits |= {f"most_{name}": float(np.quantile(values[name], 1 - quantile)) for name in MOST}
        return replace(QualityLimits(), **limits)

    for _ in range(12):
        middle = (low + high) / 2
        if share(qualities, at(middle)) > target:
            high = middle
        else:
            low = middle
    return at(low)


def share(qualities: list[Quality], limits: QualityLimits) -> float:
    """Refused."""
    return statistics.mean(refused(quality, limits) for quality in qualities)


def main(folder: Path) -> None:
    """Print the table, write the plots."""
    folder.mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("spawn").Pool() as pool:
        found = pool.map(spoiled, sample(1, SAMPLE), chunksize=2)
        _plot_curves(curves(found, QualityLimits()), folder / "refused-by-strength.svg")
        everything = rows(None)
        qualities = pool.map(measured, everything, chunksize=64)
    _plot_passes(_passes(everything, qualities), folder / "passed-by-data-set.svg")
    say("| limits by the rule from | tried on | photographs | refused by the rule | refused by what ships |")
    say("|---|---|---|---|---|")
    halves = [int(row.group, 16) % 2 for row in everything]
    for seen in (0, 1):
        _try(f"half {seen + 1}", f"half {2 - seen}", [half == seen for half in halves], qualities)
    for name in sorted({row.dataset for row in everything}):
        _try(f"all but {name}", name, [row.dataset != name for row in everything], qualities)


def _try(seen_name: str, other_name: str, seen: list[bool], qualities: list[Quality]) -> None:
    limits = fitted([quality for quality, use in zip(qualities, seen, strict=True) if use])
    others = [quality for quality, use in zip(qualities, seen, strict=True) if not use]
    by_rule, shipped = share(others, limits), share(others, QualityLimits())
    say(f"| {seen_name} | {other_name} | {len(others)} | {by_rule:.2%} | {shipped:.2%} |")


def _plot_curves(found: list[Curve], path: Path) -> None:
    drawn = [curve for curve in found if len(curve.points) > 2]
    columns = 3
    figure, axes = plt.subplots(-(-len(drawn) // columns), columns, figsize=(9, 8), sharey=True, layout="constrained")
    for axis in axes.flat[len(drawn) :]:
        axis.set_axis_off()
    for axis, curve in zip(axes.flat, drawn, strict=False):
        strengths, shares = zip(*sorted(curve.points), strict=True)
        axis.plot(strengths, [100 * value for value in shares], "o-", color="#005a8c")
        axis.set_title(curve.name, fontsize=9)
        axis.set_ylim(-4, 104)
        axis.grid(alpha=0.3)
    figure.supxlabel("strength")
    figure.supylabel("refused, % of photographs that pass as they are")
    _save(figure, path)


def _passes(everything: list[Row], qualities: list[Quality]) -> dict[str, tuple[float, float]]:
    """Passed share of each half by data set."""
    limits, found = QualityLimits(), dict[str, tuple[float, float]]()
    for name in sorted({row.dataset for row in everything}):
        first, second = (
            [
                quality
                for row, quality in zip(everything, qualities, strict=True)
                if row.dataset == name and int(row.group, 16) % 2 == half
            ]
            for half in (0, 1)
        )
        found[name] = 1 - share(first, limits), 1 - share(second, limits)
    return found


def _plot_passes(passed: dict[str, tuple[float, float]], path: Path) -> None:
    figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for half, colour in ((0, "#005a8c"), (1, "#d98000")):
        heights = [100 * shares[half] for shares in passed.values()]
        axis.bar(np.arange(len(passed)) + 0.4 * half, heights, 0.38, color=colour, label=f"half {half + 1}")
    axis.set_xticks(np.arange(len(passed)) + 0.2, list(passed))
    axis.set_ylim(90, 100.5)
    axis.set_ylabel("passed, % (axis from 90)")
    axis.legend(loc="lower left")
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    # Without a date and with a fixed salt the same curves are the same file.
    with mpl.rc_context({"svg.hashsalt": "ocunet", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
