from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocunet_pacs.domain.labels import LABELS, Urgency
from ocunet_pacs.report.chart import (
    ABOVE_COLOUR,
    APART_COLOUR,
    MARK_COLOUR,
    QUIET_COLOUR,
    TRACK_COLOUR,
    Row,
    Section,
    lay_out,
    rows_of,
)
from ocunet_pacs.report.lettering import length
from ocunet_pacs.report.report_settings import ReportSettings
from tests.unit.report.made import image


def test_every_label_has_its_row_with_its_value() -> None:
    one = image(1, DR=0.91, RD=0.55, NORMAL=0.7, Disease_Risk=0.8)
    rows = rows_of(one, ReportSettings())
    assert len(rows) == len(LABELS)
    by_name = {row.name: row for row in rows}
    for label, score in zip(LABELS, one.scores, strict=True):
        row = by_name[label.display]
        assert (row.probability, row.threshold, row.positive) == (score.probability, score.threshold, score.positive)


def test_urgent_labels_come_first_then_probable_ones_and_flag_and_normal_class_stand_apart() -> None:
    one = image(1, DR=0.91, EDN=0.95, RD=0.55, NORMAL=0.7, Disease_Risk=0.3)
    one = replace(one, scores=tuple(replace(s, probability=0.2) if s.label == "ERM" else s for s in one.scores))
    rows = rows_of(one, ReportSettings())
    assert [row.section for row in rows] == [Section.ABOVE] * 3 + [Section.BELOW] * 25 + [Section.APART] * 2
    assert [(row.name, row.remark) for row in rows[:3]] == [
        ("Retinal detachment", "emergency"),
        ("Retinal exudation", "soon"),
        ("Diabetic retinopathy", "soon"),
    ]
    assert rows[3].name == "Epiretinal membrane"
    assert [(row.colour, row.remark) for row in rows[-2:]] == [(QUIET_COLOUR, ""), (APART_COLOUR, "")]


def test_the_site_decides_what_is_urgent() -> None:
    rows = rows_of(image(1, DR=0.9, RD=0.8), ReportSettings(urgencies=(("RD", Urgency.ROUTINE),)))
    assert [row.remark for row in rows[:2]] == ["soon", "routine"]


def lengths(row: Row) -> tuple[float, float]:
    """Length of the bar and place of the mark, in shares of the track."""
    chart = np.asarray(lay_out([row], 800, 1, 21).draw())

    def of(colour: tuple[int, int, int], line: np.ndarray) -> np.ndarray:
        return np.flatnonzero((line == colour).all(axis=1))

    line = max(chart, key=lambda line: len(of(TRACK_COLOUR, line)))
    everything = np.concatenate([of(colour, line) for colour in (TRACK_COLOUR, row.colour)])
    start, end = everything.min(), everything.max()
    inside = line[start : end + 1]
    bar, mark = of(row.colour, inside), of(MARK_COLOUR, inside)
    return (bar.max() + 1 if len(bar) else 0) / len(inside), float(mark.mean()) / len(inside)


@settings(max_examples=40, deadline=None)
@given(probability=st.floats(0.05, 0.95), threshold=st.floats(0.05, 0.95))
def test_a_bar_is_as_long_as_its_probability_and_the_mark_is_at_the_threshold(
    probability: float, threshold: float
) -> None:
    row = Row(Section.ABOVE, "Retinitis", "", probability, threshold, positive=probability >= threshold)
    bar, mark = lengths(row)
    # The mark hides the end of a bar that it stands on.
    assert bar == pytest.approx(probability, abs=0.02)
    assert mark == pytest.approx(threshold, abs=0.02)
    assert row.colour == (ABOVE_COLOUR if probability >= threshold else QUIET_COLOUR)


@pytest.mark.parametrize("columns", [1, 2])
def test_nothing_of_the_chart_is_lost_at_its_edges(columns: int) -> None:
    rows = rows_of(image(1, DR=0.91, **{label.name: 0.9 for label in LABELS[8:20]}), ReportSettings())
    chart = lay_out(rows, 1568, columns, 21)
    names = [words for part in chart.parts for line in part if line.row for words in line.words]
    assert sum(1 for part in chart.parts for line in part if line.row) == len(LABELS)
    assert all(length(name, 21) <= 0.47 * chart.column for name in names)
    pixels = np.asarray(chart.draw())
    assert pixels.shape == (chart.height, 1568, 3)
    assert pixels[-2:].max() < 60
    heights = [sum(len(line.words) for line in part) for part in chart.parts]
    assert max(heights) - min(heights) <= 4
