"""All figures of an evaluation in one tree of plain values: what `report.json` holds, and all that the page shows.

docs/evaluation-report.md describes every key. What is undefined is nan here and null in JSON.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ocunet_pacs.domain.labels import BY_NAME
from training.evaluation.confusion import Confused, confusions
from training.evaluation.independence import Remark, Weight, independence
from training.evaluation.mistakes import Mistake, short_name, worst_mistakes
from training.evaluation.shortcuts import (
    Absent,
    Healthy,
    absent_scores,
    auroc_by_source,
    auroc_within,
    healthy_photographs,
    positive_sources,
)
from training.evaluation.slices import FEW, Slicing, slicings
from training.metrics.bootstrap import intervals
from training.metrics.calibration import expected_calibration_error, reliability
from training.metrics.figures import FIGURES
from training.metrics.labels import label_metrics, means, micro_f1

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from training.data.manifest import Manifest, Row
    from training.evaluation.predict import Judgement
    from training.metrics.bootstrap import Interval, Intervals
    from training.metrics.judged import Judged

FORMAT: Final = 1
_LEVEL: Final = 0.95
_MANY_REFUSED: Final = 0.1


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and where 95 % of the resamplings of the groups put it; nan where undefined."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of(cls, interval: Interval) -> Estimate:
        """Of the bootstrap's."""
        return cls(interval.value, interval.low, interval.high)


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of a reliability diagram."""

    low: float
    high: float
    predicted: float
    observed: float
    rows: int


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """One label: what is known of it, and how well it is told.

    `refused_positives` are photographs with the label that were not scored; `sensitivity_with_refused` counts them as
    missed. `positive_sources` says how many positives each source has; `one_source`: all have the same one although
    there are several. `few`: so few positives or negatives that the figures say little.
    """

    label: str
    display: str
    caveat: str
    threshold: float
    known: int
    positives: int
    negatives: int
    groups: int
    positive_groups: int
    true_positives: int
    false_negatives: int
    false_positives: int
    true_negatives: int
    figures: dict[str, Estimate]
    refused_positives: int
    sensitivity_with_refused: float
    auroc_within_sources: float
    auroc_by_source: float
    positive_sources: dict[str, int]
    one_source: bool
    few: bool
    reliability: list[Bin]


@dataclass(frozen=True, slots=True)
class Refused:
    """A photograph that the daemon would not score."""

    photograph: str
    source: str
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that an evaluation found."""

    made: str
    software: dict[str, str]
    bundle: dict[str, Any]
    data: dict[str, Any]
    draws: int
    seed: int
    level: float
    remarks: list[Remark]
    means: dict[str, Estimate]
    averaged_labels: dict[str, list[str]]
    micro_f1: float
    pooled_calibration_error: float
    labels: list[LabelSummary]
    confusions: list[Confused]
    absent: list[Absent]
    healthy: list[Healthy]
    slices: list[Slicing]
    mistakes: list[Mistake]
    refused: list[Refused]
    refused_by_reason: dict[str, int]
    format_version: int = field(default=FORMAT)

    def to_json(self) -> bytes:
        """ASCII JSON with two spaces and a line end; null for what is undefined."""
        content = _plain(asdict(self))
        for mistake in content["mistakes"]:
            del mistake["row"]  # a place in judged.npz, where the key says more
        return json.dumps(content, indent=2, allow_nan=False).encode("ascii") + b"\n"

    def label(self, name: str) -> LabelSummary:
        """One label's. KeyError."""
        for one in self.labels:
            if one.label == name:
                return one
        raise KeyError(name)


def summarise(
    judgement: Judgement,
    manifest: Manifest,
    rows: Sequence[Row],
    *,
    made: datetime,
    software: dict[str, str],
    draws: int,
    seed: int,
    most_mistakes: int,
) -> Summary:
    """All figures of a judgement of `rows` of `manifest`, with intervals from `draws` resamplings of the groups."""
    judged = judgement.judged
    drawn = {name: intervals(judged, figure, draws=draws, seed=seed) for name, figure in FIGURES.items()}
    sources = [row.source for row, _ in judgement.scored]
    labels = _labels(judgement, sources, drawn)
    refused = [
        Refused(short_name(row.key), row.source, [str(reason) for reason in facts.reasons])
        for row, facts in judgement.refused
    ]
    return Summary(
        made=made.isoformat(timespec="seconds"),
        software=software,
        bundle=_bundle(judgement),
        data=_data(judgement, manifest, rows),
        draws=draws,
        seed=seed,
        level=_LEVEL,
        remarks=[*independence(judgement.bundle, manifest, rows), *_remarks(judgement, labels)],
        means={name: Estimate.of(one.mean) for name, one in drawn.items()},
        averaged_labels={name: list(mean.labels) for name, mean in means(judged).items()},
        micro_f1=micro_f1(judged),
        pooled_calibration_error=expected_calibration_error(
            judged.probabilities[judged.known], judged.targets[judged.known]
        ),
        labels=labels,
        confusions=confusions(judged),
        absent=absent_scores(judged, sources),
        healthy=healthy_photographs(judged, sources),
        slices=slicings(judgement),
        mistakes=worst_mistakes(judgement, most_mistakes),
        refused=refused,
        refused_by_reason=dict(
            Counter(str(reason.code) for _, facts in judgement.refused for reason in facts.reasons[:1]).most_common()
        ),
    )


def _labels(judgement: Judgement, sources: Sequence[str], drawn: dict[str, Intervals]) -> list[LabelSummary]:
    judged = judgement.judged
    several = len(set(sources)) > 1
    summaries = []
    for label, counted in label_metrics(judged).items():
        lost = sum(label in row.positive for row, _ in judgement.refused)
        with_label = counted.positives + lost
        come_from = positive_sources(judged, sources, label)
        summaries.append(
            LabelSummary(
                label=label,
                display=BY_NAME[label].display,
                caveat=BY_NAME[label].caveat,
                threshold=counted.threshold,
                known=counted.n_known,
                positives=counted.positives,
                negatives=counted.negatives,
                groups=counted.groups,
                positive_groups=counted.positive_groups,
                true_positives=counted.true_positives,
                false_negatives=counted.false_negatives,
                false_positives=counted.false_positives,
                true_negatives=counted.true_negatives,
                figures={name: Estimate.of(drawn[name].labels[label]) for name in drawn},
                refused_positives=lost,
                sensitivity_with_refused=counted.true_positives / with_label if with_label else math.nan,
                auroc_within_sources=auroc_within(judged, sources, label),
                auroc_by_source=auroc_by_source(judged, sources, label),
                positive_sources=come_from,
                one_source=several and len(come_from) == 1,
                few=min(counted.positives, counted.negatives) < FEW,
                reliability=_reliability(judged, label),
            )
        )
    return summaries


def _reliability(judged: Judged, label: str) -> list[Bin]:
    column = judged.labels.index(label)
    known = judged.known[:, column]
    found = reliability(judged.probabilities[known, column], judged.targets[known, column])
    return [
        Bin(float(low), float(high), float(predicted), float(observed), int(rows))
        for low, high, predicted, observed, rows in zip(
            found.low, found.high, found.predicted, found.observed, found.rows, strict=True
        )
    ]


def _bundle(judgement: Judgement) -> dict[str, Any]:
    made = judgement.bundle
    return {
        "name": made.name,
        "digest": made.digest,
        "weights_sha256": made.weights_sha256,
        "created_at": made.created_at.isoformat(timespec="seconds"),
        "architecture": made.architecture,
        "image_size": made.preprocess.image_size,
        "trained": made.trained,
        "calibrated": made.calibrated,
        "temperature": made.temperature,
        "label_temperatures": dict(made.label_temperatures),
        "temperature_from": made.provenance.temperature_from,
        "thresholds_from": made.provenance.thresholds_from,
        "operating_point": judgement.operating_point,
        "runtime": judgement.runtime,
        "labels": list(made.labels),
        "missing_labels": list(made.missing_labels),
    }


def _data(judgement: Judgement, manifest: Manifest, rows: Sequence[Row]) -> dict[str, Any]:
    refused = Counter(row.source for row, _ in judgement.refused)
    return {
        "manifest_fingerprint": manifest.fingerprint,
        "splits": sorted({str(row.split) or "none" for row in rows}),
        "rows": len(rows),
        "copies": judgement.copies,
        "photographs": len(judgement.rows),
        "groups": len({row.group for row in judgement.rows}),
        "scored": len(judgement.judged),
        "refused": len(judgement.refused),
        "unreadable_in_manifest": len(manifest.unreadable),
        "sources": {
            source: {"photographs": number, "refused": refused[source]}
            for source, number in Counter(row.source for row in judgement.rows).most_common()
        },
    }


def _remarks(judgement: Judgement, labels: Sequence[LabelSummary]) -> list[Remark]:
    """What else a reader must know before the first figure."""
    remarks = []
    share = len(judgement.refused) / len(judgement.rows)
    if share > _MANY_REFUSED:
        remarks.append(
            Remark(Weight.DOUBT, f"{share:.0%} of the photographs were refused; the figures are over the others only.")
        )
    if alone := [one.label for one in labels if one.one_source]:
        said = ", ".join(alone)
        remarks.append(
            Remark(Weight.DOUBT, f"Cannot be told apart from the source that all of its positives come from: {said}.")
        )
    if few := [one.label for one in labels if one.known and one.few]:
        said = ", ".join(few)
        remarks.append(Remark(Weight.NOTE, f"Fewer than {FEW} positives or negatives, so little is shown of: {said}."))
    if silent := [one.label for one in labels if not one.known]:
        remarks.append(Remark(Weight.NOTE, f"Nothing is known here, so nothing is shown of: {', '.join(silent)}."))
    unknown = {label for row in judgement.rows for label in row.positive} - set(judgement.bundle.labels)
    if unknown:
        said = ", ".join(label for label in BY_NAME if label in unknown)
        remarks.append(Remark(Weight.NOTE, f"These photographs show labels that the bundle does not know: {said}."))
    return remarks


def _plain(value: object) -> Any:  # noqa: ANN401 -- JSON
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
