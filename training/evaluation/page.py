"""An evaluation as files: a page that needs nothing else, its figures as JSON, and the scores that they are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from training.data.whole import write_whole
from training.errors import TrainingError
from training.evaluation.charts import charts_of
from training.evaluation.mistakes import Kind
from training.evaluation.slices import FEW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from training.evaluation.confusion import Confused
    from training.evaluation.mistakes import Mistake, Pictures
    from training.evaluation.shortcuts import Absent
    from training.evaluation.summary import LabelSummary, Summary
    from training.metrics.judged import Judged

PAGE: Final = "report.html"
FIGURES: Final = "report.json"
SCORES: Final = "judged.npz"
_MEANS: Final = (
    ("average_precision", "Mean average precision (mAP)"),
    ("auroc", "Mean AUROC"),
    ("f1", "Mean F1"),
    ("sensitivity", "Mean sensitivity"),
    ("specificity", "Mean specificity"),
    ("calibration_error", "Mean calibration error"),
)
_PARTS: Final = (
    ("subject", "Which bundle, which photographs"),
    ("labels", "Labels"),
    ("thresholds", "At the thresholds"),
    ("shortcuts", "Shortcuts"),
    ("slices", "Slices"),
    ("curves", "Curves"),
    ("mistakes", "Worst mistakes"),
    ("refused", "Refused photographs"),
    ("method", "How it was done"),
)
_TITLES: Final = {Kind.MISSED: "Missed", Kind.FALSE_ALARM: "False alarms"}
_MOST_REFUSED: Final = 100
_WIDEST: Final = 10
"""Columns of a table of all pairs of labels; with more labels the strongest pairs are listed instead."""
_STRONGEST: Final = 25
_WORSE_WITHIN: Final = 0.05
"""How much smaller the area within sources may be before the page says so."""


Cell = TypeVar("Cell")


@dataclass(frozen=True, slots=True)
class _Grid(Generic[Cell]):
    """Cells by row and column; None where there is nothing."""

    columns: list[str]
    rows: list[tuple[str, list[Cell | None]]]


def write_page(
    out: Path, summary: Summary, judged: Judged, pictures: Mapping[tuple[int, str], Pictures] | None = None
) -> Path:
    """Write `report.html`, `report.json` and `judged.npz` into the folder `out`, each whole or not at all; the page.

    `pictures` are those of the mistakes; without them the page has none. TrainingError.
    """
    judged.save(out / SCORES)
    _write(out / FIGURES, summary.to_json())
    _write(out / PAGE, page(summary, judged, pictures or {}).encode())
    return out / PAGE


def page(summary: Summary, judged: Judged, pictures: Mapping[tuple[int, str], Pictures]) -> str:
    """The page as HTML, with its charts and pictures inside."""
    environment = Environment(
        loader=PackageLoader("training.evaluation", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.tests["undefined_figure"] = math.isnan
    shown = [one for one in summary.labels if one.known]
    charts = [(one, made) for one in shown if (made := charts_of(judged, one))]
    present = {
        "slices": bool(summary.slices),
        "curves": bool(charts),
    }
    return environment.get_template("report.html").render(
        s=summary,
        means=_MEANS,
        parts=[(name, title) for name, title in _PARTS if present.get(name, True)],
        shown=shown,
        confused=_confused(summary.confusions, [one.label for one in shown]),
        strongest=sorted(
            (pair for pair in summary.confusions if pair.photographs >= FEW), key=lambda pair: -pair.share
        )[:_STRONGEST],
        widest=_WIDEST,
        absent=_absent(summary.absent),
        healthy={one.source: one for one in summary.healthy},
        finding=_finding,
        charts=charts,
        mistakes=_mistakes(summary),
        pictures=pictures,
        few=FEW,
        most_refused=_MOST_REFUSED,
        nan=math.nan,
    )


def _finding(one: LabelSummary) -> str:
    """What its sources say of a label, in a sentence."""
    if one.few:
        return "too few to say"
    if one.one_source:
        return "cannot be told apart from the source"
    if math.isnan(one.auroc_within_sources):
        return "no source has both positives and negatives"
    if one.figures["auroc"].value - one.auroc_within_sources > _WORSE_WITHIN:
        return "told less well within a source than across sources"
    return "told as well within a source"


def _confused(pairs: Sequence[Confused], labels: Sequence[str]) -> _Grid[Confused]:
    cells = {(pair.shown, pair.said): pair for pair in pairs}
    shown, said = {pair.shown for pair in pairs}, {pair.said for pair in pairs}
    return _grid([one for one in labels if one in shown], [one for one in labels if one in said], cells)


def _absent(scores: Sequence[Absent]) -> _Grid[Absent]:
    cells = {(score.label, score.source): score for score in scores}
    return _grid(
        list(dict.fromkeys(score.label for score in scores)), sorted({score.source for score in scores}), cells
    )


def _grid(rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], Cell]) -> _Grid[Cell]:
    return _Grid(list(columns), [(row, [cells.get((row, column)) for column in columns]) for row in rows])


def _mistakes(summary: Summary) -> list[tuple[LabelSummary, list[tuple[str, list[Mistake]]]]]:
    """By label, then by kind."""
    found: dict[str, dict[Kind, list[Mistake]]] = {}
    for mistake in summary.mistakes:
        found.setdefault(mistake.label, {}).setdefault(mistake.kind, []).append(mistake)
    return [
        (summary.label(label), [(_TITLES[kind], some) for kind, some in kinds.items()])
        for label, kinds in found.items()
    ]


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, lambda file: file.write(content))
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written: {error.strerror}") from None
